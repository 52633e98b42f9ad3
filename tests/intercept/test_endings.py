from __future__ import annotations

import pytest

from intercept.endings import end_reason, settled
from intercept.records import EndReason, ProviderError, Reading, TokenUsage, UsageSource
from tests.cases import for_each

NOTHING = Reading()
WHOLE = Reading(complete=True)
OPAQUE = Reading(open_ended=True)
ERROR = Reading(error=ProviderError(type="overloaded_error", message="Overloaded"))
FAILED = Reading(complete=True, error=ProviderError(type="server_error", message="failed"))
LEFT = EndReason.CLIENT_DISCONNECTED


@for_each(
    ("status", "reading", "interruption", "undelivered", "reason"),
    [
        (200, WHOLE, None, False, EndReason.COMPLETED),
        (200, WHOLE, LEFT, False, EndReason.COMPLETED),
        (200, WHOLE, LEFT, True, LEFT),
        (200, WHOLE, EndReason.UPSTREAM_TRUNCATED, False, EndReason.COMPLETED),
        (200, NOTHING, None, False, EndReason.UPSTREAM_TRUNCATED),
        (200, OPAQUE, None, False, EndReason.COMPLETED),
        (200, OPAQUE, LEFT, False, LEFT),
        (200, NOTHING, LEFT, False, LEFT),
        (200, NOTHING, EndReason.UPSTREAM_TIMEOUT, False, EndReason.UPSTREAM_TIMEOUT),
        (200, NOTHING, EndReason.SERVER_SHUTDOWN, False, EndReason.SERVER_SHUTDOWN),
        (200, ERROR, None, False, EndReason.UPSTREAM_STREAM_ERROR),
        (200, ERROR, LEFT, False, EndReason.UPSTREAM_STREAM_ERROR),
        (200, FAILED, None, False, EndReason.UPSTREAM_STREAM_ERROR),
        (429, ERROR, None, False, EndReason.UPSTREAM_ERROR),
        (529, NOTHING, LEFT, False, EndReason.UPSTREAM_ERROR),
        (302, NOTHING, None, False, EndReason.UPSTREAM_ERROR),
        (None, NOTHING, LEFT, False, LEFT),
        (None, NOTHING, EndReason.UPSTREAM_UNREACHABLE, False, EndReason.UPSTREAM_UNREACHABLE),
    ],
)
def test_the_reason_is_what_happened_to_the_call_first(status, reading, interruption, undelivered, reason):
    assert end_reason(status=status, reading=reading, interruption=interruption, undelivered=undelivered) is reason


@pytest.mark.parametrize(
    ("reason", "source"),
    [(EndReason.COMPLETED, UsageSource.PROVIDER), (EndReason.CLIENT_DISCONNECTED, UsageSource.PARTIAL)],
)
def test_what_a_completed_call_used_is_the_providers_last_word(reason, source):
    usage = TokenUsage(provider_response_id="r", input_tokens=1, source=UsageSource.PARTIAL)
    (recorded,) = settled(Reading(open_ended=True, token_usages=(usage,)), reason).token_usages
    assert (recorded.source, recorded.input_tokens) == (source, 1)


def test_what_is_the_providers_last_word_already_stays_as_it_is():
    reading = Reading(complete=True, token_usages=(TokenUsage(provider_response_id="r", input_tokens=1),))
    assert settled(reading, EndReason.COMPLETED) is reading
