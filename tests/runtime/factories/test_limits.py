from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from handlers.operation.metrics import Metrics
from limits.protection.circuit_breaker import CircuitKey
from runtime.factories.limits import make_breakers, make_cluster
from settings import LimitsScope, Settings
from storage.admission.cluster import ClusterAuthority

ADA = UUID(int=1)


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
async def test_limits_are_counted_together_where_that_is_asked_for(database):
    assert make_cluster(Settings(max_concurrency=1), database, ADA) is None
    cluster = make_cluster(Settings(limits_scope=LimitsScope.CLUSTER), database, ADA)
    assert isinstance(cluster, ClusterAuthority)
