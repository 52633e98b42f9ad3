"""A body that is slow keeps nobody else out."""

import json

import pytest

import limits.protection.overload
from limits.protection.overload import AT_CAPACITY
from tests.bridge import until
from tests.handlers.conversations import CHAT

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def begin(running, headers):
    """Send only the head of a call; return when it has a slot."""
    client, before = await running.client(), running.bridge.overload.holding
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [f"POST {running.path(CHAT)} HTTP/1.1", "Host: b", *lines, "Content-Length: 9999", "", ""]
    await client.send_raw("\r\n".join(head).encode())
    await until(lambda: running.bridge.overload.holding > before and len(running.bridge.overload.arriving) > 0)
    return client


@pytest.mark.bridge(max_concurrency=3)
@pytest.mark.gen_test
async def test_three_slow_bodies_of_one_user_in_three_slots_give_way_to_another_user(running, monkeypatch):
    monkeypatch.setattr(limits.protection.overload, "SLOW_SECONDS", 0)
    running.upstream.play(OK)
    grace = await running.user("grace")
    slow = [await begin(running, running.headers) for _ in range(3)]
    other = await running.client()
    response = await other.request("POST", running.path(CHAT), grace, CHAT.request_body(stream=False))
    assert response.status == 200
    refused = await slow[0].rest(await slow[0].head())
    assert (refused.status, json.loads(refused.body)["message"]) == (503, AT_CAPACITY)
    assert (refused.header("Retry-After"), refused.header("Connection")) == ("1", "close")
    await until(lambda: running.bridge.overload.holding == 2)
    for client in slow:
        client.close()
    await until(lambda: running.bridge.overload.holding == 0)
    assert (len(running.bridge.overload.arriving), running.bridge.lifecycle.in_flight) == (0, 0)
    await running.ended(1)


@pytest.mark.bridge(max_concurrency=1)
@pytest.mark.gen_test
async def test_a_slow_body_gives_way_to_who_has_less_and_one_that_is_not_slow_to_nobody(running, monkeypatch):
    # a body that is not slow yet keeps its slot
    slow = await begin(running, running.headers)
    client = await running.client()
    grace = await running.user("grace")
    response = await client.request("POST", running.path(CHAT), grace, CHAT.request_body(stream=False))
    assert response.status == 503
    slow.close()
    await until(lambda: running.bridge.overload.holding == 0)
    await running.afresh()
    # a slow body gives way to no stranger and to nobody who has as many
    monkeypatch.setattr(limits.protection.overload, "SLOW_SECONDS", 0)
    slow = await begin(running, running.headers)
    for headers, status in (({"X-Api-Key": "nobody"}, 401), (running.headers, 503)):
        client = await running.client()
        response = await client.request("POST", running.path(CHAT), headers, CHAT.request_body(stream=False))
        assert response.status == status
    assert (running.bridge.overload.holding, slow._reader._buffer) == (1, b"")
    slow.close()
    await until(lambda: running.bridge.overload.holding == 0)
