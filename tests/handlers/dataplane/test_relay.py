"""Bytes through the bridge: unchanged, at once, and an end that never looks like another."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import product

import pytest

from tests.bridge import until
from tests.fake_upstream import CLOSE, RESET
from tests.handlers.conversations import ALL, CHAT, MESSAGES
from tests.raw_client import RawClient
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


async def test_a_body_reaches_the_client_byte_for_byte_streamed_or_with_its_length(running):
    # a stream reaches the client byte for byte on a reused connection
    client = await running.client()
    cases = [(conversation, size) for conversation in ALL for size in (1, 7, 100, 10**6)]
    ids = []
    for number, (conversation, size) in enumerate(cases):
        case, body = (conversation.path, size), conversation.request_body(stream=True)
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *map(chunk, cut(conversation.stream, size)), LAST]]
        response = await client.request("POST", running.path(conversation), running.headers, body)
        ids.append(response.header("X-AI-Bridge-Interception-Id"))
        assert (response.status, response.body, response.whole) == (200, conversation.stream, True), case
        assert running.upstream.requests[number].body == body, case
    assert len(running.upstream.connections) == 1
    for recorded in await running.ended(len(cases)):
        conversation, size = cases[ids.index(recorded["id"])]
        case = (conversation.path, size)
        assert (recorded["end_reason"], recorded["streaming"]) == ("completed", True), case
        assert running.tokens(recorded) == conversation.tokens, case
        assert [prompt["prompt"] for prompt in recorded["user_prompts"]] == ["Hello"], case
    await running.afresh()
    # a whole body reaches the client byte for byte with its length
    client = await running.client()
    cases = [(conversation, size) for conversation in ALL for size in (1, 100, 10**6)]
    ids = []  # two that begin in one millisecond are in no order
    for conversation, size in cases:
        case, length = (conversation.path, size), str(len(conversation.body))
        head = JSON + f"Content-Length: {length}\r\n\r\n".encode()
        running.upstream.scripts = [[head, *cut(conversation.body, size)]]
        response = await client.request(
            "POST", running.path(conversation), running.headers, conversation.request_body(stream=False)
        )
        ids.append(response.header("X-AI-Bridge-Interception-Id"))
        got = (response.status, response.body, response.header("Content-Length"), response.header("Transfer-Encoding"))
        assert got == (200, conversation.body, length, None), case
    for recorded in await running.ended(len(cases)):
        conversation, size = cases[ids.index(recorded["id"])]
        case = (conversation.path, size)
        assert (recorded["end_reason"], recorded["streaming"]) == ("completed", False), case
        assert running.tokens(recorded) == conversation.tokens, case


async def test_pieces_arrive_at_once_after_a_head_with_a_date_and_the_body_is_let_go(running):
    # each event arrives before the next one is sent
    events = [b'data: {"n":%d}\n\n' % number for number in range(20)]
    client = await running.client()
    for _ in range(2):
        gates = [asyncio.Event() for _ in events]
        script = [step for event, gate in zip(events, gates, strict=True) for step in (chunk(event), gate)]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *script, LAST]]
        await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        response = await client.head()
        for event, gate in zip(events, gates, strict=True):
            assert await client.piece(response) == event
            gate.set()
        assert (await client.rest(response)).whole
    await running.ended(2)
    await running.afresh()
    # the head is there before the first event
    gate = asyncio.Event()
    running.upstream.play(EVENT_STREAM + CHUNKED, gate, chunk(b"data: [DONE]\n\n"), LAST)
    client, response = await running.begin(CHAT, stream=True)
    assert response.status == 200
    gate.set()
    assert (await client.rest(response)).body == b"data: [DONE]\n\n"
    await running.afresh()
    # an answer that has no date gets one
    running.upstream.play(JSON + b"Content-Length: 2\r\n\r\n{}")
    client = await running.client()
    for path, status in ((running.path(CHAT), 200), ("/api/v2/aibridge/unknown/v1/models", 404), ("/healthz", 405)):
        response = await client.request("POST", path, running.headers, CHAT.request_body(stream=False))
        assert response.status == status
        age = datetime.now(UTC) - parsedate_to_datetime(response.header("Date"))
        assert timedelta(0) <= age < timedelta(minutes=1)
    await running.afresh()
    # the request body is let go when the answer begins
    gate = asyncio.Event()
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(b"data: 1\n\n"), gate, LAST)
    client, response = await running.begin(CHAT, stream=True)
    (handler,) = running.bridge.lifecycle._under_way
    assert handler.body == b""
    gate.set()
    await client.rest(response)
    await running.ended(1)


async def test_nagle_is_off_during_every_request_of_a_connection(running, http_server):
    gates = [asyncio.Event(), asyncio.Event()]
    for gate in gates:
        running.upstream.play(EVENT_STREAM + CHUNKED, chunk(b"data: 1\n\n"), gate, LAST)
    client = await running.client()
    for gate in gates:
        await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        response = await client.head()
        await client.piece(response)
        (connection,) = http_server.connections
        assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        gate.set()
        await client.rest(response)


async def test_the_upstreams_head_reaches_the_client_and_a_cut_body_never_looks_complete(running):
    # the upstreams head reaches the client and ours is added
    running.upstream.play(
        EVENT_STREAM + b"request-id: req_1\r\nanthropic-ratelimit-requests-remaining: 7\r\nX-Multi: a\r\nX-Multi: b\r\n"
        b"Server-Timing: inference;dur=3\r\nDate: Thu, 26 Nov 2026 05:45:08 GMT\r\n"
        b"Set-Cookie: x=1\r\nConnection: keep-alive\r\nServer: theirs\r\n" + CHUNKED,
        LAST,
    )
    client = await running.client()
    response = await client.request("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    _, timing = [value for name, value in response.headers if name == "Server-Timing"]
    (recorded,) = await running.ended(1)
    names = ("auth", "admission", "record", "upstream", "dns", "connect")
    assert re.fullmatch(", ".join(rf"{name};dur=[\d.]+" for name in names), timing)
    assert sorted(response.headers) == [
        ("Anthropic-Ratelimit-Requests-Remaining", "7"),
        ("Cache-Control", "no-cache, no-transform"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Date", "Thu, 26 Nov 2026 05:45:08 GMT"),
        ("Request-Id", "req_1"),
        ("Server", "theirs"),
        ("Server-Timing", timing),
        ("Server-Timing", "inference;dur=3"),
        ("Transfer-Encoding", "chunked"),
        ("X-Accel-Buffering", "no"),
        ("X-Ai-Bridge-Interception-Id", recorded["id"]),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Multi", "a"),
        ("X-Multi", "b"),
    ]
    assert recorded["upstream_request_id"] == "req_1"
    await running.afresh()
    # a body that was cut never looks complete
    part = MESSAGES.stream[:200]
    cases = list(product((CHUNKED, b"Content-Length: 99999\r\n\r\n"), (CLOSE, RESET)))
    for number, (framing, end) in enumerate(cases, start=1):
        gate = asyncio.Event()
        piece = chunk(part) if framing is CHUNKED else part
        running.upstream.scripts = [[EVENT_STREAM + framing, piece, gate, end]]
        client, response = await running.begin(MESSAGES, stream=True)
        await client.piece(response)
        gate.set()
        await client.rest(response)
        assert (response.body, response.whole) == (part, False), (framing, end)
        recorded, *_ = await running.ended(number)
        assert recorded["end_reason"] == "upstream_truncated", (framing, end)


async def test_an_http_1_0_client_sees_how_a_body_ends_by_the_connection(running):
    # an http 1 0 client sees a reset where the body was cut
    gate = asyncio.Event()
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(b"data: 1\n\n"), gate, RESET)
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True), version="1.0")
    response = await client.head()
    assert response.header("Transfer-Encoding") is None
    gate.set()
    with pytest.raises(ConnectionResetError):
        await client.at_end()
    await running.ended(1)
    await running.afresh()
    # an http 1 0 keep alive client sees the close end a stream
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    client = await running.client()
    headers = running.headers | {"Connection": "keep-alive"}
    await client.send("POST", running.path(CHAT), headers, CHAT.request_body(stream=True), version="1.0")
    response = await client.head()
    assert (response.header("Connection"), response.header("Transfer-Encoding")) == ("close", None)
    assert await client.at_end() == CHAT.stream
    await running.ended(1)


@pytest.mark.bridge(upstream_idle_timeout=timedelta(seconds=0.1))
async def test_a_provider_that_stays_silent_is_given_up_and_told_where_that_can_be(running):
    # an upstream that stays silent gives 504
    running.upstream.play(asyncio.Event())
    response = await running.call(CHAT, stream=True)
    message = "openai: the provider sent nothing for longer than the idle timeout."
    assert (response.status, json.loads(response.body)["message"]) == (504, message)
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_timeout"
    await running.afresh()
    # a stream that stalls between two events is told why and broken off
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(first), asyncio.Event())
    response = await running.call(MESSAGES, stream=True)
    assert response.body.startswith(first + b'event: error\ndata: {"type":"error","error":{"type":"timeout_error"')
    assert not response.whole
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_timeout"
    await running.afresh()
    # a stream that stalls inside an event is broken off without a word
    part = MESSAGES.stream[:50]
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(part), asyncio.Event())
    client = await running.client()
    response = await client.request("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    assert (response.body, response.whole) == (part, False)
    await running.ended(1)
    await running.afresh()
    # a stalled stream with a length or compressed is broken off without a word
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    for number, header in enumerate((b"Content-Length: 99999", b"Content-Encoding: br\r\nConnection: close"), start=1):
        running.upstream.scripts = [[EVENT_STREAM + header + b"\r\n\r\n" + first, asyncio.Event()]]
        client = await running.client()
        body = MESSAGES.request_body(stream=True)
        response = await client.request("POST", running.path(MESSAGES), running.headers, body)
        assert (response.body, response.whole) == (first, False), header
        await until(lambda: running.bridge.lifecycle.in_flight == 0)
        await running.ended(number)


async def test_a_client_that_leaves_before_a_head_or_in_a_body_closes_its_upstream(running, monkeypatch):
    # a client that leaves closes its upstream and is recorded with what was seen
    for number, events in enumerate((0, 1, 3)):
        parts = [part + b"\n\n" for part in MESSAGES.stream.split(b"\n\n")[:events]]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *map(chunk, parts), asyncio.Event()]]
        client, response = await running.begin(MESSAGES, stream=True)
        while response.body != b"".join(parts):
            await client.piece(response)
        client.close()
        await (await running.upstream.request(number)).closed.wait()
        recorded, *_ = await running.ended(number + 1)
        assert (recorded["status"], recorded["end_reason"]) == ("failed", "client_disconnected"), events
        assert [usage["output_tokens"] for usage in recorded["token_usages"]] == ([1] if events else []), events
        assert (recorded["first_byte_at"] is None) == (events == 0), events
        assert running.bridge.lifecycle.in_flight == 0, events
    await running.afresh()
    # a client that leaves before the upstreams head closes its upstream
    running.upstream.play(asyncio.Event())
    further = (b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nHost: bridge\r\n\r\n")
    cases = list(product((RawClient.close, RawClient.reset), further))
    for number, (leave, more) in enumerate(cases):
        client = await running.client()
        await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        request = await running.upstream.request(number)
        await client.send_raw(more)
        leave(client)
        await request.closed.wait()
        recorded, *_ = await running.ended(number + 1)
        end = (recorded["end_reason"], recorded["upstream_status"])
        assert end == ("client_disconnected", None), (leave.__name__, more)
    await running.afresh()
    # a client that leaves while it is identified causes no upstream call
    identified, requested = asyncio.Event(), asyncio.Event()

    async def slowly(_token, *_kind):
        requested.set()
        await identified.wait()
        return running.identity

    monkeypatch.setattr(running.bridge.identities, "authenticate", slowly)
    client = await running.client()
    await client.send("GET", "/api/v2/aibridge/openai/v1/models", running.headers)
    await requested.wait()
    client.reset()
    (handler,) = running.bridge.lifecycle._under_way
    await until(lambda: handler.cycle.closed)
    identified.set()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert running.upstream.requests == []


async def test_routes_that_are_not_recorded_a_head_and_the_old_prefix_are_relayed(running):
    # a passthrough route is relayed and not recorded
    client = await running.client()
    for method, route, status in (
        ("GET", "/v1/models", 200),
        ("POST", "/v1/responses/input_tokens", 400),
        ("DELETE", "/v1/responses/resp_1", 200),
    ):
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
        running.upstream.scripts = [[head % status + b"{'a':1}"]]
        response = await client.request(method, f"/api/v2/aibridge/openai{route}?limit=1", running.own_key)
        assert (response.status, response.body) == (status, b"{'a':1}"), route
        assert response.header("X-AI-Bridge-Interception-Id") is None, route
        assert running.upstream.requests[-1].target == f"{route}?limit=1"
        assert await running.bridge.database.interceptions.count_documents({}) == 0, route
    await running.afresh()
    # a head request passes through without a body
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    client = await running.client()
    for _ in range(2):
        response = await client.request("HEAD", "/api/v2/aibridge/openai/v1/models", running.headers)
        assert (response.status, response.header("Content-Length")) == (200, "1234")
    await running.afresh()
    # the experimental prefix leads to the same place
    running.upstream.play(JSON + b"Content-Length: %d\r\n\r\n%s" % (len(CHAT.body), CHAT.body))
    client = await running.client()
    path = "/api/experimental/aibridge/openai/v1/chat/completions"
    response = await client.request("POST", path, running.headers, CHAT.request_body(stream=False))
    assert response.body == CHAT.body
    await running.ended(1)
    await running.afresh()
    # a length that no content has is not relayed
    running.upstream.play(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
    client = await running.client()
    for _ in range(2):
        response = await client.request("DELETE", "/api/v2/aibridge/openai/v1/responses/r", running.own_key)
        assert (response.status, response.header("Content-Length")) == (204, None)
        running.upstream.connections[-1].transport.abort()
