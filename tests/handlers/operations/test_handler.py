"""The control plane as such: who may ask, what it says when it cannot answer, shares of users, and large pages."""

import asyncio
import gc
import itertools
import json
import logging
import tracemalloc
from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from handlers.operations import handler
from handlers.operations.operation import PIECE_BYTES
from limits.protection.concurrency import DEFAULT_REQUESTS, MIN_REQUESTS
from storage.mongo.database import DatabaseUnavailableError
from storage.mongo.documents.rows import PAGE_BYTES
from tests.bridge import until
from tests.derived import derive
from tests.storage.calls import Calls

LIST = "/api/v2/aibridge/interceptions"


async def test_an_answer_is_for_one_caller_as_is_its_head_and_other_methods_are_refused(running, monkeypatch):
    # an answer is for one caller and is not to be kept
    for headers, status in ((running.headers, 200), ({}, 401)):
        response = await running.request("GET", LIST, headers)
        assert (response.status, response.header("Cache-Control"), response.header("Etag")) == (
            status,
            "no-store" if status == 200 else None,
            None,
        )
        assert response.header("Content-Type") == "application/json"
    await running.afresh()
    # the head of a resource is that of its answer
    whole = await running.request("GET", LIST, running.headers)
    head = await running.request("HEAD", LIST, running.headers)
    assert (head.status, head.header("Content-Length")) == (200, str(len(whole.body)))
    assert (await running.request("HEAD", LIST, {})).status == 401
    assert (await running.request("GET", LIST, running.headers)).body == whole.body
    await running.afresh()
    # a method that is not served is refused and those that are named
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        for path, headers in ((LIST, running.headers), ("/healthz", {}), ("/readyz", {}), ("/metrics", {})):
            response = await running.request(method, path, headers, b"{}")
            assert (response.status, response.header("Allow"), json.loads(response.body)) == (
                405,
                "GET, HEAD",
                {"message": "Method Not Allowed"},
            ), (method, path)
    await running.afresh()

    # while the database is unavailable it says when to ask again
    async def away(*_, **__):
        raise DatabaseUnavailableError("MongoDB is unavailable: mongodb.internal:27017: connection refused")

    monkeypatch.setattr(running.bridge.interceptions, "page", away)
    response = await running.request("GET", LIST, running.headers)
    assert (response.status, response.header("Retry-After"), json.loads(response.body)) == (
        503,
        "1",
        {"message": "The database cannot be reached at the moment. Please try again later."},
    )


@pytest.mark.bridge(max_concurrency=1, rate_limit=1, rate_window=timedelta(hours=1), user_max_concurrency=1)
async def test_overload_protection_does_not_concern_it(running):
    assert await running.bridge.overload.acquire_slot()
    assert [(await running.get(LIST))[0] for _ in range(3)] == [200, 200, 200]


EXPORT = f"{LIST}/export"


@pytest.fixture
def begin(running):
    """Ask, and return the client with the head of the response."""

    async def begin(path, headers=None):
        client = await running.client(receive_buffer=4096)
        await client.send("GET", path, headers or running.headers)
        return client, await client.head()

    return begin


class Gate(asyncio.Event):
    waiting = 0


@pytest.fixture
def gate(running, monkeypatch):
    """Holds back every page of the list until it is set; `waiting` says how many wait."""
    page, gate = running.bridge.interceptions.page, Gate()

    async def held_back(*requested, **more):
        gate.waiting += 1
        await gate.wait()
        return await page(*requested, **more)

    monkeypatch.setattr(running.bridge.interceptions, "page", held_back)
    return gate


async def refused(client, response):
    """The refusal: its message, and how long to wait."""
    await client.rest(response)
    assert (response.status, response.header("retry-after-ms")) == (429, "1000")
    return json.loads(response.body)["message"], response.header("Retry-After")


async def test_a_second_export_of_a_user_is_refused_until_the_first_has_ended(running, begin, caplog):
    caplog.set_level(logging.INFO, "limits.protection.overload")
    calls = Calls(running.bridge.database)
    for number in range(1, 4):  # six mebibytes: a client that does not read takes four at most
        await calls.start(number, user_agent="a" * (2 << 20))
        await calls.end(number)
    first, response = await begin(EXPORT)
    message = "You have 1 export in progress, the maximum for one user. Please try again when it has ended."
    assert await refused(*await begin(EXPORT)) == (message, "1")
    assert (await begin(EXPORT, await running.user("grace")))[1].status == 200
    await first.rest(response)
    assert (await begin(EXPORT))[1].status == 200
    assert "requests refused: limit=user_exports new=1 total=1" in caplog.messages


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(MIN_REQUESTS, marks=pytest.mark.bridge(user_max_concurrency=2)),
        pytest.param(12, marks=pytest.mark.bridge(user_max_concurrency=12)),
    ],
)
async def test_a_user_has_so_many_requests_in_progress_and_no_more(running, begin, gate, allowed):
    others = await running.user("grace")
    asking = [asyncio.ensure_future(begin(LIST)) for _ in range(allowed)]
    await until(lambda: gate.waiting == allowed)
    message = f"You have {allowed} requests in progress, the maximum for one user. Please try again when one has ended."
    for path in (LIST, "/api/v2/aibridge/users/me", EXPORT):
        assert await refused(*await begin(path)) == (message, "1")
    asking.append(asyncio.ensure_future(begin(LIST, others)))
    await until(lambda: gate.waiting == allowed + 1)
    gate.set()
    assert [response.status for _, response in await asyncio.gather(*asking)] == [200] * (allowed + 1)
    assert (await running.get(LIST))[0] == 200
    assert len(running.bridge.shares.requests) == 0


