"""Pages of large rows over real connections: bounded, taken at the client's pace, and whole when walked to the end."""

from __future__ import annotations

import gc
import json
import tracemalloc
from uuid import UUID, uuid5

import pytest

from handlers.api import control
from handlers.api.control import PIECE_BYTES
from storage.mongo.documents.rows import PAGE_BYTES
from tests.bridge import until
from tests.derived import derive
from tests.storage.calls import Calls

LIST, SESSIONS = "/api/v2/aibridge/interceptions", "/api/v2/aibridge/sessions"
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
    monkeypatch.setattr(control, "STALL_SECONDS", 0.2)
    client, response = await unread(LIST)
    await until(lambda: len(running.bridge.shares.requests) == 0)
    assert not (await client.rest(response)).whole
