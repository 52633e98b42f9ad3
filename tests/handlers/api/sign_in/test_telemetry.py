"""What clients say of their calls and tools by OTLP over HTTP, and where it is seen."""

import asyncio
import gzip

import pytest

from intercept.client_events import ClientEvent, ClientEventName
from storage.recording.client_events import MAX_HOURLY, MAX_PENDING
from tests.bridge import until
from tests.fake_upstream import FakeUpstream
from tests.handlers.api.recorded.test_sessions import LIST, id_of
from tests.handlers.api.recorded.test_sessions import call as call  # noqa: PLC0414 - a fixture
from tests.intercept.formats.test_otlp import in_json, written
from upstream.demo.scripted import whole

BASE = "/api/v2/aibridge/anthropic"
JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
SECOND = 1_000_000_000
API_REQUEST = ClientEventName.API_REQUEST


def event(name, sequence, **said):
    return {"event.name": name, "session.id": "s1", "event.sequence": sequence, "prompt": "what the user said"} | said


def spoken(now):
    """What Claude Code says of two calls, the first of which asks for a tool; times and attributes."""
    at = int(now.timestamp()) * SECOND
    tool = {"tool_name": "clock", "tool_use_id": "toolu_1"}
    compacted = {"trigger": "auto", "success": "true", "pre_tokens": 160_000, "post_tokens": 22_000, "duration_ms": 9}
    return [
        (at, event("tool_decision", 1, decision="accept", source="config", **tool)),
        (at, event("tool_result", 2, success="true", duration_ms="39", **tool)),
        (at, event("api_request", 3, cost_usd_micros=1_250_000, request_id="req_1")),
        (at + SECOND, event("api_request", 4, cost_usd_micros=10_000)),
        (at + 2 * SECOND, event("compaction", 5, **compacted)),
        (at, event("user_prompt", 6)),
    ]


async def send(running, signal, headers, body):
    return await running.request("POST", f"{BASE}/v1/{signal}", dict(running.headers) | headers, body)


async def test_a_session_shows_what_its_client_says_beside_what_was_recorded(running, call):
    first = await call("What time is it?", session="s1", issues=("toolu_1",), request_id="req_1")
    await call(session="s1", answers="toolu_1")
    records = spoken(running.bridge.now())
    packed = gzip.compress(written(*records[:3]))
    answered = await send(running, "logs", PROTOBUF | {"Content-Encoding": "gzip"}, packed)
    assert (answered.status, answered.body, answered.header("Content-Type")) == (200, b"", PROTOBUF["Content-Type"])
    for _ in range(2):  # an exporter that had no answer sends again
        answered = await send(running, "logs", JSON, in_json(*records[2:]))
        assert (answered.status, answered.body) == (200, b"{}")
    await running.bridge.client_events.flush()
    _, timeline = await running.get(f"{LIST}/{id_of(running, 's1')}/timeline")
    compaction = {
        "trigger": "auto",
        "succeeded": True,
        "tokens_before": 160_000,
        "tokens_after": 22_000,
        "duration_ms": 9,
    }
    (at,) = [one.pop("at") for one in timeline["client_report"]["compactions"]]
    assert at <= timeline["calls"][-1]["ended_at"][:11] + "99"
    assert timeline["client_report"] == {"calls": 2, "cost_usd": 1.26, "compactions": [compaction], "more": False}
    (tool,) = timeline["calls"][0]["tools"]
    assert tool["report"] == {"decision": "accept", "source": "config", "succeeded": True, "duration_ms": 39}
    assert [one["client_cost_usd"] for one in timeline["calls"]] == [1.25, None]
    assert timeline["calls"][0]["id"] == first
    stored = [one async for one in running.bridge.database.client_events.find()]
    assert len(stored) == 5
    assert "what the user said" not in str(stored)
    # another user's session of the same name says nothing
    headers = await running.user("bob")
    await call("Hello", session="s1", headers=headers)
    await call("Hello", session="s1", headers=headers)
    _, theirs = await running.get(f"{LIST}?q=user:bob")
    _, timeline = await running.get(f"{LIST}/{theirs['results'][0]['id']}/timeline")
    assert timeline["client_report"] is None


