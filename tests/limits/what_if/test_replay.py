"""Proposed limits on past calls."""

from __future__ import annotations

from heapq import heappop, heappush
from uuid import UUID

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings

from limits.limit import NEVER_NS, Amounts, Of
from limits.limiter import Limiter
from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Effective
from limits.policies.policy import Budget, Limits, Rate, SharedLimits, SharedPolicy, Tokens
from limits.policies.sources import Level, Source
from limits.what_if.past_calls import LimitName, Outcome, PastCall, RefusalTotals, RefusedCall
from limits.what_if.replay import Replay
from tests.examples import examples

SECOND = 1000  # of a past call; limits are told nanoseconds
SECOND_NS, MILLISECOND_NS = 10**9, 10**6
DAY = 86_400 * SECOND
ADA, BOB = UUID(int=1), UUID(int=2)


def call(number, started, ended, user=ADA, *, tokens=0, micro_dollars=0, pays=False):
    return PastCall(started, UUID(int=100 + number).bytes, user.bytes, ended, tokens, micro_dollars, pays)


def decide(replay, calls, until):
    for _ in replay.decide(calls):
        pass
    for _ in replay.finish(until):
        pass
    return replay.outcome


def replayed(limits, calls, *, retry=False, until=10 * DAY):
    return decide(Replay(SharedPolicy(limits=limits), retry=retry), calls, until)


class ByLimiter:
    """The same, with the limiter that requests have, and its states."""

    def __init__(self, limits, *, retry):
        self.at = self.order = 0
        self.limiter = Limiter(lambda: self.at, lambda: self.at)
        self.policy = CompiledPolicy(Source(Level.EVERYONE), SharedPolicy(limits=limits), "UTC")
        self.retry = retry
        self.outcome = Outcome()
        self.events = []

    def decide(self, calls):
        for one in calls:
            self.run_until(one.started_ms * MILLISECOND_NS)
            self.at = one.started_ms * MILLISECOND_NS
            user = UUID(bytes=one.user)
            self.outcome.calls[user] += 1
            refused = self.admit(one)
            if refused is None:
                continue
            state, wait_ns = refused
            name = LimitName("each_member" if state.limit.of is Of.USER else "together", state.limit.kind.value)
            totals = self.outcome.totals.setdefault((name, user), RefusalTotals())
            totals.refused += 1
            totals.never += 1
            helps = wait_ns != NEVER_NS
            result = state.limit.maximum, state.used, wait_ns if helps else None
            self.outcome.first.append(RefusedCall(UUID(bytes=one.id), one.started_ms, user, name, *result))
            if helps and self.retry:
                self.later(self.at + wait_ns, 1, [one, totals, 1])
            elif helps:
                totals.longest_ns = max(totals.longest_ns, wait_ns)
        yield

    def finish(self, until):
        yield self.run_until(until * MILLISECOND_NS)

    def run_until(self, at):
        while self.events and self.events[0][0] <= at:
            self.at, is_try, _, what = heappop(self.events)
            if is_try:
                self.try_again(*what)
            else:
                ticket, used = what
                self.limiter.charge(ticket, used)
                self.limiter.end(ticket)

    def try_again(self, one, totals, tries):
        refused, tries = self.admit(one), tries + 1
        if refused is None:
            totals.never -= 1
            totals.longest_ns = max(totals.longest_ns, self.at - one.started_ms * MILLISECOND_NS)
        elif refused[1] != NEVER_NS and tries < 10:
            self.later(self.at + refused[1], 1, [one, totals, tries])

    def admit(self, one):
        effective = Effective([self.policy], str(UUID(bytes=one.user)))
        limits = effective.before_body(pays=one.pays) + effective.after_body(pays=one.pays)
        decision = self.limiter.start([msgspec.structs.replace(one, reserve=False, shadow=False) for one in limits])
        if decision.ticket is None:
            return decision.refused_by, decision.retry_after_ns
        took = max(0, one.ended_ms - one.started_ms) * MILLISECOND_NS
        self.later(self.at + took, 0, (decision.ticket, Amounts(one.tokens, one.micro_dollars)))
        return None

    def later(self, at, is_try, what):
        self.order += 1
        heappush(self.events, (at, is_try, self.order, what))


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


