"""What is shown of limits, and taken of providers, that no bridge of a test has."""

from datetime import UTC, datetime

from msgspec import structs

from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, LimitState, Of
from limits.request_limits import LimitSettings, Usage
from resources.limits import KeyUsage, limit_usages
from resources.policies import LimitRule
from resources.providers import check_provider
from storage.providers.documents import ProviderSpec

NOW = datetime(2026, 11, 30, 23, 59, 58, 700_123, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def test_a_budget_ends_with_a_whole_second_or_nobody_knows_when():
    budget = Limit(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, "ada", 3_000_000)
    settings = LimitSettings(user_budget=3_000_000)
    for reset_ns, resets_at in ((SECOND_NS, "2026-12-01T00:00:00.000Z"), (0, None)):
        state = LimitState(budget, 1_500_000, 1_500_000, 0, reset_ns)
        usage = Usage(0, {}, {}, {}, {}, {"id": state})
        *_, shown = limit_usages(settings, usage, NOW, {"id": "ada"})
        key = KeyUsage(key="id", username="ada", used=1.5, remaining=1.5, resets_at=resets_at)
        assert (shown.name, shown.keys) == ("user_budget", [key])
        assert LimitRule.of_limit(budget, state, NOW).resets_at == resets_at


def test_the_tokens_of_the_server_go_to_whose_they_are_alone():
    vertex = ProviderSpec(
        "v", "vertex", "https://europe-west4-aiplatform.googleapis.com/", region="global", project="p"
    )
    own_proxy = {"proxy_url": "http://proxy.example:3128", "ca_certificates": "-----BEGIN .."}
    assert check_provider(vertex, 0) == check_provider(structs.replace(vertex, base_url=""), 0) == []
    for name in ("own.openai.azure.com", "own.cognitiveservices.azure.us", "own.services.ai.azure.com"):
        azure = ProviderSpec("a", "azure", f"https://{name}/", credential="azure")
        assert check_provider(azure, 0) == [], name
    for changes, keys, fields in (
        ({"base_url": "https://googleapis.com.example/"}, 0, ["base_url"]),
        ({"base_url": "http://aiplatform.googleapis.com/"}, 0, ["base_url"]),
        ({"type": "openai", "credential": "google", "base_url": "https://example/"}, 0, ["base_url"]),
        ({"type": "openai", "credential": "google", "base_url": ""}, 0, ["base_url"]),
        ({"type": "azure", "credential": "azure", "base_url": "https://own.azure-api.net/"}, 0, ["base_url"]),
        ({"type": "azure", "base_url": "https://example/"}, 0, []),
        (own_proxy, 0, ["ca_certificates"]),
        ({"base_url": "https://example/"} | own_proxy, 1, []),
    ):
        problems = check_provider(structs.replace(vertex, **changes), keys)
        assert [field for field, _ in problems] == fields