async def test_only_who_is_signed_in_is_heard_and_what_cannot_be_read_is_taken(running):
    cases = [(PROTOBUF, b"\xff"), (JSON, b"{"), (JSON | {"Content-Encoding": "gzip"}, b"no gzip"), (PROTOBUF, b"")]
    bomb = gzip.compress(bytes(64 * 2**20))
    for headers, body in [*cases, (PROTOBUF | {"Content-Encoding": "gzip"}, bomb)]:
        assert (await send(running, "logs", headers, body)).status == 200
    for signal in ("metrics", "traces"):
        assert (await send(running, signal, PROTOBUF, b"\n\x00")).status == 200
    for token in ("", "Bearer aibridge-unknown"):
        refused = await running.request("POST", f"{BASE}/v1/logs", {"Authorization": token} if token else {}, b"{}")
        assert refused.status == 401
    large = await send(running, "logs", PROTOBUF, bytes(4 * 2**20 + 1))
    assert large.status == 413
    await running.bridge.client_events.flush()
    assert await running.bridge.database.client_events.count_documents({}) == 0


async def test_of_one_user_only_so_much_is_kept_and_what_is_lost_is_counted(running):
    kept, user = running.bridge.client_events, running.identity.user.id
    kept.note(
        user, (ClientEvent(name=API_REQUEST, session_id="s1", sequence=number) for number in range(MAX_PENDING + 1))
    )
    await kept.flush()
    kept.note(user, (ClientEvent(name=API_REQUEST, session_id="s2", sequence=number) for number in range(MAX_PENDING)))
    await kept.flush()
    await send(running, "logs", JSON, in_json(*spoken(running.bridge.now())[:2]))
    await kept.flush()
    assert await running.bridge.database.client_events.count_documents({}) == MAX_HOURLY
    metrics = (await running.request("GET", "/metrics", running.headers)).body.decode()
    for line in ('telemetry_events_total{outcome="recorded"} 10000.0', 'telemetry_events_total{outcome="lost"} 3.0'):
        assert f"coder_aibridged_{line}" in metrics


class TestForwarding:
    @pytest.fixture
    def collector(self, io_loop):
        collector = io_loop.run_sync(FakeUpstream().start)
        yield collector
        io_loop.run_sync(collector.stop)

    @pytest.fixture
    def bridge_settings(self, collector):
        return {"telemetry_forward_to": collector.url}

    @pytest.mark.expects_log("telemetry of clients is not forwarded: the collector answered 500")
    async def test_a_collector_gets_it_as_it_came_without_the_token(self, running, collector):
        collector.scripts = [whole(500, {}, b"{}"), whole(200, {}, b"{}")]
        sending = asyncio.create_task(running.bridge.telemetry_forwarder.run())
        body = gzip.compress(written(*spoken(running.bridge.now())))
        for signal in ("logs", "metrics"):
            headers = PROTOBUF | {"Content-Encoding": "gzip", "Cookie": "a=b"}
            assert (await send(running, signal, headers, body)).status == 200
        await collector.request(1)
        logs, metrics = collector.requests
        assert (logs.target, metrics.target, metrics.body) == ("/v1/logs", "/v1/metrics", body)
        sent = {name.lower(): value for name, value in metrics.headers}
        assert sent.keys() == {"host", "content-type", "content-encoding", "content-length", "user-agent"}

        value = running.bridge.metrics.registry.get_sample_value
        name = "coder_aibridged_telemetry_forwarded_total"
        await until(lambda: value(name, {"outcome": "sent"}) == 1)
        assert value(name, {"outcome": "lost"}) == 1
        sending.cancel()

    async def test_more_than_may_wait_is_lost(self, running):
        body = bytes(3 * 2**20)
        for _ in range(7):
            assert (await send(running, "traces", PROTOBUF, body)).status == 200
        metrics = (await running.request("GET", "/metrics", running.headers)).body.decode()
        assert 'coder_aibridged_telemetry_forwarded_total{outcome="lost"} 2.0' in metrics
