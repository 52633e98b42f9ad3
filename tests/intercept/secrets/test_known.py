from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import (
    Ending,
    EndReason,
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
)
from intercept.secrets.known import MIN_SECRET, KnownSecrets
from tests.cases import for_each
from tests.processor import is_linear

KEY = 'plain/Provider+key="0123'
OTHER = "plain/Provider-of-another"
KNOWN = KnownSecrets([KEY, OTHER])
TOKEN = "abcdefghij-0123456789abcdefghijkl"
SPELLINGS = [
    KEY,
    OTHER,
    quote(KEY, safe=""),
    quote_plus(KEY),
    json.dumps(KEY)[1:-1],
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
]


@for_each(
    ("text", "hidden"),
    [
        ("", ""),
        ("plain text", "plain text"),
        (f"Incorrect API key: {KEY}.", "Incorrect API key: [scrubbed]."),
        (f"{KEY}{OTHER}\n{KEY}", "[scrubbed][scrubbed]\n[scrubbed]"),
        (f"?key={quote(KEY, safe='')}&x", "?key=[scrubbed]&x"),
        (json.dumps({"key": KEY}), '{"key": "[scrubbed]"}'),
        (f"see {KEY[:12]}", "see [scrubbed]"),
        (f"see {KEY[: MIN_SECRET - 1]}", f"see {KEY[: MIN_SECRET - 1]}"),
        (f"see {KEY[:12]} there", f"see {KEY[:12]} there"),
        (f"token {TOKEN}.", "token abcdefghij-[scrubbed]."),
        (f"{TOKEN}x", f"{TOKEN}x"),
    ],
)
def test_a_secret_is_replaced_and_nothing_else(text, hidden):
    assert KNOWN.hide(text) == hidden
    assert KNOWN.hide(hidden) == hidden


@given(st.text(max_size=40), st.sampled_from(SPELLINGS), st.text(max_size=40), st.integers(MIN_SECRET, 40))
def test_no_secret_survives_wherever_it_stands_or_is_cut_off(before, secret, after, kept):
    hidden = KNOWN.hide({before: [before + secret + after, {"x": before + secret[:kept]}]})
    assert secret not in str(hidden)
    assert not hidden[before][1]["x"].endswith(secret[:kept])


@given(st.recursive(st.text() | st.none() | st.integers(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_what_has_no_secret_is_returned_itself(value):
    assert KNOWN.hide(value) is value


def test_a_secret_of_a_few_characters_is_none():
    assert KnownSecrets(["EMPTY", "none", ""]).hide("EMPTY none") == "EMPTY none"


def test_what_a_request_carries_is_replaced_beside_what_is_known():
    both = KNOWN.together_with(["own-key-of-the-client"])
    assert both.hide(f"{KEY} own-key-of-the-client") == "[scrubbed] [scrubbed]"
    assert KNOWN.hide("own-key-of-the-client") == "own-key-of-the-client"


def test_every_text_of_a_record_is_covered_and_everything_else_stays():
    def ending(text):
        return Ending(
            interception_id=UUID(int=1),
            end_reason=EndReason.COMPLETED,
            ended_at=datetime(2026, 1, 1, tzinfo=UTC),
            upstream_request_id=text,
            error=ProviderError(type=text, message=text),
            reading=Reading(
                response_id=text,
                token_usages=(TokenUsage(provider_response_id=text, input_tokens=1, usage={text: [text, 1, None]}),),
                tool_usages=(ToolUsage(provider_response_id=text, provider_tool_call_id=text, tool=text, input=text),),
                model_thoughts=(ModelThought(content=text, source=text),),
            ),
        )

    assert KNOWN.hide(ending(KEY)) == ending("[scrubbed]")
    assert type(KNOWN.hide(ending(KEY)).end_reason) is EndReason


def test_secrets_are_not_shown_as_what_they_are():
    assert repr(KnownSecrets(["hunter22"])) == "KnownSecrets(1)"


@pytest.mark.timed
@for_each("unit", [KEY[:MIN_SECRET], KEY[:-1], KEY, "abcdefghij-", "-", f"{TOKEN} ", "a"])
def test_four_times_the_text_takes_at_most_eight_times_the_work(unit):
    assert is_linear(lambda size: KNOWN.hide(unit * (size // len(unit))), 1 << 18)
