"""Of an upstream that does not come to an end nothing piles up."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest

from intercept.formats.streams import MAX_EVENT_BYTES
from tests.bridge import until
from tests.cases import for_each
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS

PIECE = b"x" * 2**16
# More than the relay, two sockets and the test's own client hold.
UNDER_WAY = 8 * 2**20
# So much that it would be noticed if it were held.
ENOUGH = 3 * MAX_EVENT_BYTES


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


@for_each(
    ("stream", "head", "held"),
    [(False, JSON + CHUNKED, 0), (True, EVENT_STREAM + CHUNKED + chunk(b"data: "), MAX_EVENT_BYTES)],
)
@pytest.mark.gen_test
async def test_a_body_and_an_event_without_end_are_relayed_and_little_of_them_is_held(running, stream, head, held):
    """Neither has a bound but its client; what is held for the record has one."""
    await running.afresh()
    running.upstream.scripts = [_then(head)]
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=stream))
    response = await client.head()
    tracemalloc.start()
    try:
        length = 0
        while length < ENOUGH:
            length += len(await client.piece(response))
            response.pieces.clear()
            response.body.clear()
        assert tracemalloc.get_traced_memory()[0] < held + UNDER_WAY
    finally:
        tracemalloc.stop()
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
