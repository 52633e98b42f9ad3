"""The rules of a proposed policy, for past calls."""

from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from limits.past_calls import LimitName, PastCall, RefusalTotals, RefusedCall, RequestedModel
from limits.policies.compiled import CompiledPolicy, Level, PolicyHolder
from limits.policies.effective import Effective
from limits.policies.policy import ModelPattern, Models, PolicyLimits, Rate, SharedLimits, SharedPolicy
from limits.replay import Replay
from tests.examples import examples

SECOND = 1000
ADA, BOB = UUID(int=1), UUID(int=2)
MODELS = LimitName("", "models")


def call(number, user=ADA, *, pays=False):
    started = number * SECOND
    return PastCall(started, UUID(int=100 + number).bytes, user.bytes, started, pays=pays)


def replayed(policy, calls, **options):
    replay = Replay(policy, **options)
    steps = sum(1 for _ in replay.decide(calls))
    return replay.outcome, steps


def test_a_call_that_breaks_a_rule_counts_in_no_limit():
    policy = SharedPolicy(
        models=Models(deny=["gpt-4"]), limits=SharedLimits(each_member=PolicyLimits(rate=Rate(1, "60s")))
    )
    old, new = RequestedModel("openai", "gpt-4"), RequestedModel("openai", "gpt-5")
    outcome, _ = replayed(policy, [(call(0), old), (call(1), new), (call(2), old), (call(3), new)])
    rate = LimitName("each_member", "rate")
    assert outcome.calls == {ADA: 4}
    assert outcome.totals == {
        (MODELS, ADA): RefusalTotals(refused=2, longest_ns=0),
        (rate, ADA): RefusalTotals(refused=1, longest_ns=58 * 10**9),
    }
    rule = "everyone denies gpt-4"
    assert outcome.first == [
        RefusedCall(UUID(int=100), 0, ADA, MODELS, 0, 0, None, rule, "gpt-4"),
        RefusedCall(UUID(int=102), 2 * SECOND, ADA, MODELS, 0, 0, None, rule, "gpt-4"),
        RefusedCall(UUID(int=103), 3 * SECOND, ADA, rate, 1, 1, 58 * 10**9),
    ]


names = st.sampled_from(["gpt-5", "gpt-4", "claude-a", "claude-b", ""])
patterns = st.lists(st.sampled_from(["gpt-*", "claude-a", "*-b", ModelPattern("eu")]), min_size=1, max_size=2)
called = st.lists(
    st.tuples(
        st.sampled_from([ADA, BOB]),
        st.booleans(),
        st.tuples(st.sampled_from(["eu", "us"]), names).map(lambda named: RequestedModel(*named)),
    ),
    max_size=30,
)


@settings(max_examples=examples(30, 300))
@given(patterns, st.sampled_from(["allow", "deny"]), called)
@pytest.mark.parametrize("unpriced", [False, True])
def test_limits_decide_on_what_rules_admit_as_if_nothing_else_was_called(unpriced, listed, how, rows):
    models = Models(**{how: listed}, **({"unpriced": "deny"} if unpriced else {}))
    limits = SharedLimits(together=PolicyLimits(rate=Rate(2, "5s")))
    calls = [(call(number, user, pays=pays), model) for number, (user, pays, model) in enumerate(rows)]
    has_price = {"has_price": lambda model: model.provider == "eu"}
    outcome, _ = replayed(SharedPolicy(models=models, limits=limits), calls, **has_price)

    def is_refused(past, model):
        rules = Effective([CompiledPolicy(PolicyHolder(Level.EVERYONE), SharedPolicy(models=models))], "")
        priced = past.pays or has_price["has_price"](model)
        return bool(model.model) and rules.refuse_model(model.provider, model.model, lambda: priced) is not None

    refused = [past.id for past, model in calls if is_refused(past, model)]
    others = [past for past, model in calls if not is_refused(past, model)]
    assert [one.id.bytes for one in outcome.first if one.rule] == refused
    alone = Replay(SharedPolicy(limits=limits))
    for _ in alone.decide((one, None) for one in others):
        pass
    assert [one for one in outcome.first if not one.rule] == alone.outcome.first
    assert outcome.refused == len(refused) + alone.outcome.refused
    assert outcome.calls.total() == len(calls)
