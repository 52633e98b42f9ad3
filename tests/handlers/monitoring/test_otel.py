"""Traces, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from itertools import pairwise
from time import monotonic
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import handlers.dataplane.relay
import handlers.monitoring.otel
from handlers.monitoring.otel import Tracing
from tests.fake_upstream import RESET, FakeUpstream
from tests.handlers.conversations import CHAT, MESSAGES
from version import VERSION

INSTANCE = UUID(int=7)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]")


RANDOM = ("trace_id", "span_id", "parent_span_id", "start_time_unix_nano", "end_time_unix_nano")


class Collector(FakeUpstream):
    """An upstream that takes spans, and reads them."""

    tracing: Tracing

    async def told(self):
        """Everything that was sent by the end: resource attributes, and spans in the order in which they began."""
        await self.tracing.close()
        exports = [ExportTraceServiceRequest.FromString(request.body) for request in self.requests]
        (resource,) = {json.dumps(attributes(one.resource)) for export in exports for one in export.resource_spans}
        scopes = [scope for export in exports for one in export.resource_spans for scope in one.scope_spans]
        assert {(scope.scope.name, scope.scope.version) for scope in scopes} == {("aibridge", VERSION)}
        spans = [span for scope in scopes for span in scope.spans]
        return json.loads(resource), sorted(spans, key=lambda span: span.start_time_unix_nano)


@pytest.fixture
def collector(io_loop, monkeypatch):
    async def start():
        collector = await Collector().start()
        collector.play(TAKEN)
        return collector

    collector = io_loop.run_sync(start)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    yield collector
    io_loop.run_sync(collector.tracing.close)
    io_loop.run_sync(collector.stop)


@pytest.fixture
def bridge_parts(collector):
    """A bridge that is traced, by an instance whose id is known."""
    collector.tracing = Tracing(instance_id=INSTANCE, clock=monotonic)
    return {"trace": collector.tracing.follow}


def attributes(owner):
    """What is said of a span or resource, by name."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in owner.attributes}


def shape(spans):
    """Names, kinds and whose parts they are."""
    names = {span.span_id: span.name for span in spans}
    return [(span.name, Span.SpanKind.Name(span.kind)[10:], names.get(span.parent_span_id)) for span in spans]


async def send(running, conversation=CHAT, headers=None, **extra):
    body = json.dumps(conversation.request | extra).encode()
    return await running.request("POST", running.path(conversation), running.headers | (headers or {}), body)


async def test_a_call_is_a_span_with_its_phases_inside(running, collector):
    running.upstream.play(HEAD % len(MESSAGES.body) + MESSAGES.body)
    response = await send(
        running, MESSAGES, {"User-Agent": "claude-cli/2.1", "X-Claude-Code-Session-Id": "s1", "X-Secret": "sk-own"}
    )
    (recorded,) = await running.ended(1)
    resource, spans = await collector.told()
    assert {name: value for name, value in resource.items() if not name.startswith("telemetry.")} == {
        "service.name": "aibridge",
        "service.version": VERSION,
        "service.instance.id": str(INSTANCE),
    }
    assert shape(spans) == [
        ("chat m", "SERVER", None),
        ("admission", "INTERNAL", "chat m"),
        ("recording", "INTERNAL", "chat m"),
        ("upstream", "CLIENT", "chat m"),
        ("relay", "INTERNAL", "chat m"),
    ]
    assert attributes(spans[0]) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/messages",
        "enduser.id": str(running.identity.user.id),
        "aibridge.provider.name": "anthropic",
        "aibridge.interception.id": recorded["id"],
        "aibridge.end_reason": "completed",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "gen_ai.conversation.id": "s1",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 5 + 4 + 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert [attributes(span) for span in spans[1:]] == [{}] * 4
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_UNSET}
    whole, *parts = spans
    for before, after in pairwise(parts):
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    assert parts[-1].end_time_unix_nano <= whole.end_time_unix_nano
    for span in spans:
        for random in RANDOM:  # or a few letters would be found there in the long run
            span.ClearField(random)
    said = json.dumps(resource).encode() + b"".join(span.SerializeToString() for span in spans)
    for id_ in (str(running.identity.user.id), recorded["id"]):  # the digits of one may well spell `ada`
        said = said.replace(id_.encode(), b"")
    for secret in (running.token, "sk-", "Hello", "ada"):
        assert secret.encode() not in said
    assert response.status == 200


