"""An upstream that keeps failing is spared, and that is recorded."""

import asyncio
import json
from datetime import timedelta

import pytest

from tests.fake_upstream import RESET
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES

AFTER_TWO_FAILURES = pytest.mark.bridge(
    circuit_breaker_enabled=True,
    circuit_breaker_failure_threshold=2,
    circuit_breaker_interval=timedelta(hours=1),
    circuit_breaker_timeout=timedelta(hours=1),
)


def overloaded(message=b"Busy."):
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"%s"}}' % message
    return b"HTTP/1.1 529 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def overloaded_event(event=b'{"type":"error","error":{"type":"overloaded_error","message":"Busy."}}'):
    event = b"event: error\ndata: %s\n\n" % event
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event)


async def send(running, conversation, **extra):
    body = json.dumps(conversation.request | {"stream": True} | extra).encode()
    return await running.request("POST", running.path(conversation), running.headers, body)


@AFTER_TWO_FAILURES
@pytest.mark.parametrize("failure", [overloaded(), overloaded_event(), RESET], ids=["529", "event", "reset"])
async def test_after_enough_failures_the_upstream_is_not_asked_and_the_call_is_recorded(running, failure):
    running.upstream.play(failure)
    for _ in range(2):
        await send(running, MESSAGES)
    response = await send(running, MESSAGES)
    error = json.loads(response.body)
    assert (response.status, error["error"], error["message"]) == (
        503,
        {"type": "overloaded_error", "message": "circuit breaker is open"},
        "circuit breaker is open",
    )
    assert int(response.header("Retry-After")) in range(3590, 3601)
    assert len(running.upstream.requests) == 2
    rejected, *_ = await running.ended(3)
    assert (rejected["id"], rejected["end_reason"], rejected["upstream_status"], rejected["error"]) == (
        response.header("X-AI-Bridge-Interception-Id"),
        "circuit_open",
        None,
        {"type": "circuit_open", "message": "circuit breaker is open"},
    )


@AFTER_TWO_FAILURES
async def test_openais_own_words_for_an_overload_in_a_stream_count_as_failures(running):
    error = b'{"type":"error","error":{"type":"service_unavailable_error","code":"server_is_overloaded"}}'
    failed = b'{"type":"response.failed","response":{"error":{"code":"server_is_overloaded"}}}'
    running.upstream.play(overloaded_event(error))
    running.upstream.play(overloaded_event(failed))
    assert [(await send(running, RESPONSES)).status for _ in range(3)] == [200, 200, 503]
    ended = await running.ended(3)
    assert [each["end_reason"] for each in ended] == ["circuit_open", *["upstream_stream_error"] * 2]


@AFTER_TWO_FAILURES
async def test_another_model_and_another_route_have_circuits_of_their_own(running):
    running.upstream.play(overloaded())
    for _ in range(3):
        await send(running, MESSAGES)
    assert (await send(running, MESSAGES, model="other")).status == 529
    response = await send(running, CHAT)
    assert response.status == 529
    _, metrics = running.bridge.metrics.exposition()
    labels = b'{endpoint="/v1/messages",model="m",provider="anthropic"}'
    for line in (b"state" + labels + b" 2.0", b"trips_total" + labels + b" 1.0", b"rejects_total" + labels + b" 1.0"):
        assert b"coder_aibridged_circuit_breaker_" + line in metrics
    await running.ended(5)


@pytest.mark.bridge(
    circuit_breaker_enabled=True,
    circuit_breaker_failure_threshold=1,
    circuit_breaker_timeout=timedelta(0),
    circuit_breaker_max_requests=1,
)
async def test_a_probe_whose_client_leaves_makes_room_for_the_next(running):
    running.upstream.play(overloaded())
    await send(running, MESSAGES)
    running.upstream.scripts = [[asyncio.Event()]]
    client = await running.client()
    await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    probe = await running.upstream.request(1)
    assert (await send(running, MESSAGES)).status == 503
    client.reset()
    await probe.closed.wait()
    body = MESSAGES.body
    running.upstream.scripts = [
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]
    ]
    assert (await send(running, MESSAGES)).status == 200
    await running.ended(4)


async def test_without_a_breaker_a_failing_upstream_is_asked_every_time(running):
    running.upstream.play(overloaded())
    assert [(await send(running, MESSAGES)).status for _ in range(7)] == [529] * 7
    await running.ended(7)
