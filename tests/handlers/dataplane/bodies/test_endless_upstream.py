"""An upstream that does not come to an end is cut, with a reason; nothing of it piles up."""

from __future__ import annotations

import asyncio
import json

import pytest

import upstream.client
from intercept.dialects.readers import MAX_BODY_BYTES, BodyReader
from intercept.formats.last_members import MAX_TAIL_BYTES
from intercept.formats.streams.sse import MAX_EVENT_BYTES
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS

PIECE = b"x" * 2**16
# What the relay, two sockets and the test's own client have taken by the time the relay breaks off.
UNDER_WAY = 8 * 2**20


def endless():
    while True:
        yield chunk(PIECE)


async def skim(client, response):
    """Read the rest and keep its length alone."""
    length = 0
    while piece := await client.piece(response):
        length += len(piece)
        response.pieces.clear()
        response.body.clear()
    return length


@pytest.mark.gen_test
async def test_an_event_without_end_breaks_the_stream_off_and_is_recorded_as_its_error(running, monkeypatch):
    most = UNDER_WAY + 2**20  # a third of what it is takes a third of the processor
    monkeypatch.setattr(upstream.client, "MAX_EVENT_STREAM_BYTES", most)
    first = CHAT.stream[: CHAT.stream.index(b"\n\n") + 2]
    running.upstream.scripts = [_then(EVENT_STREAM + CHUNKED, chunk(first + b"data: "))]
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
    response = await client.head()
    length = await skim(client, response)
    assert (response.status, response.whole) == (200, False)
    assert most - UNDER_WAY < length <= most + len(first)
    await (await running.upstream.request()).closed.wait()
    (recorded,) = await running.ended(1)
    message = f"the provider sent an event of more than {most} bytes"
    assert {name: recorded[name] for name in ("status", "end_reason", "upstream_status", "error")} == {
        "status": "failed",
        "end_reason": "upstream_stream_error",
        "upstream_status": 200,
        "error": {"type": "upstream_stream_error", "message": message},
    }
    assert running.bridge.lifecycle.in_flight == 0


def _then(*steps):
    yield from steps
    yield from endless()


@pytest.mark.gen_test
async def test_an_event_too_large_to_be_read_is_relayed_and_endless_trailers_end_nothing(running):
    # an event that is too large to be read is relayed and the rest is read
    large = b"data: " + PIECE * (MAX_EVENT_BYTES // len(PIECE) + 1) + b"\n\n"
    pieces = [large[start : start + len(PIECE)] for start in range(0, len(large), len(PIECE))]
    running.upstream.play(EVENT_STREAM + CHUNKED, *map(chunk, pieces), chunk(MESSAGES.stream), LAST)
    client = await running.client()
    await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    response = await client.head()
    assert await skim(client, response) == len(large) + len(MESSAGES.stream)
    assert response.whole
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["metadata"]) == ("completed", {"truncated": True})
    assert running.tokens(recorded) == MESSAGES.tokens
    await running.afresh()
    # trailers without end never make a whole answer
    gate = asyncio.Event()
    running.upstream.play(
        EVENT_STREAM + CHUNKED, chunk(CHAT.stream[:50]), gate, b"0\r\n" + HEADS["headers"], asyncio.Event()
    )
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
    response = await client.head()
    await client.piece(response)
    gate.set()
    await client.rest(response)
    assert (response.body, response.whole) == (CHAT.stream[:50], False)
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_truncated"
    await until(lambda: running.bridge.lifecycle.in_flight == 0)


@pytest.mark.gen_test
async def test_a_body_without_end_is_relayed_and_little_of_it_is_held(running, monkeypatch):
    """A blocking body has no bound but its client; what is held for its record has one."""
    readers, feed = set(), BodyReader.feed
    monkeypatch.setattr(BodyReader, "feed", lambda reader, data: (readers.add(reader), feed(reader, data)))
    running.upstream.scripts = [_then(JSON + CHUNKED)]
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    response = await client.head()
    length = 0
    while length < MAX_BODY_BYTES + UNDER_WAY:
        length += len(await client.piece(response))
        response.pieces.clear()
        response.body.clear()
    assert [len(reader._body) for reader in readers] == [MAX_TAIL_BYTES]
    client.reset()
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["token_usages"]) == ("client_disconnected", [])


HEADS = {
    "headers": b"".join(b"X-%d: y\r\n" % number for number in range(2 * MAX_HEADERS)),
    "a header": b"X: " + b"y" * 2 * MAX_HEADER_LINE_BYTES,
}


@pytest.mark.gen_test
async def test_a_head_without_end_is_a_502_that_names_the_bound(running):
    text = "the provider's response is not HTTP, or its head has more than 128 lines or one of more than 32768 bytes"
    for number, (name, head) in enumerate(HEADS.items()):
        running.upstream.scripts[:] = [(b"HTTP/1.1 200 OK\r\n" + head, asyncio.Event())]
        client = await running.client()
        response = await client.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        assert (response.status, json.loads(response.body)["message"]) == (502, f"openai: {text}."), name
        await (await running.upstream.request(number)).closed.wait()
        recorded = (await running.ended(number + 1))[0]
        assert recorded["id"] == response.header("X-AI-Bridge-Interception-Id"), name
        assert (recorded["end_reason"], recorded["upstream_status"]) == ("upstream_unreachable", None), name
        assert recorded["error"] == {"type": "upstream_unreachable", "message": text}, name
