"""Circuit breakers: a provider that keeps failing gets no calls for a while, then a few probes.

| state     | event                                                | next state |
|-----------|------------------------------------------------------|------------|
| closed    | `failure_threshold` failures in a row (see interval) | open       |
| open      | `timeout` has passed                                 | half-open  |
| half-open | a probe failed                                       | open       |
| half-open | `max_requests` probes succeeded                      | closed     |

While closed, the count of failures starts over at each success and every `interval`. While half-open, at most
`max_requests` probes are under way or have succeeded. The outcome of a request counts in the state it was admitted in:
what was admitted before the last change of state says nothing about the present one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from intercept.records import Ending, EndReason
from limits.calendar import nanoseconds

# While all probes run, nobody knows when the state will change.
PROBES_RETRY_NS = 1_000_000_000


class CircuitState(StrEnum):
    """Whether requests pass, are refused, or are let through as probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallOutcome(StrEnum):
    """What a request says about its upstream. `UNKNOWN`: nothing, as when the client left first."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class CircuitKey(NamedTuple):
    """What has a circuit of its own."""

    provider: str
    endpoint: str
    model: str


@dataclass(frozen=True)
class BreakerPolicy:
    """When a circuit changes its state; see the table above."""

    failure_threshold: int = 5
    interval: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=30)
    max_requests: int = 3


class CircuitOpenError(Exception):
    """The upstream is being left alone. `retry_after_s` is in whole seconds, rounded up, at least 1."""

    def __init__(self, retry_after_ns: int) -> None:
        super().__init__("circuit breaker is open")
        self.retry_after_s = -(-retry_after_ns // 1_000_000_000)


class Permit:
    """Permission for one request to its provider. It must be settled once; later results are ignored."""

    def __init__(self, circuit: _Circuit, generation: int) -> None:
        self._circuit: _Circuit | None = circuit
        self._generation = generation

    def settle(self, outcome: CallOutcome) -> None:
        """Say how the request went."""
        circuit, self._circuit = self._circuit, None
        if circuit is not None:
            circuit.settle(self._generation, outcome)


class _Circuit:
    """One circuit. Changes of state that time brings are made when somebody asks next."""

    def __init__(
        self, policy: BreakerPolicy, now_ns: Callable[[], int], on_change: Callable[[CircuitState], None]
    ) -> None:
        self._policy = policy
        self._now_ns = now_ns
        self._on_change = on_change
        self._state = CircuitState.CLOSED
        self._generation = 0
        self._failures = 0
        self._successes = 0
        self._probes = 0
        self._until_ns = now_ns() + nanoseconds(policy.interval)

    def state(self) -> CircuitState:
        self._catch_up(self._now_ns())
        return self._state

    def admit(self) -> Permit:
        now = self._now_ns()
        self._catch_up(now)
        if self._state is CircuitState.OPEN:
            raise CircuitOpenError(self._until_ns - now)
        if self._state is CircuitState.HALF_OPEN:
            if self._probes == self._policy.max_requests:
                raise CircuitOpenError(PROBES_RETRY_NS)
            self._probes += 1
        return Permit(self, self._generation)

    def settle(self, generation: int, outcome: CallOutcome) -> None:
        now = self._now_ns()
        self._catch_up(now)
        if generation != self._generation:
            return
        match self._state, outcome:
            case CircuitState.CLOSED, CallOutcome.SUCCESS:
                self._failures = 0
            case CircuitState.CLOSED, CallOutcome.FAILURE:
                self._failures += 1
                if self._failures == self._policy.failure_threshold:
                    self._change(CircuitState.OPEN, now)
            case CircuitState.HALF_OPEN, CallOutcome.FAILURE:
                self._change(CircuitState.OPEN, now)
            case CircuitState.HALF_OPEN, CallOutcome.UNKNOWN:
                self._probes -= 1
            case CircuitState.HALF_OPEN, CallOutcome.SUCCESS:
                self._successes += 1
                if self._successes == self._policy.max_requests:
                    self._change(CircuitState.CLOSED, now)

    def _catch_up(self, now: int) -> None:
        if now < self._until_ns:
            return
        if self._state is CircuitState.OPEN:
            self._change(CircuitState.HALF_OPEN, now)
        elif self._state is CircuitState.CLOSED:
            self._failures = 0
            self._until_ns = now + nanoseconds(self._policy.interval)

    def _change(self, state: CircuitState, now: int) -> None:
        self._state = state
        self._generation += 1
        self._failures = self._successes = self._probes = 0
        self._until_ns = now + nanoseconds(
            self._policy.timeout if state is CircuitState.OPEN else self._policy.interval
        )
        self._on_change(state)


class CircuitBreakers:
    """A circuit for each provider, endpoint and model.

    Models are named by clients, so at most `max_circuits` are kept; the least recently used one is removed first,
    which closes it.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        now_ns: Callable[[], int],
        on_change: Callable[[CircuitKey, CircuitState], None] = lambda _key, _state: None,
        max_circuits: int = 1000,
    ) -> None:
        self._policy = policy
        self._now_ns = now_ns
        self._on_change = on_change
        self._max_circuits = max_circuits
        self._circuits: OrderedDict[CircuitKey, _Circuit] = OrderedDict()

    def admit(self, key: CircuitKey) -> Permit:
        """Admit a request to its provider.

        Raises:
            CircuitOpenError: The circuit is open.
        """
        if key not in self._circuits:
            while len(self._circuits) >= self._max_circuits:
                self._circuits.popitem(last=False)
            self._circuits[key] = _Circuit(self._policy, self._now_ns, lambda state: self._on_change(key, state))
        self._circuits.move_to_end(key)
        return self._circuits[key].admit()

    def states(self) -> dict[CircuitKey, CircuitState]:
        """The state of every circuit that is kept."""
        return {key: circuit.state() for key, circuit in self._circuits.items()}


# Unavailable, gateway timeout, and Anthropic's "overloaded".
FAILURES = frozenset({503, 504, 529})
TOO_MANY_REQUESTS = 429
FIRST_SERVER_ERROR = 500
# Error types that providers send inside a stream that began with 200 when they have no capacity.
OVERLOADED = frozenset(
    {
        *("overloaded_error", "overloaded", "service_unavailable", "serviceUnavailableException", "UNAVAILABLE"),
        *("server_is_overloaded", "service_unavailable_error", "slow_down"),  # OpenAI's, a code or a type
    }
)


def outcome_of_status(status: int) -> CallOutcome:
    """Judge by the status of a response of which nothing more is read; one without success is meant."""
    if status in FAILURES:
        return CallOutcome.FAILURE
    return CallOutcome.SUCCESS if status < FIRST_SERVER_ERROR and status != TOO_MANY_REQUESTS else CallOutcome.UNKNOWN


def outcome_of(ending: Ending) -> CallOutcome:
    """Judge by the call itself: 429 is the key's affair, a client that left says nothing, 4xx is a healthy response."""
    reason, status = ending.end_reason, ending.upstream_status
    if reason in {EndReason.UPSTREAM_UNREACHABLE, EndReason.UPSTREAM_TIMEOUT} or status in FAILURES:
        return CallOutcome.FAILURE
    if reason is EndReason.UPSTREAM_STREAM_ERROR:
        overloaded = ending.error is not None and ending.error.type in OVERLOADED
        return CallOutcome.FAILURE if overloaded else CallOutcome.UNKNOWN
    if reason is EndReason.COMPLETED:
        return CallOutcome.SUCCESS
    if reason is EndReason.UPSTREAM_ERROR and status is not None:
        return outcome_of_status(status)
    return CallOutcome.UNKNOWN
