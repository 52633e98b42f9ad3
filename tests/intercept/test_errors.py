import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.endings import end_reason, settled
from intercept.errors import ENDS, MAX_TEMPLATE, explain, template_of
from intercept.records import EndReason, ProviderError, Reading, TokenUsage, UsageSource
from tests.cases import for_each


def test_every_end_of_a_failed_call_is_explained():
    assert set(ENDS) == set(EndReason) - {EndReason.COMPLETED}
    assert all(said.title and said.meaning.endswith(".") for said in ENDS.values())


@for_each(
    ("end_reason", "status", "begins"),
    ("upstream_error", 429, "The provider refused the call: too many requests"),
    ("upstream_error", 418, "The provider refused the request. Its message says why."),
    ("upstream_error", 599, "The provider failed. Its message says why."),
    ("upstream_error", None, "The provider responded with an error."),
    ("upstream_timeout", 200, ENDS[EndReason.UPSTREAM_TIMEOUT]),
    ("of_a_later_version", None, ""),
)
def test_the_status_says_more_where_the_provider_responded_with_an_error(end_reason, status, begins):
    assert explain(end_reason, status).startswith(begins)
    assert bool(explain(end_reason, status)) == bool(begins)


@for_each(
    ("message", "template"),
    ("Overloaded", "Overloaded"),
    ("prompt is too long: 213462 tokens > 200000 maximum", "prompt is too long: # tokens > # maximum"),
    ("The model `gpt-9` does not exist", "The model * does not exist"),
    ("Incorrect API key provided: sk-p****3f9c.", "Incorrect API key provided: sk-p****#f#c."),
    ("No tool call found for call_8Xk2hPq1", "No tool call found for *"),
    (
        "Rate limit reached for gpt-5-mini in organization org-aB3xY9 on tokens per min. Limit: 30,000",
        "Rate limit reached for * in organization * on tokens per min. Limit: #",
    ),
    ("messages.3.content: don't send 'image' here", "*: don't send * here"),
    ("a  b\n\tc", "a b c"),
    ("", ""),
)
def test_what_differs_from_one_message_to_the_next_is_left_out(message, template):
    assert template_of(message) == template


@given(st.text() | st.text("a1 \"'`*#.-…", max_size=400))
def test_a_template_is_short_and_the_template_of_itself(message):
    template = template_of(message)
    assert len(template) <= MAX_TEMPLATE
    assert template_of(template) == template


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.text("ab c", max_size=20))
def test_messages_that_differ_in_numbers_and_quotes_alone_have_one_template(first, second, words):
    def message(number):
        return f'{words} {number} of "{number} {words}" at {number}.'

    assert template_of(message(first)) == template_of(message(second))
    assert not re.search(r"\d", template_of(message(first)))


NOTHING = Reading()
WHOLE = Reading(complete=True)
OPAQUE = Reading(open_ended=True)
ERROR = Reading(error=ProviderError(type="overloaded_error", message="Overloaded"))
FAILED = Reading(complete=True, error=ProviderError(type="server_error", message="failed"))
LEFT = EndReason.CLIENT_DISCONNECTED


@for_each(
    ("status", "reading", "interruption", "undelivered", "reason"),
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
