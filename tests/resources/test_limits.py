"""What is shown of limits that no bridge of a test has."""

from datetime import UTC, datetime

from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, LimitState, Of
from limits.request_limits import LimitSettings, Usage
from resources.limits import KeyUsage, limit_usages
from resources.policies import LimitRule

NOW = datetime(2026, 11, 30, 23, 59, 58, 700_123, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def test_a_budget_ends_with_a_whole_second_or_nobody_knows_when():
    budget = Limit(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, "ada", 3_000_000)
    settings = LimitSettings(user_budget=3_000_000)
    for reset_ns, resets_at in ((SECOND_NS, "2026-12-01T00:00:00.000Z"), (0, None)):
        state = LimitState(budget, 1_500_000, 1_500_000, 0, reset_ns)
        usage = Usage(0, {}, {}, {}, {}, {"id": state})
        *_, shown = limit_usages(settings, usage, NOW, names={"id": "ada"}, refused={})
        key = KeyUsage(key="id", username="ada", used_usd=1.5, remaining_usd=1.5, resets_at=resets_at)
        assert (shown.name, shown.keys) == ("user_budget", [key])
        assert LimitRule.of_limit(budget, state, NOW).resets_at == resets_at
