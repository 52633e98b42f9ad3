"""What goes to a provider and what it sends, cut short or whole: which end the record of the call gets.

The same on any HTTP server; see `test_relay.py` for what is not.
"""

import asyncio
import json
from itertools import product

import pytest

from handlers.dataplane import relay
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import finish
from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.dialects.readers import StreamReader
from intercept.restricted_texts import MAX_SPLIT
from tests.fake_upstream import RESET
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from tests.raw_client import RawClient
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk


@pytest.mark.expects_log("provider key refused")
async def test_the_providers_key_goes_upstream_and_its_errors_come_back(running, log_watch):
    # the providers key goes upstream and the clients token does not
    running.upstream.play(JSON + b"Content-Length: 2\r\n\r\n{}")
    headers = running.headers | {"X-Stainless-Lang": "python", "Cookie": "a=b", "Accept-Encoding": "gzip"}
    await running.request("POST", running.path(CHAT) + "?x=%20y", headers, CHAT.request_body(stream=False))
    await running.request("POST", running.path(MESSAGES) + "?beta=true", headers, MESSAGES.request_body(stream=False))
    openai, anthropic = running.upstream.requests
    assert (openai.target, anthropic.target) == ("/v1/chat/completions?x=%20y", "/v1/messages?beta=true")
    assert openai.header("Authorization") == ["Bearer sk-openai-provider-key"]
    assert (anthropic.header("Authorization"), anthropic.header("X-Api-Key")) == ([], ["sk-anthropic-provider-key"])
    for request in (openai, anthropic):
        assert request.header("Accept-Encoding") == ["identity"]
        assert request.header("X-Stainless-Lang") == ["python"]
        assert request.header("Cookie") == []
        assert not any(running.token in value for _, value in request.headers)
    await running.ended(2)
    await running.afresh()
    # an upstreams error is relayed and recorded as such
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for number, status in enumerate((400, 429, 500, 529, 401), start=1):
        head = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n"
        running.upstream.scripts = [[head % (status, len(body)) + body]]
        response = await running.call(MESSAGES, stream=True)
        assert (response.status, response.body, response.header("Retry-After")) == (status, body, "7"), status
        recorded, *_ = await running.ended(number)
        end = (recorded["status"], recorded["end_reason"], recorded["upstream_status"])
        assert end == ("failed", "upstream_error", status), status
        assert recorded["error"] == {"type": "overloaded_error", "message": "Overloaded"}, status
        assert recorded["token_usages"] == [], status
        assert len(log_watch.lines) == (status == 401), status


async def test_a_stream_that_ends_cleanly_or_by_a_hang_up_is_recorded_as_it_ended(running):
    # a stream without its last event ends cleanly and is truncated
    part = MESSAGES.stream[: MESSAGES.stream.index(b"event: message_delta")]
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(part), LAST)
    response = await running.call(MESSAGES, stream=True)
    assert (response.body, response.whole) == (part, True)
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "upstream_truncated"
    assert [usage["source"] for usage in recorded["token_usages"]] == ["partial"]
    await running.afresh()
    # an upstream that hangs up gives 502 in the dialect
    running.upstream.play(RESET)
    response = await running.call(MESSAGES, stream=True)
    message = "anthropic: the provider closed the connection before its response was complete."
    assert response.status == 502
    error = json.loads(response.body)
    assert (error["error"], error["message"]) == ({"type": "api_error", "message": message}, message)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["upstream_status"]) == ("upstream_unreachable", None)
    assert response.header("X-AI-Bridge-Interception-Id") == recorded["id"]
    await running.afresh()
    # a chat stream that ends cleanly without done is completed
    stream = CHAT.stream.removesuffix(b"data: [DONE]\n\n")
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(stream), LAST)
    response = await running.call(CHAT, stream=True)
    assert (response.body, response.whole) == (stream, True)
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["token_usages"][0]["source"]) == ("completed", "provider")


