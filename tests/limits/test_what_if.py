"""Proposed limits on past calls."""

from __future__ import annotations

from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from limits.limit import Amounts
from limits.past_calls import LimitName, PastCall, RefusedCall, Tally
from limits.policies.policy import Budget, Limits, Rate, SharedLimits, Tokens
from limits.what_if import Replay

SECOND = 10**9
DAY = 86_400 * SECOND
ADA, BOB = UUID(int=1), UUID(int=2)


def call(number, started, ended, user=ADA, *, tokens=0, micro_dollars=0, pays=False):
    return PastCall(UUID(int=100 + number), started, ended, user, Amounts(tokens, micro_dollars), pays)


def replayed(limits, calls, *, retry=False, until=10 * DAY):
    replay = Replay(limits, retry=retry)
    for one in calls:
        for _ in replay.add(one):
            pass
    for _ in replay.finish(until):
        pass
    return replay.outcome


class Naive:
    """The same by the definition of each limit, over everything that was admitted."""

    def __init__(self, limits):
        self.parts = (("each_member", limits.each_member), ("together", limits.together))
        self.admitted = []

    def refuses(self, one):
        """Which limits refuse a call, and how much of each is used."""
        now = one.started_ns
        for part, limits in self.parts:
            if not limits:
                continue
            mine = [other for other in self.admitted if part == "together" or other.user == one.user]
            over = [other for other in mine if other.ended_ns <= now]
            if limits.concurrency and len(mine) - len(over) >= limits.concurrency:
                yield LimitName(part, "concurrency")
            if limits.rate:
                window = int(limits.rate.window.removesuffix("s")) * SECOND
                if sum(other.started_ns > now - window for other in mine) >= limits.rate.requests:
                    yield LimitName(part, "rate")
            if limits.tokens:
                window = int(limits.tokens.window.removesuffix("s")) * SECOND
                used = sum(other.used.tokens for other in over if other.ended_ns > now - window)
                if used >= limits.tokens.count:
                    yield LimitName(part, "tokens")
            if limits.budget and not one.pays:
                paid = [other for other in over if other.ended_ns // DAY == now // DAY and not other.pays]
                if sum(other.used.micro_dollars for other in paid) >= limits.budget.micro_dollars:
                    yield LimitName(part, "budget")


seconds = st.integers(1, 30).map(lambda number: f"{number}s")
limits = st.builds(
    Limits,
    concurrency=st.integers(1, 3),
    rate=st.builds(Rate, st.integers(1, 4), seconds),
    tokens=st.builds(Tokens, st.integers(1, 200), seconds),
    budget=st.builds(Budget, st.integers(1, 3).map(lambda cents: cents / 1000), st.just("day")),
)
past = st.lists(
    st.tuples(
        st.integers(0, 60), st.integers(0, 20), st.sampled_from([ADA, BOB]), st.integers(0, 100), st.integers(0, 1000), st.booleans()
    ),
    max_size=40,
).map(
    lambda rows: [
        call(number, DAY - 30 * SECOND + at * SECOND, DAY - 30 * SECOND + (at + took) * SECOND, user, tokens=tokens, micro_dollars=money, pays=pays)
        for number, (at, took, user, tokens, money, pays) in enumerate(sorted(rows, key=lambda row: row[0]))
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.builds(SharedLimits, each_member=limits, together=limits), past)
def test_each_call_is_refused_that_a_limit_refuses_by_its_definition(proposed, calls):
    naive = Naive(proposed)
    refused = {}
    for one in calls:
        by = set(naive.refuses(one))
        if by:
            refused[one.id] = by
        else:
            naive.admitted.append(one)
    replay = replayed(proposed, calls)
    assert replay.refused == len(refused)
    assert {one.call.id for one in replay.first} == set(refused)
    assert all(one.limit in refused[one.call.id] for one in replay.first)
    assert sum(replay.calls.values()) == len(calls)


@settings(max_examples=200)
@given(st.builds(SharedLimits, each_member=limits), past)
def test_a_call_that_is_tried_often_enough_is_admitted_in_the_end(proposed, calls):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limits.what_if.MAX_TRIES", 10_000)
        replay = replayed(proposed, calls, retry=True)
    assert sum(tally.never for tally in replay.tallies.values()) == 0
    once = replayed(proposed, calls)
    assert {one.call.id for one in once.first[:1]} == {one.call.id for one in replay.first[:1]}


def test_the_wait_is_the_one_that_the_client_would_have_been_told():
    proposed = SharedLimits(each_member=Limits(rate=Rate(2, "60s")))
    calls = [call(number, DAY + 10 * number * SECOND, DAY + 10 * number * SECOND) for number in range(4)]
    replay = replayed(proposed, calls)
    rate = LimitName("each_member", "rate")
    assert replay.first == [
        RefusedCall(calls[2], rate, 2, 2, 40 * SECOND),
        RefusedCall(calls[3], rate, 2, 2, 30 * SECOND),
    ]
    assert replay.tallies == {(rate, ADA): Tally(refused=2, longest_ns=40 * SECOND, never=2)}
    assert replay.calls == {ADA: 4}


def test_with_retries_the_wait_is_until_the_call_was_admitted():
    proposed = SharedLimits(together=Limits(rate=Rate(1, "60s")))
    calls = [call(0, DAY, DAY), call(1, DAY + SECOND, DAY + SECOND, BOB), call(2, DAY + 2 * SECOND, DAY + 2 * SECOND)]
    replay = replayed(proposed, calls, retry=True)
    rate = LimitName("together", "rate")
    # Bob's is admitted after 60 s, and makes the other wait for 120.
    assert replay.tallies == {
        (rate, BOB): Tally(refused=1, longest_ns=59 * SECOND, never=0),
        (rate, ADA): Tally(refused=1, longest_ns=118 * SECOND, never=0),
    }


def test_where_no_wait_helps_nothing_is_tried_again():
    replay = replayed(SharedLimits(each_member=Limits(concurrency=0)), [call(0, DAY, DAY)], retry=True)
    assert replay.tallies == {(LimitName("each_member", "concurrency"), ADA): Tally(refused=1, longest_ns=0, never=1)}
    assert [one.wait_ns for one in replay.first] == [None]


def test_what_a_user_pays_is_in_no_budget_and_a_trial_refuses_here():
    proposed = SharedLimits(each_member=Limits(budget=Budget("0.001", "day", reserve=True, shadow=True)))
    calls = [
        call(0, DAY, DAY, micro_dollars=2000, pays=True),
        call(1, DAY + SECOND, DAY + SECOND, micro_dollars=2000),
        call(2, DAY + 2 * SECOND, DAY + 2 * SECOND, micro_dollars=1),
        call(3, DAY + 3 * SECOND, DAY + 3 * SECOND, micro_dollars=1, pays=True),
    ]
    replay = replayed(proposed, calls)
    assert [(one.call.id, one.used, one.maximum) for one in replay.first] == [(calls[2].id, 2000, 1000)]


def test_only_the_first_refused_are_named_and_only_so_many_wait(monkeypatch):
    monkeypatch.setattr("limits.what_if.MAX_WAITING", 1)
    calls = [call(number, DAY + number, DAY + number) for number in range(110)]
    replay = replayed(SharedLimits(each_member=Limits(rate=Rate(1, "1s"))), calls, retry=True)
    assert len(replay.first) == 100
    (tally,) = replay.tallies.values()
    assert (tally.refused, tally.never) == (109, 108)


def test_a_call_is_given_up_after_some_tries_and_others_have_their_turn_between(monkeypatch):
    monkeypatch.setattr("limits.what_if.EVENTS_AT_ONCE", 10)
    replay = Replay(SharedLimits(each_member=Limits(rate=Rate(1, "60s"))), retry=True)
    steps = [sum(1 for _ in replay.add(call(number, DAY, DAY))) for number in range(20)]
    assert sum(steps) == 0  # nothing is due yet
    assert sum(1 for _ in replay.finish(2 * DAY)) > 10
    (tally,) = replay.outcome.tallies.values()
    # Of 19 that wait, one is admitted each minute, until the others have been tried ten times.
    assert (tally.refused, tally.never, tally.longest_ns) == (19, 10, 9 * 60 * SECOND)
