from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.limit import NEVER_NS, UNLIMITED, Amounts, BudgetPeriod, Limit, LimitKind, LimitState, Of
from limits.limiter import Limiter
from tests.limits.clock import SECOND, Clock
from tests.limits.naive import Naive

DAY = 86_400 * SECOND


def slots(maximum, key="server", **more):
    return Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, key, maximum, **more)


def rate(maximum, key="token:t", window_ns=10 * SECOND, **more):
    return Limit(LimitKind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns, **more)


def tokens(maximum, key="user:u", window_ns=10 * SECOND, **more):
    return Limit(LimitKind.TOKENS, Rule.USER_TOKENS, Of.USER, key, maximum, window_ns, **more)


def budget(maximum, key="user:u", period=BudgetPeriod.DAY, **more):
    return Limit(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, key, maximum, period=period, **more)


def wall(*date):
    return int(datetime(*date, tzinfo=UTC).timestamp()) * SECOND


TODAY = wall(2026, 3, 14)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def calendar():
    clock = Clock()
    clock.now_ns = wall(2026, 3, 14, 18)
    return clock


@pytest.fixture
def limiter(clock, calendar):
    return Limiter(clock, calendar)


def test_of_several_limits_that_refuse_the_one_with_the_longest_wait_is_named(limiter, clock):
    short, long = rate(1, "a"), rate(1, "b")
    limiter.start([short])
    clock.advance(4 * SECOND)
    limiter.start([long])
    decision = limiter.start([long, short])
    assert (decision.refused_by.limit, decision.retry_after_ns) == (long, 10 * SECOND)


def test_concurrency_is_named_before_a_longer_wait_which_is_told_all_the_same(limiter):
    limits = [slots(1), rate(1)]
    limiter.start(limits)
    decision = limiter.start(limits)
    assert (decision.refused_by.limit, decision.retry_after_ns) == (slots(1), 10 * SECOND)


def test_a_restored_budget_never_becomes_less(limiter, calendar):
    begin = TODAY
    for used in (30, 20):
        limiter.restore(budget(50), used, begin)
    limiter.restore(rate(50), 20, begin)
    assert [state.used for state in limiter.states([budget(50), rate(50)])] == [30, 0]


def test_a_budget_that_was_only_restored_is_not_told_of_before_it_is_used(limiter):
    limiter.restore(budget(UNLIMITED), 30, TODAY)
    assert limiter.usage(9) == ()
    ticket = limiter.start([budget(50)]).ticket
    limiter.restore(budget(UNLIMITED), 40, TODAY)
    limiter.charge(ticket, Amounts(micro_dollars=1))
    assert [(state.limit, state.used) for state in limiter.usage(9)] == [(budget(50), 41)]


def test_a_budget_of_nothing_admits_nothing(limiter):
    for limit, reset in ((budget(0), DAY // 4), (tokens(0), 0), (rate(0), 0), (slots(0), 0)):
        assert limiter.start([limit]).refused_by == LimitState(limit, 0, 0, NEVER_NS, reset)


def test_a_clock_that_goes_back_counts_as_one_that_stands_still(limiter, clock):
    limiter.start([rate(2)])
    clock.now_ns -= 5 * SECOND
    assert limiter.start([rate(2)]).states == (LimitState(rate(2), 2, 0, 10 * SECOND, 10 * SECOND),)


def test_the_keys_with_least_left_are_told_for_each_rule(limiter):
    for key in "abbbcc":
        limiter.start([rate(5, key)])
    limiter.start([slots(3)])
    ticket = limiter.start([tokens(10), budget(7)]).ticket
    limiter.charge(ticket, Amounts(2, 3))
    usage = [(state.limit.rule, state.limit.key, state.used) for state in limiter.usage(2)]
    assert usage == [
        (Rule.RATE, "b", 3),
        (Rule.RATE, "c", 2),
        (Rule.CONCURRENCY, "server", 1),
        (Rule.USER_TOKENS, "user:u", 2),
        (Rule.USER_BUDGET, "user:u", 3),
    ]


POOL = (
    slots(2),
    slots(1, "user:a"),
    rate(3, "token:a", 10),
    rate(2, "token:a", 10),
    rate(2, "user:a", 10),
    rate(4, "user:a", 25),
    rate(1, "user:a", 40, shadow=True),
    tokens(20, "user:a", 10),
    tokens(30, "user:a", 25, reserve=True),
    tokens(12, "user:a", 25, shadow=True),
    budget(40, "user:a", reserve=True),
    budget(25, "user:a", period=BudgetPeriod.WEEK),
    budget(20, "user:b", zone="America/Sao_Paulo"),
)
amounts = st.builds(Amounts, st.integers(0, 15), st.integers(0, 15))
happenings = st.one_of(
    st.tuples(st.just("start"), st.lists(st.sampled_from(POOL), max_size=6, unique=True), amounts),
    st.tuples(st.just("charge"), st.integers(0, 40), amounts, st.none() | amounts),
    st.tuples(st.just("end"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.integers(0, 12) | st.integers(0, 10**12) | st.just(DAY // 2)),
    st.tuples(st.just("jump"), st.integers(1, 9)),
)


@given(happenings=st.lists(happenings, max_size=50))
def test_every_decision_is_what_all_that_ever_happened_says(happenings):
    clock, calendar = Clock(), Clock()
    calendar.now_ns = wall(2026, 3, 14, 23, 59)
    limiter, naive = Limiter(clock, calendar), Naive()
    tickets = []
    for what, *of in happenings:
        naive.now, naive.wall = clock.now_ns, calendar.now_ns
        if what == "pass":
            clock.advance(of[0])
            calendar.advance(of[0])
        elif what == "jump":  # the wall clock is wrong for a moment
            calendar.now_ns += of[0] * 1000 * DAY
            assert [state.used for state in limiter.states(POOL[-3:])] == [0, 0, 0]
            calendar.now_ns -= of[0] * 1000 * DAY
        elif what == "start":
            limits, reserve = of
            decision = limiter.start(limits, reserve)
            refusing, shadow = naive.start(decision.ticket, limits, reserve)
            assert (decision.ticket is None, decision.shadow) == (bool(refusing), shadow)
            if refusing:
                assert decision.refused_by in refusing
                assert decision.retry_after_ns == max(state.retry_after_ns for state in refusing)
            else:
                assert decision.states == tuple(naive.state(limit) for limit in limits)
                tickets.append(decision.ticket)
        elif tickets:
            ticket = tickets[of[0] % len(tickets)]
            if what == "charge":
                limiter.charge(ticket, *of[1:])
                naive.charge(ticket, *of[1:])
            else:
                limiter.end(ticket)
                naive.end(ticket)
        naive.now, naive.wall = clock.now_ns, calendar.now_ns
        assert limiter.states(POOL) == tuple(naive.state(limit) for limit in POOL)
    for ticket in tickets:
        limiter.end(ticket)
    for _ in range(2):
        clock.advance(10 * DAY)
        calendar.advance(10 * DAY)
        limiter.states(())
    assert (len(limiter), limiter.usage(9)) == (0, ())