async def test_who_leaves_gives_a_share_back(running, gate):
    clients = [await running.client() for _ in range(DEFAULT_REQUESTS)]
    for client in clients:
        await client.send("GET", LIST, running.headers)
    await until(lambda: gate.waiting == DEFAULT_REQUESTS)
    for client in clients:
        client.reset()
    gate.set()
    await until(lambda: len(running.bridge.shares.requests) == 0)


async def test_clients_that_leave_while_they_are_identified_use_up_no_share(running, http_server, monkeypatch):
    authenticate, gate, waiting = running.bridge.identities.authenticate, asyncio.Event(), []

    async def held_back(*requested):
        waiting.append(requested)
        await gate.wait()
        return await authenticate(*requested)

    monkeypatch.setattr(running.bridge.identities, "authenticate", held_back)
    clients = [await running.client() for _ in range(DEFAULT_REQUESTS)]
    for client, path in zip(clients, itertools.cycle((LIST, EXPORT)), strict=False):
        await client.send("GET", path, running.headers)
    await until(lambda: len(waiting) == DEFAULT_REQUESTS)
    for client in clients:
        client.reset()
    await until(lambda: not http_server.connections)
    gate.set()
    assert (await running.get(LIST))[0] == 200
    assert len(running.bridge.shares.requests) == 0


SESSIONS = "/api/v2/aibridge/sessions"
LARGE = "a" * (1 << 20)
CALLS = 10
PAGES = 2
# Besides its rows: a piece of the response as text, bytes and in the transport, and what asyncio and the driver read.
HELD_BESIDES = 4 * (1 << 20) + 3 * PIECE_BYTES


@pytest.fixture
def record(running):
    """Record calls with a mebibyte in each, all of one session; returns its id."""

    async def record():
        calls, user = Calls(running.bridge.database), running.identity.user
        await calls.start_all(range(1, CALLS + 1), initiator_id=user.id, client_session_id="a")
        for number in range(1, CALLS + 1):
            await calls.end(number)
        await derive(running.bridge.database)
        await running.bridge.database.interceptions.update_many({}, {"$set": {"user_agent": LARGE}})
        return uuid5(user.id, "a")

    return record


@pytest.fixture
def unread(running, http_server):
    """Ask and read no more than the head; returns the client, with its response, once the bridge waits for it."""

    async def unread(path):
        waiting = sum(not one.writer.drained for one in http_server.connections)
        client = await running.client(receive_buffer=4096)
        await client.send("GET", path, running.headers)
        response = await client.head()
        await until(lambda: sum(not one.writer.drained for one in http_server.connections) > waiting)
        return client, response

    return unread


async def test_unread_pages_hold_no_more_than_they_may_and_are_whole_when_walked(running, record, unread):
    session = await record()
    for path in (LIST + "?limit=1000", f"{SESSIONS}/{session}?limit=50"):
        await running.get(path)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            opened = [await unread(path) for _ in range(PAGES)]
            held, peak = (bytes_ - before for bytes_ in tracemalloc.get_traced_memory())
        finally:
            tracemalloc.stop()
        assert held <= PAGES * (PAGE_BYTES + HELD_BESIDES), path
        assert peak <= PAGES * (PAGE_BYTES + HELD_BESIDES) + (36 << 20), path  # what MongoDB sends at once, twice
        for client, _ in opened:
            client.reset()
        await until(lambda: len(running.bridge.shares.requests) == 0)

    by_id, after = [], ""
    while True:
        _, page = await running.get(f"{LIST}?limit=1000{after}")
        by_id += page["results"]
        assert (page["count"], len(page["results"]) < CALLS) == (CALLS, True)
        if page["next_after_id"] is None:
            break
        assert page["next_after_id"] == page["results"][-1]["id"]
        after = f"&after_id={page['next_after_id']}"
    by_offset = []
    while len(by_offset) < CALLS:
        by_offset += (await running.get(f"{LIST}?limit=1000&offset={len(by_offset)}"))[1]["results"]
    assert by_id == by_offset
    assert [UUID(one["id"]).int for one in by_id] == list(range(CALLS, 0, -1))

    threads, more, after = [], True, ""
    while more:
        _, found = await running.get(f"{SESSIONS}/{session}?limit=50{after}")
        threads += found["thread_page"]["results"]
        more = found["thread_page"]["more"]
        after = f"&after_thread_id={threads[-1]['id']}"
    assert [UUID(thread["id"]).int for thread in threads] == list(range(1, CALLS + 1))
    assert {len(thread["interceptions"]) for thread in threads} == {1}


async def test_an_unread_page_holds_its_share_until_it_is_taken_or_its_client_is_cut(
    running, record, unread, monkeypatch
):
    await record()
    larger = {"$set": {"user_agent": 10 * LARGE}}
    await running.bridge.database.interceptions.update_one({"_id": UUID(int=1)}, larger)
    for path in (LIST, f"{LIST}/{UUID(int=1)}"):
        client, response = await unread(path)
        assert len(running.bridge.shares.requests) == 1, path
        await client.rest(response)
        assert response.whole, path
        assert json.loads(response.body), path
        await until(lambda: len(running.bridge.shares.requests) == 0)
    client = await running.client()
    assert (await client.request("HEAD", LIST, running.headers)).status == 200
    assert (await client.request("GET", "/healthz", {})).status == 200  # no body came before it

    client, _ = await unread(LIST)
    client.reset()
    await until(lambda: len(running.bridge.shares.requests) == 0)
    monkeypatch.setattr(handler, "STALL_SECONDS", 0.2)
    client, response = await unread(LIST)
    await until(lambda: len(running.bridge.shares.requests) == 0)
    assert not (await client.rest(response)).whole
