"""What an ended call says about its upstream: the circuit breaker's view of an end record."""

from __future__ import annotations

from intercept.records import Ending, EndReason
from limits.protection.circuit_breaker import Outcome

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


def outcome_of_status(status: int) -> Outcome:
    """Judge by the status of a response of which nothing more is read; one without success is meant."""
    if status in FAILURES:
        return Outcome.FAILURE
    return Outcome.SUCCESS if status < FIRST_SERVER_ERROR and status != TOO_MANY_REQUESTS else Outcome.UNKNOWN


def outcome_of(ending: Ending) -> Outcome:
    """Judge by the call itself: 429 is the key's affair, a client that left says nothing, 4xx is a healthy response."""
    reason, status = ending.end_reason, ending.upstream_status
    if reason in {EndReason.UPSTREAM_UNREACHABLE, EndReason.UPSTREAM_TIMEOUT} or status in FAILURES:
        return Outcome.FAILURE
    if reason is EndReason.UPSTREAM_STREAM_ERROR:
        overloaded = ending.error is not None and ending.error.type in OVERLOADED
        return Outcome.FAILURE if overloaded else Outcome.UNKNOWN
    if reason is EndReason.COMPLETED:
        return Outcome.SUCCESS
    if reason is EndReason.UPSTREAM_ERROR and status is not None and status < FIRST_SERVER_ERROR:
        return Outcome.UNKNOWN if status == TOO_MANY_REQUESTS else Outcome.SUCCESS
    return Outcome.UNKNOWN
