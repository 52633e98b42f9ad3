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
)
from tests.cases import for_each
from tests.limits.clock import SECOND, Clock

KEY = CircuitKey("openai", "/v1/chat/completions", "gpt-5")
POLICY = BreakerPolicy(
    failure_threshold=3, interval=timedelta(seconds=10), timeout=timedelta(seconds=30), max_requests=2
)


def state_of(breakers, key=KEY):
    return breakers.states().get(key, CircuitState.CLOSED)


def test_only_so_many_circuits_are_kept_and_those_asked_for_longest_ago_go_first():
    clock = Clock()
    breakers = CircuitBreakers(POLICY, clock, max_circuits=2)
    first, second, third = (KEY._replace(model=model) for model in ["first", "second", "third"])
    for key in (first, second):
        for _ in range(3):
            breakers.admit(key).settle(CallOutcome.FAILURE)
    clock.advance(SECOND + 1)
    with pytest.raises(CircuitOpenError, match="circuit breaker is open") as refused:
        breakers.admit(first)
    assert refused.value.retry_after_s == 29
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
