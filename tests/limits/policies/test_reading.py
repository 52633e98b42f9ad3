import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from intercept.recording import Keep
from limits.policies import policy as shape
from limits.policies.policy import (
    Budget,
    Concurrency,
    ModelPattern,
    Models,
    Policy,
    PolicyLimits,
    Rate,
    RecordingRules,
    SharedLimits,
    SharedPolicy,
    TokenLimit,
)
from limits.policies.reading import (
    NEEDS_KEY,
    NO_BUDGET,
    NO_PROVIDER,
    NOTHING_ADMITTED,
    InvalidPolicyError,
    merge,
    notes_on,
    read_policy,
)
from tests.cases import for_each


@for_each(
    ("fields", "field", "rule"),
    (
        {"limits": {"rate": {"requests": 1, "window": "1s", "per": 1}}},
        "limits.rate.per",
        "unknown field; allowed are requests, window, shadow",
    ),
    ({"limits": {"rate": {"requests": 1}}}, "limits.rate.window", "is required"),
    ({"limits": {"concurrency": 10**7}}, "limits.concurrency", "must be a whole number, 1,000,000 at most"),
    ({"limits": {"rate": {"requests": 1, "window": "0s"}}}, "limits.rate.window", shape.NOT_A_WINDOW),
    ({"limits": {"tokens": {"count": 1, "window": "32d"}}}, "limits.tokens.window", shape.NOT_A_WINDOW),
    ({"limits": {"budget": {"usd": "-1", "period": "day"}}}, "limits.budget.usd", shape.NOT_MONEY),
    ({"limits": {"budget": {"usd": 1e10, "period": "day"}}}, "limits.budget.usd", shape.NOT_MONEY),
    ({"limits": {"budget": {"usd": "0.0000001", "period": "day"}}}, "limits.budget.usd", shape.NOT_MONEY),
    (
        {"limits": {"budget": {"usd": 1, "period": "year"}}},
        "limits.budget.period",
        "must be one of day, week, month, total",
    ),
    ({"models": {"allow": ["a", ""]}}, "models.allow[1]", shape.NOT_A_PATTERN),
    ({"models": {"deny": ["a b"]}}, "models.deny[0]", shape.NOT_A_PATTERN),
    ({"models": {"deny": [{"provider": ""}]}}, "models.deny[0].provider", shape.NOT_A_PATTERN),
    ({"models": {"deny": ["a"] * 101}}, "models.deny", shape.TOO_MANY),
    ({"models": {"allow": ["b", "gpt-5"], "deny": ["GPT-5"]}}, "models.allow[1]", shape.NOTHING_LEFT),
    ({"models": {"allow": ["gpt-*", "gpt-5-*"], "deny": ["*-5-*"]}}, "models.allow[1]", shape.NOTHING_LEFT),
    (
        {"models": {"allow": [{"provider": "p1", "model": "m"}], "deny": [{"provider": "P*"}]}},
        "models.allow[0]",
        shape.NOTHING_LEFT,
    ),
    ({"max_tokens": 0}, "max_tokens", "must be a whole number, 1 or more"),
    ({"byok": "maybe"}, "byok", "must be one of allow, deny"),
    (
        {"recording": {"patterns": ["a", "(b)"]}},
        "recording.patterns[1]",
        "cannot be read from '(b)' on; allowed are characters, sets such as [A-Z0-9], ., \\d, \\w, \\s and \\b, the repeats {8}, {8,40} and ?, and signs behind a backslash",
    ),
    ({"recording": {"patterns": ["a"] * 21}}, "recording.patterns", "must have at most 20 patterns"),
    ({"recording": {"prompts": "some"}}, "recording.prompts", "must be one of full, redacted, hashed, none"),
    ({"recording": {"retention": 0}}, "recording.retention", "must be a whole number, 1 or more"),
    ({"recording": {"retention": 3651}}, "recording.retention", "must be a whole number, 3,650 at most"),
    ({"recording": {"retention": "30d"}}, "recording.retention", "must be a whole number"),
)
def test_what_is_wrong_is_named_with_its_field_and_the_rule(fields, field, rule):
    with pytest.raises(InvalidPolicyError) as caught:
        read_policy(fields, Policy)
    assert (caught.value.field, caught.value.rule) == (field, rule)


@for_each(
    ("usd", "micro_dollars"),
    ("50", 50_000_000),
    ("0.000001", 1),
    (0.00001, 10),
    (0.1, 100_000),
    (7, 7_000_000),
    (7.0, 7_000_000),
    ("0", 0),
)
def test_money_is_exact_to_a_micro_dollar(usd, micro_dollars):
    assert Budget(usd, "day").micro_dollars == micro_dollars


NAMES = [
    *["models", "allow", "deny", "limits", "each_member", "together", "rate", "requests", "window", "budget"],
    *[
        "usd",
        "period",
        "concurrency",
        "tokens",
        "count",
        "shadow",
        "reserve",
        "byok",
        "max_tokens",
        "provider",
        "model",
        "x",
    ],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**14) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["models", "limits", "byok", "max_tokens", "x"]), JSON, max_size=3)


@given(FIELDS, FIELDS)
def test_any_object_is_a_policy_or_a_named_error(fields, change):
    for kind in (Policy, SharedPolicy):
        for tried in (fields, merge(fields, change)):
            try:
                policy = read_policy(tried, kind)
            except InvalidPolicyError:
                continue
            assert read_policy(json.loads(msgspec.json.encode(policy)), kind) == policy


@pytest.mark.parametrize(
    ("each_member", "together", "notes"),
    [
        (PolicyLimits(concurrency=0), UNSET, [f"limits.each_member.concurrency: {NOTHING_ADMITTED}"]),
        (UNSET, PolicyLimits(budget=Budget(0, "week")), [f"limits.together.budget.usd: {NO_BUDGET}"]),
        (PolicyLimits(), PolicyLimits(concurrency=Concurrency(1), budget=Budget("0.000001", "month")), []),
        (
            PolicyLimits(rate=Rate(0, "1m"), tokens=TokenLimit(1, "1m")),
            PolicyLimits(rate=Rate(1, "1m"), tokens=TokenLimit(0, "1m")),
            [
                f"limits.each_member.rate.requests: {NOTHING_ADMITTED}",
                f"limits.together.tokens.count: {NOTHING_ADMITTED}",
            ],
        ),
    ],
)
def test_of_shared_limits_the_part_is_named_too(each_member, together, notes):
    assert notes_on(SharedPolicy(limits=SharedLimits(each_member=each_member, together=together))) == notes


def test_a_hash_needs_keys():
    rules = RecordingRules(prompts=Keep.HASHED, thoughts=Keep.NONE, responses=Keep.HASHED)
    assert notes_on(Policy(recording=rules)) == [f"recording.prompts: {NEEDS_KEY}", f"recording.responses: {NEEDS_KEY}"]
    assert notes_on(Policy(recording=RecordingRules(prompts=Keep.REDACTED))) == []


def test_a_provider_that_is_not_known_is_named_where_the_known_ones_are_given():
    patterns = ["gpt-*", ModelPattern("opnai"), ModelPattern("OPEN*", "gpt-5")]
    policy = Policy(models=Models(allow=patterns, deny=[ModelPattern("x", "y")]))
    said = NO_PROVIDER.format("anthropic, openai")
    assert notes_on(policy, {"openai", "anthropic"}) == [
        f"models.allow[1].provider: {said}",
        f"models.deny[0].provider: {said}",
    ]
    assert notes_on(policy) == notes_on(Policy(), {"openai"}) == []
