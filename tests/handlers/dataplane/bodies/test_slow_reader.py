"""Clients that read slowly or not at all: they hold little, and not for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import handlers.dataplane.relay
from limits.limit import Kind
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.test_call_usage import used
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.connections.connection import READ_BUFFER_BYTES
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

EVENT = b'data: {"x": "' + b"x" * 65_000 + b'"}\n\n'
RECEIVE_BUFFER = 4096
# What asyncio reads from a socket at once, on top of what makes the connection stop reading.
ONE_READ = 2**18
# The upstream's side holds what was read ahead, the client's side one piece of it.
MAX_HELD = 2 * (2 * READ_BUFFER_BYTES + ONE_READ)


def endless(head, piece):
    yield head
    while True:
        yield chunk(piece)


def held(handler, response):
    """The bytes of a response that are in the bridge and not yet in a socket."""
    return handler.cycle.context._transport.get_write_buffer_size() + response._response.size


@pytest.fixture
def responses(running, monkeypatch):
    """The answers of the upstream, by their order."""
    responses, original = [], running.bridge.upstream.open

    async def kept(*request, **options):
        responses.append(await original(*request, **options))
        return responses[-1]

    monkeypatch.setattr(running.bridge.upstream, "open", kept)
    return responses


async def begin(running, streaming):
    client = await running.client(receive_buffer=RECEIVE_BUFFER)
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=streaming))
    return client, await client.head()


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.gen_test
async def test_of_an_answer_that_is_not_read_the_bridge_holds_a_bounded_part(running, responses, streaming):
    head = (EVENT_STREAM if streaming else JSON) + CHUNKED
    running.upstream.scripts = [endless(head, EVENT)]
    client, _ = await begin(running, streaming)
    (handler,) = running.bridge.lifecycle._under_way
    stalled_at = await running.upstream.stalled()
    assert 0 < held(handler, responses[0]) <= MAX_HELD
    for _ in range(100):
        assert len(await client._reader.readexactly(1)) == 1
        assert held(handler, responses[0]) <= MAX_HELD
    assert await running.upstream.stalled() - stalled_at <= MAX_HELD
    client.reset()
    await running.ended(1)


@pytest.mark.gen_test
async def test_a_client_that_reads_nothing_holds_nobody_else_up(running):
    stuck = []
    for _ in range(5):
        running.upstream.scripts = [endless(EVENT_STREAM + CHUNKED, EVENT)]
        stuck.append(await begin(running, streaming=True))
    await running.upstream.stalled()
    running.upstream.scripts = [[JSON + b"Content-Length: %d\r\n\r\n" % len(CHAT.body), CHAT.body]]
    headers = await running.user("bob")
    for _ in range(5):
        client = await running.client()
        response = await client.request("POST", running.path(CHAT), headers, CHAT.request_body(stream=False))
        assert (response.status, response.body) == (200, CHAT.body)
        client.close()
    for client, _ in stuck:
        client.reset()
    await running.ended(10)


@pytest.mark.gen_test
async def test_a_client_that_takes_nothing_is_cut_and_its_slot_is_free(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.relay, "STALL_SECONDS", 0.2)
    running.upstream.scripts = [endless(EVENT_STREAM + CHUNKED, EVENT)]
    client, response = await begin(running, streaming=True)
    await (await running.upstream.request()).closed.wait()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert running.bridge.overload.holding == 0
    (recorded,) = await running.ended(1)
    assert (recorded["status"], recorded["end_reason"]) == ("failed", "client_disconnected")
    assert not (await client.rest(response)).whole


@pytest.mark.bridge(user_token_limit=1_000_000)
@pytest.mark.gen_test
async def test_a_client_that_takes_nothing_is_charged_for_what_comes_behind(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.relay, "STALL_SECONDS", 0.2)
    running.upstream.scripts = [[EVENT_STREAM + CHUNKED, chunk(EVENT * 200), chunk(CHAT.stream), LAST]]
    await begin(running, streaming=True)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], running.tokens(recorded)) == ("client_disconnected", CHAT.tokens)
    assert await used(running, Kind.TOKENS) == 7


@pytest.mark.bridge(upstream_idle_timeout=timedelta(seconds=0.5))
@pytest.mark.gen_test
async def test_a_silent_stream_is_not_taken_for_a_client_that_takes_nothing(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.relay, "STALL_SECONDS", 0.05)
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(first), asyncio.Event())
    client = await running.client()
    response = await client.request("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    assert bytes(response.body).startswith(first + b"event: error\n")
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_timeout"