@settings(max_examples=examples(30, 300))
@given(st.builds(SharedLimits, each_member=limits, together=limits), past, st.booleans())
def test_the_limiter_of_requests_says_the_same(proposed, calls, retry):
    expected = decide(ByLimiter(proposed, retry=retry), calls, 10 * DAY)
    assert replayed(proposed, calls, retry=retry) == expected


def test_the_wait_is_the_one_that_the_client_would_have_been_told():
    proposed = SharedLimits(each_member=Limits(rate=Rate(2, "60s")))
    calls = [call(number, DAY + 10 * number * SECOND, DAY + 10 * number * SECOND) for number in range(4)]
    replay = replayed(proposed, calls)
    rate = LimitName("each_member", "rate")
    assert replay.first == [
        RefusedCall(UUID(int=102), calls[2].started_ms, ADA, rate, 2, 2, 40 * SECOND_NS),
        RefusedCall(UUID(int=103), calls[3].started_ms, ADA, rate, 2, 2, 30 * SECOND_NS),
    ]
    assert replay.totals == {(rate, ADA): RefusalTotals(refused=2, longest_ns=40 * SECOND_NS, never=2)}
    assert replay.calls == {ADA: 4}


def test_what_a_user_pays_is_in_no_budget_and_a_trial_refuses_here():
    proposed = SharedLimits(each_member=Limits(budget=Budget("0.001", "day", reserve=True, shadow=True)))
    calls = [
        call(0, DAY, DAY, micro_dollars=2000, pays=True),
        call(1, DAY + SECOND, DAY + SECOND, micro_dollars=2000),
        call(2, DAY + 2 * SECOND, DAY + 2 * SECOND, micro_dollars=1),
        call(3, DAY + 3 * SECOND, DAY + 3 * SECOND, micro_dollars=1, pays=True),
    ]
    replay = replayed(proposed, calls)
    assert [(one.id, one.used, one.maximum) for one in replay.first] == [(UUID(int=102), 2000, 1000)]


def test_only_the_first_refused_are_named_and_only_so_many_wait(monkeypatch):
    monkeypatch.setattr("limits.what_if.replay.MAX_WAITING", 1)
    calls = [call(number, DAY + number, DAY + number) for number in range(110)]
    replay = replayed(SharedLimits(each_member=Limits(rate=Rate(1, "1s"))), calls, retry=True)
    assert len(replay.first) == 100
    (totals,) = replay.totals.values()
    assert (totals.refused, totals.never) == (109, 108)


def test_a_call_is_given_up_after_some_tries_and_others_have_their_turn_between(monkeypatch):
    monkeypatch.setattr("limits.what_if.replay.STEP", 10)
    replay = Replay(SharedPolicy(limits=SharedLimits(each_member=Limits(rate=Rate(1, "60s")))), retry=True)
    assert sum(1 for _ in replay.decide([call(number, DAY, DAY) for number in range(20)])) == 2
    assert replay.calls == 20
    assert sum(1 for _ in replay.finish(2 * DAY)) > 10
    (totals,) = replay.outcome.totals.values()
    # Of 19 that wait, one is admitted each minute, until the others have been tried ten times.
    assert (totals.refused, totals.never, totals.longest_ns) == (19, 10, 9 * 60 * SECOND_NS)


def test_a_call_that_comes_late_is_decided_on_when_it_comes():
    calls = [call(0, DAY, DAY), call(1, DAY - SECOND, DAY)]
    replay = replayed(SharedLimits(each_member=Limits(rate=Rate(1, "60s"))), calls)
    assert [one.wait_ns for one in replay.first] == [60 * SECOND_NS]
