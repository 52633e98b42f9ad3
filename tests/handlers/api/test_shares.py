"""Each user's share of the control plane: one user is refused, the others are not."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from limits.protection.concurrency import DEFAULT_REQUESTS, MAX_LIVE_TAILS, MIN_REQUESTS
from tests.bridge import until
from tests.storage.calls import Calls

LIST = "/api/v2/aibridge/interceptions"
EXPORT, LIVE = f"{LIST}/export", f"{LIST}/live"


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


@pytest.mark.gen_test
async def test_live_tails_and_exports_of_a_user_are_bounded_until_one_has_ended(running, begin):
    # a sixth live tail of a user is refused and closing one makes room
    tails = [await begin(LIVE) for _ in range(MAX_LIVE_TAILS)]
    assert [response.status for _, response in tails] == [200] * MAX_LIVE_TAILS
    message = "You have 5 live tails open, the maximum for one user. Please close one of them first."
    assert await refused(*await begin(LIVE)) == (message, "1")
    assert (await begin(LIVE, await running.user("grace")))[1].status == 200
    assert (await running.get(LIST))[0] == 200
    tails[0][0].reset()
    await until(lambda: running.bridge.lifecycle.in_flight == MAX_LIVE_TAILS)
    assert (await begin(LIVE))[1].status == 200
    assert running.bridge.overload.refusals.total == {"user_live_tails": 1}
    await running.afresh()
    # a second export of a user is refused until the first has ended
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
    assert running.bridge.overload.refusals.total == {"user_live_tails": 1, "user_exports": 1}


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(MIN_REQUESTS, marks=pytest.mark.bridge(user_max_concurrency=2)),
        pytest.param(12, marks=pytest.mark.bridge(user_max_concurrency=12)),
    ],
)
@pytest.mark.gen_test
async def test_a_user_has_so_many_requests_in_progress_and_no_more(running, begin, gate, allowed):
    others = await running.user("grace")
    asking = [asyncio.ensure_future(begin(LIST)) for _ in range(allowed)]
    await until(lambda: gate.waiting == allowed)
    message = f"You have {allowed} requests in progress, the maximum for one user. Please try again when one has ended."
    for path in (LIST, "/api/v2/aibridge/users/me", LIVE, EXPORT):
        assert await refused(*await begin(path)) == (message, "1")
    asking.append(asyncio.ensure_future(begin(LIST, others)))
    await until(lambda: gate.waiting == allowed + 1)
    gate.set()
    assert [response.status for _, response in await asyncio.gather(*asking)] == [200] * (allowed + 1)
    assert (await running.get(LIST))[0] == 200
    assert len(running.bridge.shares.requests) == 0


@pytest.mark.gen_test
async def test_a_dashboard_loads_beside_live_tails_and_who_leaves_gives_a_share_back(running, gate, begin):
    # a client that leaves gives its share back
    clients = [await running.client() for _ in range(DEFAULT_REQUESTS)]
    for client in clients:
        await client.send("GET", LIST, running.headers)
    await until(lambda: gate.waiting == DEFAULT_REQUESTS)
    for client in clients:
        client.reset()
    gate.set()
    await until(lambda: len(running.bridge.shares.requests) == 0)
    await running.afresh()
    # a dashboard loads beside all the live tails of its user
    assert {(await begin(LIVE))[1].status for _ in range(MAX_LIVE_TAILS)} == {200}
    asking = [asyncio.ensure_future(begin(LIST)) for _ in range(DEFAULT_REQUESTS)]
    await until(lambda: gate.waiting == DEFAULT_REQUESTS)
    gate.set()
    assert {response.status for _, response in await asyncio.gather(*asking)} == {200}


@pytest.mark.gen_test
async def test_clients_that_leave_while_they_are_identified_use_up_no_share(running, http_server, monkeypatch):
    authenticate, gate, waiting = running.bridge.identities.authenticate, asyncio.Event(), []

    async def held_back(*requested):
        waiting.append(requested)
        await gate.wait()
        return await authenticate(*requested)

    monkeypatch.setattr(running.bridge.identities, "authenticate", held_back)
    clients = [await running.client() for _ in range(DEFAULT_REQUESTS)]
    for client, path in zip(clients, itertools.cycle((LIST, LIVE, EXPORT)), strict=False):
        await client.send("GET", path, running.headers)
    await until(lambda: len(waiting) == DEFAULT_REQUESTS)
    for client in clients:
        client.reset()
    await until(lambda: not http_server.connections)
    gate.set()
    assert (await running.get(LIST))[0] == 200
    assert len(running.bridge.shares.requests) == 0
