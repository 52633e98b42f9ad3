"""Clients that read slowly or not at all, and providers without end: they hold little, and not for ever."""

import asyncio
import json
import tracemalloc
from datetime import timedelta

import pytest

import handlers.dataplane.relay
from intercept.formats.streams import MAX_EVENT_BYTES
from limits.limit import LimitKind
from tests.bridge import until
from tests.cases import for_each
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.test_call_usage import used
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.connections.connection import READ_BUFFER_BYTES
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk
from upstream.response import MAX_HEADER_LINE_BYTES, MAX_HEADERS

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
async def test_a_client_that_takes_nothing_is_charged_for_what_comes_behind(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.relay, "STALL_SECONDS", 0.2)
    running.upstream.scripts = [[EVENT_STREAM + CHUNKED, chunk(EVENT * 200), chunk(CHAT.stream), LAST]]
    await begin(running, streaming=True)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], running.tokens(recorded)) == ("client_disconnected", CHAT.tokens)
    assert await used(running, LimitKind.TOKENS) == 7


@pytest.mark.bridge(upstream_idle_timeout=timedelta(seconds=0.5))
async def test_a_silent_stream_is_not_taken_for_a_client_that_takes_nothing(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.relay, "STALL_SECONDS", 0.05)
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(first), asyncio.Event())
    response = await running.call(MESSAGES, stream=True)
    assert bytes(response.body).startswith(first + b"event: error\n")
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_timeout"


PIECE = b"x" * 2**16
# More than the relay, two sockets and the test's own client hold.
UNDER_WAY = 8 * 2**20
# So much that it would be noticed if it were held.
ENOUGH = 3 * MAX_EVENT_BYTES


def endless_pieces():
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
    yield from endless_pieces()


async def test_an_event_too_large_to_be_read_is_relayed_and_endless_trailers_end_nothing(running):
    # an event that is too large to be read is relayed and the rest is read
    large = b"data: " + PIECE * (MAX_EVENT_BYTES // len(PIECE) + 1) + b"\n\n"
    pieces = [large[start : start + len(PIECE)] for start in range(0, len(large), len(PIECE))]
    running.upstream.play(EVENT_STREAM + CHUNKED, *map(chunk, pieces), chunk(MESSAGES.stream), LAST)
    client, response = await running.begin(MESSAGES, stream=True)
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
    client, response = await running.begin(CHAT, stream=True)
    await client.piece(response)
    gate.set()
    await client.rest(response)
    assert (response.body, response.whole) == (CHAT.stream[:50], False)
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_truncated"
    await until(lambda: running.bridge.lifecycle.in_flight == 0)


@for_each(
    ("stream", "head", "held"),
    (False, JSON + CHUNKED, 0),
    (True, EVENT_STREAM + CHUNKED + chunk(b"data: "), MAX_EVENT_BYTES),
)
async def test_a_body_and_an_event_without_end_are_relayed_and_little_of_them_is_held(running, stream, head, held):
    """Neither has a bound but its client; what is held for the record has one."""
    await running.afresh()
    running.upstream.scripts = [_then(head)]
    client, response = await running.begin(CHAT, stream=stream)
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


async def test_a_head_without_end_is_a_502_that_names_the_bound(running):
    text = "the provider's response is not HTTP, or its head has more than 128 lines or one of more than 32768 bytes"
    for number, (name, head) in enumerate(HEADS.items()):
        running.upstream.scripts[:] = [(b"HTTP/1.1 200 OK\r\n" + head, asyncio.Event())]
        response = await running.call(CHAT, stream=True)
        assert (response.status, json.loads(response.body)["message"]) == (502, f"openai: {text}."), name
        await (await running.upstream.request(number)).closed.wait()
        recorded = (await running.ended(number + 1))[0]
        assert recorded["id"] == response.header("X-AI-Bridge-Interception-Id"), name
        assert (recorded["end_reason"], recorded["upstream_status"]) == ("upstream_unreachable", None), name
        assert recorded["error"] == {"type": "upstream_unreachable", "message": text}, name
