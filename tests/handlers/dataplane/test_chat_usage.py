"""Chat streams whose tokens the bridge asks for in the client's place."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from zstandard import ZstdCompressor

from handlers.dataplane.shared import MAX_REMEMBERED, REMEMBERED_SECONDS, Asked, ChatUsage
from intercept.apis import RequestSummary
from intercept.catalog import CHAT_COMPLETIONS, RESPONSES
from settings import ChatStreamUsage
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.conversations import CHAT
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

BODY = b'{"model": "gpt-5", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
ASKING = BODY[:-1] + b',"stream_options":{"include_usage":true}}'
UNKNOWN = b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}'
OTHER = b'{"error":{"message":"max_tokens is too large"}}'


def refusal(body: bytes, status: int = 400) -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def without_usage(stream: bytes) -> bytes:
    events = stream.split(b"\n\n")
    return b"\n\n".join(event for event in events if b'"choices": []' not in event)


async def call(running, body=BODY, query=""):
    return await running.request("POST", running.path(CHAT) + query, running.headers, body)


async def test_the_usage_of_a_chat_stream_is_recorded_and_hidden_from_who_did_not_ask(running):
    # a stream whose client did not ask has its tokens recorded
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    response = await call(running)
    assert running.upstream.requests[0].body == ASKING
    assert (response.body, response.whole) == (without_usage(CHAT.stream), True)
    assert response.body != CHAT.stream
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], running.tokens(recorded)) == ("completed", CHAT.tokens)
    await running.afresh()
    # the usage is hidden however the provider cuts its stream
    for size in (1, 7, 100):
        pieces = [CHAT.stream[at : at + size] for at in range(0, len(CHAT.stream), size)]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *map(chunk, pieces), LAST]]
        response = await call(running)
        assert (response.body, response.whole) == (without_usage(CHAT.stream), True), size
    await running.afresh()
    # a stream with a length is sent without one as it gets shorter
    running.upstream.play(EVENT_STREAM + b"Content-Length: %d\r\n\r\n" % len(CHAT.stream) + CHAT.stream)
    response = await call(running)
    assert response.header("Content-Length") is None
    assert (response.body, response.whole) == (without_usage(CHAT.stream), True)
    await running.afresh()
    # that of a large one too whatever is in it and though its client declines
    many = b'{"stream_options":{}},' * 9_000
    declining = BODY[:-1] + b',"stream_options":{"include_usage":false},"x":[%b0]}' % many
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    response = await call(running, declining)
    assert running.upstream.requests[0].body == declining.replace(b"false", b"true")
    assert response.body == without_usage(CHAT.stream)
    (recorded,) = await running.ended(1)
    assert running.tokens(recorded) == CHAT.tokens
    # options that are too large to be changed are refused
    for more in b"", b',"x":[%b0]' % many:
        options = b'{"include_usage":false%b}' % (b" " * 20_000)
        response = await call(running, BODY[:-1] + b',"stream_options":%b%b}' % (options, more))
        assert response.status == 400, more[:9]
        assert json.loads(response.body)["message"] == "stream_options is too large: at most 4096 bytes", more[:9]
    await running.afresh()
    # half an event at the end of a stream reaches the client
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream + b"data: half"), LAST)
    assert (await call(running)).body == without_usage(CHAT.stream) + b"data: half"
    await running.afresh()
    # a client that asked sees the usage and a blocking call stays as it is
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    running.upstream.play(JSON + b"Content-Length: %d\r\n\r\n%s" % (len(CHAT.body), CHAT.body))
    requested = CHAT.request_body(stream=True)
    assert (await call(running, requested)).body == CHAT.stream
    blocking = json.dumps({"model": "m", "messages": []}).encode()
    assert (await call(running, blocking)).body == CHAT.body
    assert [request.body for request in running.upstream.requests] == [requested, blocking]


async def test_a_compressed_chat_and_a_legacy_completion_have_their_tokens_recorded_too(running):
    packers = {"gzip": gzip.compress, "zstd": ZstdCompressor().compress}
    for number, (encoding, pack) in enumerate(packers.items(), start=1):
        running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
        compressed = running.headers | {"Content-Encoding": encoding}
        response = await running.request("POST", running.path(CHAT), compressed, pack(BODY))
        sent = running.upstream.requests[-1]
        assert (sent.body, sent.header("Content-Encoding")) == (ASKING, []), encoding
        assert response.body == without_usage(CHAT.stream), encoding
        recorded, *_ = await running.ended(number)
        assert running.tokens(recorded) == CHAT.tokens, encoding
    # one that asks itself goes as it is, and so does one whose option is refused
    asking = gzip.compress(CHAT.request_body(stream=True))
    response = await running.request("POST", running.path(CHAT), running.headers | {"Content-Encoding": "gzip"}, asking)
    assert (running.upstream.requests[-1].body, response.body) == (asking, CHAT.stream)
    await running.ended(3)
    await running.afresh()
    running.upstream.play(refusal(UNKNOWN))
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    body = gzip.compress(BODY.replace(b"gpt-5", b"old"))
    response = await running.request("POST", running.path(CHAT), running.headers | {"Content-Encoding": "gzip"}, body)
    _, again = running.upstream.requests
    assert (again.body, again.header("Content-Encoding"), response.body) == (body, ["gzip"], CHAT.stream)
    await running.ended(1)
    await running.afresh()
    # completions of the older kind
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    path, asked = "/api/v2/aibridge/openai/v1/completions", b'{"model": "m", "prompt": "Go", "stream": true}'
    response = await running.request("POST", path, running.headers, asked)
    assert running.upstream.requests[0].body == asked[:-1] + ASKING[-41:]
    assert response.body == without_usage(CHAT.stream)
    (recorded,) = await running.ended(1)
    assert running.tokens(recorded) == CHAT.tokens


@pytest.mark.parametrize("status", [400, 422])
async def test_a_provider_that_refuses_the_option_is_asked_without_it_and_remembered(running, status):
    running.upstream.play(refusal(UNKNOWN, status))
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    for _ in range(2):
        response = await call(running)
        assert (response.status, response.body) == (200, CHAT.stream)
    assert [request.body for request in running.upstream.requests] == [ASKING, BODY, BODY]
    assert [one["end_reason"] for one in await running.ended(2)] == ["completed"] * 2
    await running.afresh()
    # another version of the API may know it, and then a request that it does not go together with tells nothing of others
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    running.upstream.play(refusal(UNKNOWN, status))
    for _ in range(2):
        running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    shown = [(await call(running, query="?api-version=2024-10-21")).body for _ in range(3)]
    assert shown == [without_usage(CHAT.stream), CHAT.stream, without_usage(CHAT.stream)]
    assert [request.body for request in running.upstream.requests] == [ASKING, ASKING, BODY, ASKING]


async def test_a_400_that_is_not_of_the_option_is_passed_on_as_far_as_it_came(running):
    # a 400 for another reason is passed on and nothing is asked again
    running.upstream.play(refusal(OTHER))
    response = await call(running)
    assert (response.status, response.body) == (400, OTHER)
    assert len(running.upstream.requests) == 1
    (recorded,) = await running.ended(1)
    assert recorded["error"]["message"] == "max_tokens is too large"
    await running.afresh()
    # a refusal that only repeats the request is not taken for one of the option
    repeated = b'{"detail":[{"type":"missing","loc":["body","messages"],"input":%s}]}'
    running.upstream.play(refusal(repeated % ASKING, 422))
    running.upstream.play(refusal(repeated % BODY, 422))
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    refused, streamed = await call(running), await call(running)
    assert (refused.status, refused.body) == (422, repeated % BODY)
    assert (streamed.status, streamed.body) == (200, without_usage(CHAT.stream))
    assert [request.body for request in running.upstream.requests] == [ASKING, BODY, ASKING]
    recorded, _ = await running.ended(2)
    assert running.tokens(recorded) == CHAT.tokens
    await running.afresh()
    # a 400 that is cut reaches the client as far as it came
    head = b"HTTP/1.1 400 X\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    running.upstream.play(head + OTHER, CLOSE)
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, BODY)
    response = await client.head()
    await client.rest(response)
    assert (response.status, response.body, response.whole) == (400, OTHER, False)
    await running.afresh()
    # who leaves while a 400 is on its way leaves no connection to the provider behind
    running.upstream.play(head)
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, BODY)
    request = await running.upstream.request()
    await until(lambda: running.bridge.lifecycle.in_flight == 1)
    client.close()
    await asyncio.wait_for(request.closed.wait(), 5)
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "client_disconnected"


@pytest.mark.bridge(chat_stream_usage=ChatStreamUsage.AS_ASKED)
async def test_with_as_asked_every_byte_stays_as_it_is(running):
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(CHAT.stream), LAST)
    response = await call(running)
    assert (running.upstream.requests[0].body, response.body) == (BODY, CHAT.stream)


def test_only_streams_of_completions_are_asked():
    usage, asked = ChatUsage(ensure=True, monotonic=lambda: 0.0), Asked("openai", "gpt-5")
    assert not usage.asks(asked, CHAT_COMPLETIONS, RequestSummary(model="gpt-5"))
    assert not usage.asks(asked, RESPONSES, RequestSummary(model="gpt-5", stream=True))


def test_a_refusal_is_remembered_for_that_model_and_not_for_ever():
    now = 0.0
    usage = ChatUsage(ensure=True, monotonic=lambda: now)
    usage.refused(Asked("vllm", "old"))

    def asks(model: str, query: str = "") -> bool:
        return usage.asks(Asked("vllm", model, query), CHAT_COMPLETIONS, RequestSummary(model=model, stream=True))

    assert (asks("old"), asks("new"), asks("old", "api-version=2")) == (False, True, True)
    now = REMEMBERED_SECONDS
    assert asks("old")
    # what accepted it refuses something else of a request
    usage.accepted(Asked("vllm", "old"))
    usage.refused(Asked("vllm", "old"))
    assert asks("old")
    now = 2 * REMEMBERED_SECONDS
    usage.refused(Asked("vllm", "old"))
    assert not asks("old")
    for number in range(MAX_REMEMBERED + 1):
        usage.refused(Asked("vllm", str(number)))
    assert (asks("0"), asks("1"), asks(str(MAX_REMEMBERED))) == (True, False, False)
