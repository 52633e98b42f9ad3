"""Proposed limits on past calls."""

from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from limits.past_calls import PastCall, RequestedModel
from limits.policies.compiled import CompiledPolicy, Level, PolicyHolder
from limits.policies.effective import Effective
from limits.policies.policy import (
    Budget,
    ModelPattern,
    Models,
    PolicyLimits,
    Rate,
    SharedLimits,
    SharedPolicy,
    TokenLimit,
)
from limits.replay import STEP, Replay
from tests.examples import examples

SECOND = 1000  # of a past call; limits are told nanoseconds
SECOND_NS = 10**9
DAY = 86_400 * SECOND
ADA, BOB = UUID(int=1), UUID(int=2)


def call(number, started, ended, user=ADA, *, tokens=0, micro_dollars=0, pays=False):
    return PastCall(started, UUID(int=100 + number).bytes, user.bytes, ended, tokens, micro_dollars, pays)


def replayed(policy, calls, **options):
    replay = Replay(policy, **options)
    for _ in replay.decide(calls):
        pass
    return replay.outcome


def limited(limits, calls):
    return replayed(SharedPolicy(limits=limits), [(call, None) for call in calls])


def test_what_a_user_pays_is_in_no_budget_and_a_trial_refuses_here():
    proposed = SharedLimits(each_member=PolicyLimits(budget=Budget("0.001", "day", reserve=True, shadow=True)))
    calls = [
        call(0, DAY, DAY, micro_dollars=2000, pays=True),
        call(1, DAY + SECOND, DAY + SECOND, micro_dollars=2000),
        call(2, DAY + 2 * SECOND, DAY + 2 * SECOND, micro_dollars=1),
        call(3, DAY + 3 * SECOND, DAY + 3 * SECOND, micro_dollars=1, pays=True),
    ]
    replay = limited(proposed, calls)
    assert [(one.id, one.used, one.maximum) for one in replay.first] == [(UUID(int=102), 2000, 1000)]


def test_only_the_first_refused_are_named():
    calls = [call(number, DAY + number, DAY + number) for number in range(110)]
    replay = limited(SharedLimits(each_member=PolicyLimits(rate=Rate(1, "1s"))), calls)
    assert len(replay.first) == 100
    (totals,) = replay.totals.values()
    assert totals.refused == 109


def test_slots_tokens_and_budgets_are_free_again_when_a_call_ends_or_a_window_is_over():
    together = PolicyLimits(concurrency=1, tokens=TokenLimit(100, "60s"), budget=Budget("0.001", "day"))
    calls = [
        call(0, DAY, DAY + 10 * SECOND, tokens=100, micro_dollars=10),
        call(1, DAY + 5 * SECOND, DAY + 6 * SECOND, BOB),  # the slot
        call(2, DAY + 11 * SECOND, DAY + 12 * SECOND, BOB),  # the tokens
        call(3, DAY + 71 * SECOND, DAY + 72 * SECOND, BOB, tokens=1, micro_dollars=990),
        call(4, DAY + 80 * SECOND, DAY + 80 * SECOND),  # the budget
        call(5, 2 * DAY, 2 * DAY),
    ]
    refused = limited(SharedLimits(together=together), calls).first
    assert [(one.started_ms - DAY, one.limit.kind, one.used) for one in refused] == [
        (5 * SECOND, "concurrency", 1),
        (11 * SECOND, "tokens", 100),
        (80 * SECOND, "budget", 1_000),
    ]
    assert refused[1].wait_ns == 59 * SECOND_NS


def test_others_have_their_turn_between():
    replay = Replay(SharedPolicy(limits=SharedLimits(each_member=PolicyLimits(rate=Rate(1, "60s")))))
    calls = [(call(number, DAY, DAY), None) for number in range(2 * STEP)]
    assert sum(1 for _ in replay.decide(calls)) == 2
    assert replay.calls == 2 * STEP


def test_a_call_that_comes_late_is_decided_on_when_it_comes():
    calls = [call(0, DAY, DAY), call(1, DAY - SECOND, DAY)]
    replay = limited(SharedLimits(each_member=PolicyLimits(rate=Rate(1, "60s"))), calls)
    assert [one.wait_ns for one in replay.first] == [60 * SECOND_NS]


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
    calls = [
        (call(number, number * SECOND, number * SECOND, user, pays=pays), model)
        for number, (user, pays, model) in enumerate(rows)
    ]
    has_price = {"has_price": lambda model: model.provider == "eu"}
    outcome = replayed(SharedPolicy(models=models, limits=limits), calls, **has_price)

    def is_refused(past, model):
        rules = Effective([CompiledPolicy(PolicyHolder(Level.EVERYONE), SharedPolicy(models=models))], "")
        priced = past.pays or has_price["has_price"](model)
        return bool(model.model) and rules.refuse_model(model.provider, model.model, lambda: priced) is not None

    refused = [past.id for past, model in calls if is_refused(past, model)]
    others = [past for past, model in calls if not is_refused(past, model)]
    assert [one.id.bytes for one in outcome.first if one.rule] == refused
    alone = replayed(SharedPolicy(limits=limits), [(one, None) for one in others])
    assert [one for one in outcome.first if not one.rule] == alone.first
    assert outcome.refused == len(refused) + alone.refused
    assert outcome.calls.total() == len(calls)
