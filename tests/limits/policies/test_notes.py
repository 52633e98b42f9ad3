import pytest
from msgspec import UNSET

from intercept.recording import Keep
from limits.policies.notes import NEEDS_KEY, NO_BUDGET, NO_PROVIDER, NOTHING_ADMITTED, notes_on
from limits.policies.policy import (
    Budget,
    Concurrency,
    Limits,
    ModelPattern,
    Models,
    Policy,
    Rate,
    SharedLimits,
    SharedPolicy,
    Tokens,
)
from limits.policies.recording_rules import RecordingRules
from tests.cases import for_each


@for_each(
    "policy",
    [
        Policy(),
        SharedPolicy(),
        Policy(models=Models(deny=["*"]), max_tokens=1, byok="deny"),
        Policy(limits=Limits()),
        SharedPolicy(limits=SharedLimits()),
        SharedPolicy(limits=SharedLimits(each_member=Limits(), together=Limits())),
        Policy(
            limits=Limits(concurrency=1, rate=Rate(1, "1s"), tokens=Tokens(1, "1s"), budget=Budget("0.000001", "month"))
        ),
        Policy(limits=Limits(concurrency=Concurrency(1))),
    ],
)
def test_of_a_policy_that_admits_something_nothing_is_said(policy):
    assert notes_on(policy) == []


@pytest.mark.parametrize(
    ("each_member", "together", "notes"),
    [
        (Limits(concurrency=0), UNSET, [f"limits.each_member.concurrency: {NOTHING_ADMITTED}"]),
        (UNSET, Limits(budget=Budget(0, "week")), [f"limits.together.budget.usd: {NO_BUDGET}"]),
        (
            Limits(rate=Rate(0, "1m"), tokens=Tokens(1, "1m")),
            Limits(rate=Rate(1, "1m"), tokens=Tokens(0, "1m")),
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