async def test_a_client_that_leaves_is_charged_and_has_an_end_by_what_it_had_seen(running, monkeypatch):
    # a client that leaves before the usage of its response is charged
    left, stop = asyncio.Event(), ProxyHandler.stop
    monkeypatch.setattr(ProxyHandler, "stop", lambda self, reason: (stop(self, reason), left.set()))
    item = {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": []}}
    streams = (
        (CHAT, b"data: {", b""),
        (RESPONSES, b"event: response.completed", f"data: {json.dumps(item)}\n\n".encode()),
        (MESSAGES, b"event: message_delta", b""),
    )
    bodies = [(CHAT, False, JSON, CHAT.body[:40], CHAT.body[40:])]
    for dialect, last, before in streams:
        end = dialect.stream.rindex(last)
        bodies.append((dialect, True, EVENT_STREAM, dialect.stream[:end] + before, dialect.stream[end:]))
    for number, ((dialect, stream, head, first, rest), leave) in enumerate(
        product(bodies, (RawClient.close, RawClient.reset)), start=1
    ):
        case = (dialect.path, stream)
        left.clear()
        running.upstream.scripts = [[head + CHUNKED + chunk(first), left, chunk(rest), LAST]]
        client, response = await running.begin(dialect, stream=stream)
        while response.body != first:
            await client.piece(response)
        leave(client)
        recorded, *_ = await running.ended(number)
        assert recorded["end_reason"] == "client_disconnected", case
        assert (running.tokens(recorded), recorded["token_usages"][0]["source"]) == (dialect.tokens, "provider"), case
    await running.afresh()
    # a client that leaves has an end by what it had seen
    # a client that leaves after the last event has a completed call
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(MESSAGES.stream), asyncio.Event())
    client, response = await running.begin(MESSAGES, stream=True)
    assert await client.piece(response) == MESSAGES.stream
    client.close()
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["token_usages"][0]["source"]) == ("completed", "provider")
    await running.afresh()
    # a client that leaves between finish reason and done has left
    monkeypatch.setattr(relay, "REST_SECONDS", 0.01)
    for number, (case, events) in enumerate({"before the usage": 3, "after the usage": 4}.items(), start=1):
        parts = [part + b"\n\n" for part in CHAT.stream.split(b"\n\n")[:events]]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *map(chunk, parts), asyncio.Event()]]
        client, response = await running.begin(CHAT, stream=True)
        while response.body != b"".join(parts):
            await client.piece(response)
        client.close()
        recorded, *_ = await running.ended(number)
        assert recorded["end_reason"] == "client_disconnected", case
        assert [usage["source"] for usage in recorded["token_usages"]] == ["partial"] * (events - 3), case


async def test_the_providers_id_of_a_request_is_recorded_by_whichever_header_has_it(running):
    cases = {b"request-id: \r\n": None, b"x-request-id: x\r\n": "x", b"x-request-id: x\r\nrequest-id: r\r\n": "r"}
    for number, (headers, recorded_id) in enumerate(cases.items(), start=1):
        running.upstream.scripts = [[JSON + headers + b"Content-Length: 2\r\n\r\n{}"]]
        await running.call(CHAT)
        recorded, *_ = await running.ended(number)
        assert recorded["upstream_request_id"] == recorded_id, headers


@pytest.mark.parametrize("fails", ["feed", "result"])
@pytest.mark.expects_log("ERROR handlers.dataplane.call: a reader failed and was dropped: interception=.* api=messages")
async def test_a_reader_that_fails_is_dropped_and_logged_once_and_the_relay_goes_on(
    running, monkeypatch, log_watch, fails
):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr(StreamReader, fails, fail)
    for number, (end, reason) in enumerate(((LAST, "completed"), (RESET, "upstream_truncated")), start=1):
        before = len(log_watch.lines)
        pieces = [chunk(MESSAGES.stream[:100]), chunk(MESSAGES.stream[100:])]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *pieces, end]]
        body = MESSAGES.request_body(stream=True)
        response = await running.request("POST", running.path(MESSAGES), running.headers, body)
        assert response.body == MESSAGES.stream
        recorded, *_ = await running.ended(number)
        assert (recorded["end_reason"], recorded["upstream_status"], recorded["token_usages"]) == (reason, 200, [])
        assert len(log_watch.lines) == before + 1, reason


async def test_the_providers_words_for_an_error_win_and_are_recorded_without_half_a_credential(running):
    # they win over the bridge's where the response is cut
    error = b'{"error":{"type":"api_error","message":"Internal"}}'
    running.upstream.play(b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n" + CHUNKED + chunk(error), RESET)
    body = MESSAGES.request_body(stream=False)
    await running.request("POST", running.path(MESSAGES), running.headers, body)
    (recorded,) = await running.ended(1)
    assert recorded["error"] == {"type": "api_error", "message": "Internal"}
    # of a message that was cut the end goes before credentials are taken out
    key = "sk-proj-0123456789abcdefghij"
    filling = "x" * (MAX_ERROR_MESSAGE - len(key) - 17)
    error = json.dumps({"error": {"type": "t", "message": f"{key} {filling} ada@example.com"}}).encode()
    head = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(error)
    running.upstream.scripts = [[head + error]]
    await running.request("POST", running.path(MESSAGES), running.headers, body)
    recorded, _ = await running.ended(2)
    assert recorded["error"]["message"] == f"[scrubbed] {filling[: 16 - MAX_SPLIT]}"


async def test_work_is_done_to_its_end_however_often_the_request_is_stopped():
    begun, gate, done = asyncio.Event(), asyncio.Event(), []

    async def work():
        begun.set()
        await gate.wait()
        done.append("all")

    request = asyncio.ensure_future(finish(work()))
    await begun.wait()
    for _ in range(2):
        request.cancel()
        await asyncio.sleep(0)
        assert not request.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert done == ["all"]


async def test_a_failure_of_the_work_is_raised():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finish(work())
