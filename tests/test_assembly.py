from __future__ import annotations

import threading
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembly import make_admissions, make_breakers, make_provider, now, open_bridge, open_traces
from handlers.metrics import Metrics
from intercept.apis import Dialect
from limits.circuit_breaker import CircuitKey
from settings import LimitsScope, ProviderSettings, SettingError, Settings
from storage.ledger import RateLimit
from storage.shared_ledger import Terms
from upstream.providers import ProviderType

ADA = UUID(int=1)


def test_the_clock_is_in_utc_and_right():
    before = datetime.now(UTC)
    instant = now()
    assert instant.tzinfo is UTC
    assert before - timedelta(milliseconds=1) < instant <= datetime.now(UTC)


@given(st.integers(0, 2**62))
def test_the_clock_is_cut_to_whole_milliseconds(nanoseconds):
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr("assembly.time_ns", lambda: nanoseconds)
        instant = now()
    assert instant == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=nanoseconds // 1_000_000)


@pytest.mark.parametrize(
    ("base_url", "keys", "keyless"),
    [
        ("https://api.openai.com/v1/", ("sk-a", "sk-b"), False),
        ("https://api.openai.com/v1/", (), False),
        ("http://127.0.0.1:11434/v1/", (), True),
    ],
)
def test_a_provider_needs_no_key_away_from_the_vendor(base_url, keys, keyless):
    provider = make_provider(ProviderSettings("p", Dialect.OPENAI, base_url, keys))
    assert (provider.type, provider.base_url, provider.keys, provider.keyless) == (
        ProviderType.OPENAI,
        base_url,
        keys,
        keyless,
    )


def test_circuit_breakers_are_there_when_they_are_switched_on():
    assert make_breakers(Settings(), Metrics()) is None
    settings = Settings(circuit_breaker_enabled=True, circuit_breaker_timeout=timedelta(seconds=7))
    metrics = Metrics()
    breakers = make_breakers(settings, metrics)
    assert breakers is not None
    assert breakers._policy.timeout == timedelta(seconds=7)
    breakers.admit(CircuitKey("openai", "/v1/responses", "m"))
    labels = 'endpoint="/v1/responses",model="m",provider="openai"'
    assert f"circuit_breaker_state{{{labels}}} 0.0" in metrics.exposition()[1].decode()


@pytest.mark.gen_test
async def test_traces_are_there_when_they_are_switched_on_and_end_with_the_bridge(database, tmp_path, monkeypatch):
    async with AsyncExitStack() as stack:
        assert open_traces(Settings(), ADA, stack) is None
    async with AsyncExitStack() as stack:
        bridge = await open_bridge(Settings(data_dir=tmp_path, otel_traces=True), database, [], stack)
        assert bridge.trace is not None
        assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == [
            "OtelBatchSpanRecordProcessor"
        ]
    assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == []
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingError, match=r"^otel-traces: max_queue_size must be a positive integer\.$"):
            open_traces(Settings(otel_traces=True), ADA, stack)


@pytest.mark.gen_test
async def test_limits_are_counted_together_where_that_is_asked_for(database):
    assert make_admissions(Settings(max_concurrency=1), database, ADA) is None
    settings = Settings(
        limits_scope=LimitsScope.CLUSTER,
        max_concurrency=1,
        user_max_concurrency=2,
        rate_limit=3,
        user_rate_limit=5,
        rate_window=timedelta(seconds=4),
    )
    admissions = make_admissions(settings, database, ADA)
    assert admissions._of_server == Terms(ADA, 30_000, slots=1, slots_limit="concurrency")
    rates = {"rate": RateLimit(3, 4000)}
    both = rates | {"user_rate": RateLimit(5, 4000)}
    assert admissions._of_user == Terms(ADA, 30_000, slots=2, slots_limit="user_concurrency", rates=both)
    assert admissions._of_key == Terms(ADA, 30_000, rates=rates)


@pytest.mark.gen_test
async def test_a_bridge_in_a_cluster_reports_while_it_runs_and_takes_its_leave(database, tmp_path):
    async with AsyncExitStack() as stack:
        settings = Settings(limits_scope=LimitsScope.CLUSTER, data_dir=tmp_path)
        bridge = await open_bridge(settings, database, [], stack)
        (said,) = await database.admissions.find().to_list(None)
        assert said["report"].pop("since")
        assert said["report"] == {"holding": 0, "holders": [], "refused": {}}
        assert bridge.overload._shared is bridge.admissions
    assert await database.admissions.find().to_list(None) == []
