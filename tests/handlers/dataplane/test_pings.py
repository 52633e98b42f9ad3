"""Pings of the bridge's own in streams whose provider is silent."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from intercept.catalog import ANTHROPIC, OPENAI
from settings import ProviderSettings
from tests.bridge import until
from tests.handlers.conversations import ALL, CHAT, MESSAGES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM
from tests.intercept.dialects.gemini.test_generate_content import CHUNKS
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.bridge(keepalive_interval=timedelta(milliseconds=10))
PING = ANTHROPIC.ping
FIRST = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
REST = MESSAGES.stream[len(FIRST) :]


async def send(running, conversation, receive_buffer=None):
    """Begin a stream; its client, and the head of its response."""
    client = await running.client(receive_buffer=receive_buffer)
    headers, body = running.headers, conversation.request_body(stream=True)
    await client.send("POST", running.path(conversation), headers, body)
    return client, await client.head()


async def new_clock(running):
    """Lets time pass: a stream that is sent pings."""
    running.upstream.scripts[:] = [[EVENT_STREAM + CHUNKED, chunk(FIRST), asyncio.Event()]]
    client, response = await send(running, MESSAGES)
    assert await client.piece(response) == FIRST

    async def pings(number):
        for _ in range(number):
            assert await client.piece(response) == PING

    return pings


@pytest.fixture
def clock(io_loop, running):
    return io_loop.run_sync(lambda: new_clock(running))


async def test_a_silent_stream_is_sent_pings_between_events_where_they_spoil_nothing(running):
    # a silent stream is sent pings between two events and recorded without them
    for calls, (conversation, line_end) in enumerate(product(ALL, (b"\n", b"\r\n", b"\r")), start=1):
        case, gate = (conversation.path, line_end), asyncio.Event()
        stream = conversation.stream.replace(b"\n", line_end)
        first = stream[: stream.index(2 * line_end) + 2 * len(line_end)]
        rest = chunk(stream[len(first) :])
        running.upstream.scripts[:] = [[EVENT_STREAM + CHUNKED, chunk(first), gate, rest, LAST]]
        client, response = await send(running, conversation)
        ping = PING if conversation is MESSAGES else b": ping\n\n"
        assert [await client.piece(response) for _ in range(3)] == [first, ping, ping], case
        gate.set()
        await client.rest(response)
        assert response.whole, case
        assert re.sub(re.escape(ping), b"", response.body) == stream, case
        recorded, *_ = await running.ended(calls)
        assert (recorded["end_reason"], running.tokens(recorded)) == ("completed", conversation.tokens), case
    await running.afresh()
    # where a ping would spoil the answer there is none
    whole = [chunk(REST), LAST]
    text = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    for case, (head, begun, rest) in {
        "before the first event": (EVENT_STREAM + CHUNKED, [], [chunk(MESSAGES.stream), LAST]),
        "inside an event": (EVENT_STREAM + CHUNKED, [chunk(FIRST[:-1])], [chunk(FIRST[-1:] + REST), LAST]),
        "of a known length": (EVENT_STREAM + b"Content-Length: %d\r\n\r\n" % len(MESSAGES.stream), [FIRST], [REST]),
        "compressed": (EVENT_STREAM + b"Content-Encoding: br\r\n" + CHUNKED, [chunk(FIRST)], whole),
        "no event stream": (text + CHUNKED, [chunk(FIRST)], whole),
    }.items():
        clock, gate = await new_clock(running), asyncio.Event()
        running.upstream.scripts[:] = [[head, *begun, gate, *rest]]
        client, response = await send(running, MESSAGES)
        if begun:
            await client.piece(response)
        await clock(3)
        gate.set()
        await client.rest(response)
        assert (response.whole, response.body) == (True, MESSAGES.stream), case


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
async def test_googles_streams_have_no_pings_as_its_sdks_fail_at_comments(running):
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    clock, gate = await new_clock(running), asyncio.Event()
    events = [b"data: %b\r\n\r\n" % json.dumps(each).encode() for each in CHUNKS]
    running.upstream.scripts[:] = [[EVENT_STREAM + CHUNKED, chunk(events[0]), gate, *map(chunk, events[1:]), LAST]]
    client = await running.client()
    path = "/api/v2/aibridge/gemini/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    await client.send("POST", path, running.headers, b'{"contents": []}')
    response = await client.head()
    await client.piece(response)
    await clock(3)
    gate.set()
    await client.rest(response)
    assert (response.whole, response.body) == (True, b"".join(events))


async def test_who_has_not_taken_what_came_is_sent_no_pings_on_top(running, clock):
    gate, large = asyncio.Event(), b"data: %b\n\n" % (b"x" * 8_000_000)
    running.upstream.scripts[:] = [[EVENT_STREAM + CHUNKED, chunk(large), gate, LAST]]
    client, response = await send(running, CHAT, receive_buffer=4096)
    await running.upstream.stalled()
    await clock(3)
    gate.set()
    await client.rest(response)
    # One may come when all is taken, before the end.
    assert (response.whole, response.body.removesuffix(OPENAI.ping)) == (True, large)


async def test_a_ping_that_is_not_taken_is_the_last_and_changes_no_end(running, clock, http_server):
    running.upstream.scripts[:] = [[EVENT_STREAM + CHUNKED, chunk(MESSAGES.stream), asyncio.Event()]]
    others = set(http_server.connections)
    client, response = await send(running, MESSAGES)
    assert await client.piece(response) == MESSAGES.stream
    (connection,) = http_server.connections - others
    connection.pause_writing()  # from now on nothing counts as taken
    assert await client.piece(response) == PING
    await until(lambda: connection.writer._waiters)  # one may have been taken just before
    await clock(3)
    assert len(connection.writer._waiters) == 1
    client.close()
    await until(lambda: running.bridge.lifecycle.in_flight == 1)  # the clock
    await running.bridge.recorder.flush(5)
    _, listed = await running.get("/api/v2/aibridge/interceptions")
    assert [one["end_reason"] for one in listed["results"]] == ["completed"]
