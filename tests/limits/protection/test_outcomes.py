from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from intercept.records import Ending, EndReason, ProviderError
from limits.protection.circuit_breaker import Outcome
from limits.protection.outcomes import outcome_of, outcome_of_status
from tests.cases import for_each


@for_each(
    ("reason", "status", "error", "outcome"),
    [
        ("completed", 200, None, Outcome.SUCCESS),
        ("upstream_error", 400, None, Outcome.SUCCESS),
        ("upstream_error", 401, None, Outcome.SUCCESS),
        ("upstream_error", 429, None, Outcome.UNKNOWN),
        ("upstream_error", 500, None, Outcome.UNKNOWN),
        ("upstream_error", 503, None, Outcome.FAILURE),
        ("upstream_error", 504, None, Outcome.FAILURE),
        ("upstream_error", 529, None, Outcome.FAILURE),
        ("upstream_stream_error", 200, "overloaded_error", Outcome.FAILURE),
        ("upstream_stream_error", 200, "invalid_request_error", Outcome.UNKNOWN),
        ("upstream_unreachable", None, None, Outcome.FAILURE),
        ("upstream_timeout", None, None, Outcome.FAILURE),
        ("upstream_truncated", 200, None, Outcome.UNKNOWN),
        ("client_disconnected", 200, None, Outcome.UNKNOWN),
        ("client_disconnected", None, None, Outcome.UNKNOWN),
        ("server_shutdown", 200, None, Outcome.UNKNOWN),
    ],
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
    [
        *((status, Outcome.FAILURE) for status in (503, 504, 529)),
        *((status, Outcome.UNKNOWN) for status in (429, 500, 502)),
        *((status, Outcome.SUCCESS) for status in (400, 401, 404)),
    ],
)
def test_the_status_alone_judges_an_answer_that_is_not_taken(status, outcome):
    assert outcome_of_status(status) is outcome
