from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from intercept.records import Ending, EndReason, ProviderError
from limits.protection.circuit_breaker import (
    BreakerPolicy,
    CallOutcome,
    CircuitBreakers,
    CircuitKey,
    CircuitOpenError,
    CircuitState,
    outcome_of,
    outcome_of_status,
)
from tests.cases import for_each
from tests.limits.clock import SECOND, Clock

KEY = CircuitKey("openai", "/v1/chat/completions", "gpt-5")
POLICY = BreakerPolicy(
    failure_threshold=3, interval=timedelta(seconds=10), timeout=timedelta(seconds=30), max_requests=2
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def breakers(clock, changes):
    return CircuitBreakers(POLICY, clock, lambda key, state: changes.append((key, state)))


def settle(breakers, *outcomes, key=KEY):
    for outcome in outcomes:
        breakers.admit(key).settle(outcome)


def state_of(breakers, key=KEY):
    return breakers.states().get(key, CircuitState.CLOSED)


def refusal(breakers, key=KEY):
    with pytest.raises(CircuitOpenError) as caught:
        breakers.admit(key)
    return str(caught.value), caught.value.retry_after_s


def trip(breakers, key=KEY):
    settle(breakers, *[CallOutcome.FAILURE] * 3, key=key)


def test_failures_in_a_row_open_it_and_it_says_how_long_to_wait(breakers, clock, changes):
    trip(breakers)
    assert state_of(breakers) is CircuitState.OPEN
    assert refusal(breakers) == ("circuit breaker is open", 30)
    clock.advance(29 * SECOND + 1)
    assert refusal(breakers) == ("circuit breaker is open", 1)
    assert changes == [(KEY, CircuitState.OPEN)]


def test_a_failure_that_took_longer_than_the_interval_counts(breakers, clock):
    slow = [breakers.admit(KEY) for _ in range(3)]
    clock.advance(300 * SECOND)
    for permit in slow:
        permit.settle(CallOutcome.FAILURE)
    assert state_of(breakers) is CircuitState.OPEN


def test_only_so_many_circuits_are_kept_and_those_asked_for_longest_ago_go_first(clock):
    breakers = CircuitBreakers(POLICY, clock, max_circuits=2)
    first, second, third = (KEY._replace(model=model) for model in ["first", "second", "third"])
    trip(breakers, first)
    trip(breakers, second)
    refusal(breakers, first)
    breakers.admit(third)
    assert len(breakers.states()) == 2
    assert [state_of(breakers, key) for key in [first, second, third]] == [
        CircuitState.OPEN,
        CircuitState.CLOSED,
        CircuitState.CLOSED,
    ]


class AgainstAModel(RuleBasedStateMachine):
    """The breaker against a list of everything that happened since the last change of state."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.changes: list[CircuitState] = []
        self.breakers = CircuitBreakers(POLICY, self.clock, lambda _, state: self.changes.append(state))
        self.state = CircuitState.CLOSED
        self.epoch = 0
        self.since = self.clock.now_ns
        self.in_a_row = 0
        self.under_way = 0
        self.successes = 0

    def become(self, state):
        self.state, self.since = state, self.clock.now_ns
        self.epoch += 1
        self.in_a_row = self.under_way = self.successes = 0

    @rule(seconds=st.sampled_from([1, 5, 10, 29, 30, 100]))
    def time_passes(self, seconds):
        self.clock.advance(seconds * SECOND)
        elapsed = self.clock.now_ns - self.since
        if self.state is CircuitState.OPEN and elapsed >= 30 * SECOND:
            self.become(CircuitState.HALF_OPEN)
        elif self.state is CircuitState.CLOSED and elapsed >= 10 * SECOND:
            self.since, self.in_a_row = self.clock.now_ns, 0
        state_of(self.breakers)

    @rule(target=permits)
    def a_request_comes(self):
        free = self.under_way + self.successes < 2
        expected = self.state is CircuitState.CLOSED or (self.state is CircuitState.HALF_OPEN and free)
        if not self.breakers.states():
            self.since = self.clock.now_ns
        try:
            permit = self.breakers.admit(KEY)
        except CircuitOpenError:
            assert not expected
            return multiple()
        assert expected
        self.under_way += 1
        return [permit, self.epoch]

    @rule(permit=permits, outcome=st.sampled_from(CallOutcome))
    def a_request_ends(self, permit, outcome):
        permit[0].settle(outcome)
        epoch, permit[1] = permit[1], None
        if epoch != self.epoch:
            return
        self.under_way -= 1
        if outcome is CallOutcome.FAILURE:
            self.in_a_row += 1
            if self.state is CircuitState.HALF_OPEN or self.in_a_row == 3:
                self.become(CircuitState.OPEN)
        elif outcome is CallOutcome.SUCCESS:
            self.in_a_row = 0
            self.successes += 1
            if self.state is CircuitState.HALF_OPEN and self.successes == 2:
                self.become(CircuitState.CLOSED)

    @invariant()
    def both_are_in_the_same_state(self):
        assert state_of(self.breakers) is self.state

    @invariant()
    def only_the_transitions_of_the_table_happen(self):
        table = {
            CircuitState.CLOSED: {CircuitState.OPEN},
            CircuitState.OPEN: {CircuitState.HALF_OPEN},
            CircuitState.HALF_OPEN: {CircuitState.OPEN, CircuitState.CLOSED},
        }
        for before, after in zip([CircuitState.CLOSED, *self.changes], self.changes, strict=False):
            assert after in table[before]


TestAgainstAModel = AgainstAModel.TestCase


@for_each(
    ("reason", "status", "error", "outcome"),
    ("completed", 200, None, CallOutcome.SUCCESS),
    ("upstream_error", 400, None, CallOutcome.SUCCESS),
    ("upstream_error", 401, None, CallOutcome.SUCCESS),
    ("upstream_error", 429, None, CallOutcome.UNKNOWN),
    ("upstream_error", 500, None, CallOutcome.UNKNOWN),
    ("upstream_error", 503, None, CallOutcome.FAILURE),
    ("upstream_error", 504, None, CallOutcome.FAILURE),
    ("upstream_error", 529, None, CallOutcome.FAILURE),
    ("upstream_stream_error", 200, "overloaded_error", CallOutcome.FAILURE),
    ("upstream_stream_error", 200, "invalid_request_error", CallOutcome.UNKNOWN),
    ("upstream_unreachable", None, None, CallOutcome.FAILURE),
    ("upstream_timeout", None, None, CallOutcome.FAILURE),
    ("upstream_truncated", 200, None, CallOutcome.UNKNOWN),
    ("client_disconnected", 200, None, CallOutcome.UNKNOWN),
    ("client_disconnected", None, None, CallOutcome.UNKNOWN),
    ("server_shutdown", 200, None, CallOutcome.UNKNOWN),
)
def test_an_end_says_of_the_upstream_only_what_is_the_upstreams_doing(reason, status, error, outcome):
    ending = Ending(
        interception_id=UUID(int=1),
        end_reason=EndReason(reason),
        ended_at=datetime(2026, 1, 1, tzinfo=UTC),
        upstream_status=status,
        error=error and ProviderError(type=error, message="m"),
    )
    assert outcome_of(ending) is outcome


@for_each(
    ("status", "outcome"),
    (529, CallOutcome.FAILURE),
    (429, CallOutcome.UNKNOWN),
    (500, CallOutcome.UNKNOWN),
    (404, CallOutcome.SUCCESS),
)
def test_the_status_alone_judges_an_answer_that_is_not_taken(status, outcome):
    assert outcome_of_status(status) is outcome
