"""Long responses end with the server, and when their user may no longer have them."""

from __future__ import annotations

import asyncio

import pytest

from storage.accounts.users import Role
from tests.bridge import until
from tests.handlers.api.recorded.test_export import PATH, numbers, paged, recorded_large

__all__ = ["paged"]


@pytest.mark.gen_test
async def test_a_stop_of_the_server_waits_for_it_and_then_breaks_it_off(running, calls):
    await recorded_large(calls)
    clients = [await running.client(receive_buffer=4096) for _ in range(2)]
    responses = []
    for client, headers in zip(clients, (running.headers, await running.user("audrey", Role.AUDITOR)), strict=True):
        await client.send("GET", PATH, headers)
        responses.append(await client.head())
    draining = asyncio.create_task(running.bridge.lifecycle.drain(60))
    await clients[0].rest(responses[0])
    assert numbers(responses[0]) == [3, 2, 1]
    assert (draining.done(), (await running.get(PATH))[0]) == (False, 503)
    draining.cancel()
    assert await running.bridge.lifecycle.drain(0) == 1
    await clients[1].rest(responses[1])
    assert not responses[1].whole
    assert running.bridge.lifecycle.in_flight == 0


@pytest.mark.gen_test
async def test_it_is_broken_off_when_its_user_may_not_have_it_any_more(running, calls, watched_closely):
    await recorded_large(calls)
    headers = await running.user("audrey", Role.AUDITOR)
    client = await running.client(receive_buffer=4096)
    await client.send("GET", PATH, headers)
    response = await client.head()
    token_id = headers["Authorization"].removeprefix("Bearer ").partition("-")[0]
    await running.bridge.identities.revoke_token(token_id)
    await until(lambda: running.bridge.lifecycle.in_flight == 0)  # though the client takes nothing
    await client.rest(response)
    assert not response.whole


@pytest.fixture
def reading(running, paged):
    """Begin an export that waits for the database: its client, and what lets the database answer."""
    requested, gate = asyncio.Event(), asyncio.Event()

    async def wait():
        requested.set()
        await gate.wait()

    async def begin():
        client = await running.client()
        await client.send("GET", PATH, running.headers)
        await requested.wait()
        return client, gate

    paged(wait)
    return begin


@pytest.mark.gen_test
async def test_one_that_waits_for_the_database_is_broken_off_as_well(running, reading):
    client, gate = await reading()
    draining = asyncio.create_task(running.bridge.lifecycle.drain(0))
    assert await client.at_end() == b""
    gate.set()
    assert await draining == 1


@pytest.mark.expects_log("unexpected error: request_id=")
@pytest.mark.gen_test
async def test_where_nobody_can_tell_whether_its_user_may_have_it_it_is_broken_off(
    running, reading, watched_closely, monkeypatch
):
    async def fails(*_):
        raise RuntimeError

    client, gate = await reading()
    monkeypatch.setattr(running.bridge.identities, "authenticate", fails)
    assert await client.at_end() == b""
    gate.set()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
