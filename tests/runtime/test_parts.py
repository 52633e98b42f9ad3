from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from handlers.operation.metrics import Metrics
from limits.circuit_breaker import CircuitKey
from runtime.parts import make_admissions, make_breakers, make_provider
from settings import LimitsScope, ProviderSettings, Settings
from storage.admission.ledger import RateLimit
from storage.admission.shared_ledger import Terms
from upstream.access import Credential
from upstream.presets import ProviderType

ADA = UUID(int=1)


@pytest.mark.parametrize(
    ("base_url", "keys", "keyless"),
    [
        ("https://api.openai.com/v1/", ("sk-a", "sk-b"), False),
        ("https://api.openai.com/v1/", (), False),
        ("http://127.0.0.1:11434/v1/", (), True),
    ],
)
def test_a_provider_needs_no_key_away_from_the_vendor(base_url, keys, keyless):
    provider = make_provider(ProviderSettings("p", ProviderType.OPENAI, base_url, keys))
    assert (provider.type, provider.base_url, provider.keys, provider.keyless) == (
        ProviderType.OPENAI,
        base_url,
        keys,
        keyless,
    )


@pytest.mark.parametrize(
    ("type_", "base_url", "keyless"),
    [
        ("azure", "https://a.openai.azure.com/", False),
        ("foundry", "https://a.services.ai.azure.com/anthropic/", False),
        ("copilot", "https://api.business.githubcopilot.com/", False),
        ("ollama", "http://127.0.0.1:11434/v1/", True),
        ("vllm", "http://10.0.0.7:8000/v1/", True),
        ("openai-compatible", "https://llm.example.com/v1/", True),
    ],
)
def test_what_is_a_vendors_wherever_it_is_needs_a_key_and_a_server_of_ones_own_does_not(type_, base_url, keyless):
    assert make_provider(ProviderSettings("p", ProviderType(type_), base_url)).keyless is keyless


def test_no_key_is_sent_where_none_is_to_be():
    settings = ProviderSettings("p", ProviderType.AZURE, "https://h/", ("sk",), credential=Credential.NONE)
    provider = make_provider(settings)
    assert (provider.keys, provider.keyless) == ((), True)


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