async def test_a_call_belongs_to_the_clients_trace_and_the_provider_to_the_calls(running, collector):
    running.upstream.play(HEAD % len(CHAT.body) + CHAT.body)
    await send(running, headers={"Traceparent": f"00-{TRACE}-{PARENT}-01", "Tracestate": "theirs=1"})
    await running.ended(1)
    _, spans = await collector.told()
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert spans[0].parent_span_id.hex() == PARENT
    (received,) = running.upstream.requests
    (context,) = received.header("traceparent")
    assert TRACEPARENT.fullmatch(context).groups() == (TRACE, spans[3].span_id.hex())
    assert received.header("tracestate") == ["theirs=1"]


@pytest.mark.bridge(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
async def test_a_call_that_failed_says_why(running, collector):
    running.upstream.play(RESET)
    assert [(await send(running)).status for _ in range(2)] == [502, 503]
    await running.ended(2)
    _, spans = await collector.told()
    failed, rejected = [span for span in spans if span.name == "chat m"]
    for span, status, error in ((failed, 502, "upstream_unreachable"), (rejected, 503, "circuit_open")):
        said = attributes(span)
        assert (said["http.response.status_code"], said["error.type"]) == (status, error)
        assert span.status.code == Status.STATUS_CODE_ERROR


async def test_a_request_that_is_refused_or_passed_on_is_no_chat(running, collector):
    running.upstream.play(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    for path, headers in (
        ("/openai/v1/models", {}),
        ("/openai/v1/audio", running.headers),
        ("/openai/v1/models/gpt", running.headers),
    ):
        await running.request("GET", f"/api/v2/aibridge{path}", headers)
    _, spans = await collector.told()
    user = {"enduser.id": str(running.identity.user.id)}
    where = {"aibridge.provider.name": "openai"}
    assert [(span.name, attributes(span), span.status.code) for span in spans if not span.parent_span_id] == [
        (
            "GET /v1/models",
            {"http.request.method": "GET", "http.response.status_code": 401, "http.route": "/v1/models", **where},
            Status.STATUS_CODE_UNSET,
        ),
        (
            "GET",
            {"http.request.method": "GET", "http.response.status_code": 404, **where, **user},
            Status.STATUS_CODE_UNSET,
        ),
        (
            "GET /v1/models/*",
            {
                "http.request.method": "GET",
                "http.response.status_code": 500,
                "http.route": "/v1/models/*",
                "error.type": "500",
                **where,
                **user,
            },
            Status.STATUS_CODE_ERROR,
        ),
    ]


async def test_a_client_that_leaves_ends_its_span(running, collector):
    running.upstream.play(STREAM, asyncio.Event())
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
    await client.head()
    client.reset()
    await running.ended(1)
    _, spans = await collector.told()
    assert [span.name for span in spans] == ["chat m", "admission", "recording", "upstream", "relay"]
    said = attributes(spans[0])
    assert (said["http.response.status_code"], said["error.type"]) == (200, "client_disconnected")


@pytest.mark.expects_log(
    r"handlers.monitoring.otel:.* traces: the collector took no spans, which are lost; calls go on"
)
async def test_a_collector_that_takes_nothing_is_said_once_and_calls_go_on(running, collector):
    collector.scripts = [[BUSY]]
    running.upstream.play(HEAD % len(CHAT.body) + CHAT.body)
    for number in range(1, 4):
        assert (await send(running)).status == 200
        await running.ended(number)
        await asyncio.to_thread(collector.tracing._provider.force_flush)
    assert len(collector.requests) == 3


@pytest.mark.expects_log(r"handlers.monitoring.otel:.* traces: the collector did not take the last spans within 0.05 s")
async def test_a_collector_that_does_not_answer_is_not_waited_for_at_the_end(running, collector, monkeypatch):
    monkeypatch.setattr(handlers.monitoring.otel, "FLUSH_SECONDS", 0.05)
    gate = asyncio.Event()
    collector.scripts = [[gate, TAKEN]]
    running.upstream.play(HEAD % len(CHAT.body) + CHAT.body)
    await send(running)
    await running.ended(1)
    await collector.tracing.close()
    (thread,) = [one for one in threading.enumerate() if one.name.startswith("OtelBatch")]
    gate.set()
    await asyncio.to_thread(thread.join)


class TestOff:
    @pytest.fixture
    def bridge_parts(self):
        return {}

    async def test_without_traces_the_clients_headers_go_upstream_as_they_came(self, running):
        running.upstream.play(HEAD % len(CHAT.body) + CHAT.body)
        await send(running, headers={"traceparent": "nonsense", "tracestate": "theirs=1"})
        await running.ended(1)
        (received,) = running.upstream.requests
        assert (received.header("traceparent"), received.header("tracestate")) == (["nonsense"], ["theirs=1"])
