import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import Ending, EndReason, ModelThought, ProviderError, Reading, TokenUsage, ToolUsage
from intercept.secrets import (
    MAX_LENGTH,
    MAX_TEXT,
    MIN_SECRET,
    STEP,
    InvalidPatternError,
    KnownSecrets,
    OwnPattern,
    is_credential_name,
    own_pattern,
    redact,
    scrub,
    scrub_value,
)
from tests.cases import for_each
from tests.processor import TRIES, is_linear, seconds_of

TOKEN = "abcdefghij-0123456789abcdefghijkl"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@for_each(
    ("text", "scrubbed"),
    (f"token {TOKEN} used", "token [scrubbed] used"),
    ("key sk-ant-api03-abcdefghijklmnop", "key [scrubbed]"),
    ("sk-proj-0123456789abcdef, and more", "[scrubbed], and more"),
    ("AKIAIOSFODNN7EXAMPLEX is AWS", "[scrubbed] is AWS"),
    ("ghp_0123456789abcdefghij", "[scrubbed]"),
    ("with AQ.Ab8RN6IexampleExampleExample0123456789_-, of Google", "with [scrubbed], of Google"),
    ("FAQ.about_some_longer_thing_in_a_file AQ.short", "FAQ.about_some_longer_thing_in_a_file AQ.short"),
    ("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl+/ex= of Bedrock", "[scrubbed] of Bedrock"),
    ("bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9B/x==", "[scrubbed]"),
    (f"jwt={JWT}", "jwt=[scrubbed]"),
    ("Authorization: Bearer abcdef", "Authorization: Bearer [scrubbed]"),
    ("authorization: basic dXNlcjpwYXNz", "authorization: basic [scrubbed]"),
    ("mongodb://ada:pa55word@host:27017/?x=1", "mongodb://ada:[scrubbed]@host:27017/?x=1"),
    ("x-api-key: hunter22", "x-api-key: [scrubbed]"),
    ('{"password": "hunter22", "user": "ada"}', '{"password": "[scrubbed]", "user": "ada"}'),
    (r"{\"api_key\":\"hunter22\"}", r"{\"api_key\":\"[scrubbed]\"}"),
    ("?access_token=hunter22&x=1", "?access_token=[scrubbed]&x=1"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[scrubbed]"),
    (r"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x", "[scrubbed] x"),
    ("-----BEGIN+EC+PRIVATE+KEY-----%0AMIIE%0A-----END+EC+PRIVATE+KEY-----", "[scrubbed]"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[scrubbed]"),
    ("?x%3Dsk-proj-0123456789abcdef", "?x%3D[scrubbed]"),
    ("api_key%3Dhunter22", "api_key%3D[scrubbed]"),
    (r"first\nsk-proj-0123456789abcdef", r"first\n[scrubbed]"),
    (r"x\u003dsk-proj-0123456789abcdef", r"x\u003d[scrubbed]"),
    ("\x1b[31msk-proj-0123456789abcdef\x1b[0m", "\x1b[31m[scrubbed]\x1b[0m"),
    ("pass: hunter22", "pass: [scrubbed]"),
    ("pwd=hunter22;server=db", "pwd=[scrubbed];server=db"),
    ('config["password"] = "two words"', 'config["password"] = "[scrubbed]"'),
    ('{"password": "p@ss\\"w;rd", "x": 1}', '{"password": "[scrubbed]", "x": 1}'),
    ("AIBRIDGE_OPENAI_KEY=plain-key", "AIBRIDGE_OPENAI_KEY=[scrubbed]"),
    ("clientSecret: hunter22", "clientSecret: [scrubbed]"),
    ("mongodb://ada:p@ss@host/", "mongodb://ada:[scrubbed]@host/"),
    ("Bearer%20abcdef", "Bearer%20[scrubbed]"),
    (f"token_{TOKEN}", "token_[scrubbed]"),
)
def test_a_credential_is_taken_out_and_nothing_else(text, scrubbed):
    assert scrub(text) == scrubbed


@for_each(
    "text",
    "Hello, world. The quick brown fox: jumps.",
    '{"input_tokens": 15, "output_tokens": 2}',
    "6f0e3d2c-1b4a-4c59-8e7f-001122334455",
    "a task is sk-eletal",
    "http://127.0.0.1:4001/api/v2/aibridge/demo",
    "chatcmpl-e805e9b655197c5798df2157 msg_27cdc0fc93be80cacc98fccd",
    "the bearer of this letter",
    "compass: north, bypass=always, tokens: 1024",
    '{"secret": null, "password": true}',
    "eyJhbGciOiJIUzI1NiJ9 alone is no token",
    "api_key_id=TcBR7S3hnb",
)
def test_ordinary_text_stays_as_it_is(text):
    assert scrub(text) == text


SECRETS = {
    TOKEN: TOKEN,
    JWT: JWT,
    "sk-ant-api03-abcdefghijklmnop": "sk-ant-api03-abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLEX": "AKIAIOSFODNN7EXAMPLEX",
    "Bearer hunter22": "hunter22",
    "password=hunter22": "hunter22",
    "DB_PASS: hunter22": "hunter22",
    '{"api_key": "hunter22"}': "hunter22",
    "AWS_SECRET_ACCESS_KEY=hunter22": "hunter22",
    "amqp://ada:hunter22@host/": "hunter22",
    "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----": "hunter22",
}
"""Text with a credential in it, and what of it must not be seen."""

# What stands around credentials, and pieces of what the patterns look for.
PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [" ", "\n", "\\n", "%3D", '"', '\\"', "=", ":", "/", "@", ",", ";", "&", "-", ".", "eyJ", "sk-", "a" * 20]
    ),
    st.sampled_from(
        ["password", "pass", "Bearer ", "basic ", "://u:", "-----BEGIN PRIVATE KEY-----", "[scrubbed]", TOKEN]
    ),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
# After these a credential begins, whatever came before.
BEFORE = st.sampled_from(["", "\n", "\t", " ", "(", "'", "=", "%3D", "%0A", r"\n", r"\t", r"\u003d", r"\\n", "\x1b[0m"])
ENCODINGS = {
    "as it is": str,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda text: json.dumps({"input": json.dumps({"x": text})}),
    "in a URL": quote,
    "in a form": lambda text: quote(text, safe="/:@ "),
}


@given(
    st.lists(st.text(max_size=20), max_size=3).map("".join),
    BEFORE,
    st.sampled_from(sorted(SECRETS)),
    st.sampled_from(sorted(ENCODINGS)),
)
def test_no_credential_survives_wherever_it_stands_and_however_encoded(text, before, secret, encoding):
    assert SECRETS[secret] not in scrub(ENCODINGS[encoding](f"{text}\n{secret} {text}"))
    assert SECRETS[secret] not in scrub(f"{text} {before}{secret}\n{text}")


@given(TEXTS)
def test_scrubbing_twice_changes_nothing_more(text):
    assert scrub(scrub(text)) == scrub(text)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.sampled_from(sorted(SECRETS))),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(["password", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_is_scrubbed_in_every_string_and_keeps_its_shape(value):
    scrubbed = scrub_value(value)
    assert scrub_value(scrubbed) == scrubbed
    assert json.loads(json.dumps(scrubbed)) == scrubbed
    assert type(scrubbed) is type(value)


def test_what_an_object_has_under_the_name_of_a_credential_is_replaced():
    value = {"api_key": "x y", "api_key_id": "TcBR7S3hnb", "list": [{"DB_PASS": "1"}], TOKEN: 1, "secret": None}
    assert scrub_value(value) == {
        "api_key": "[scrubbed]",
        "api_key_id": "TcBR7S3hnb",
        "list": [{"DB_PASS": "[scrubbed]"}],
        "[scrubbed]": 1,
        "secret": None,
    }


@for_each("name", "api_key_id", "credential_hint", "credential_kind", "input_tokens", "tool", "compass")
def test_what_records_are_called_is_no_name_of_a_credential(name):
    assert not is_credential_name(name)


HOSTILE = [
    *("-eyJ", ".eyJ", "eyJa.", "eyJ.a.", "-sk", "sk-", "a", "abcdefghij-", "AKIA", "ya29."),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nProc-Type: 4\n"),
    *("://", "://a:", "://a:b", "://:@", ":", "=", "a:", "password=", 'password="', r"password: \"", "pass: "),
    *(
        "Bearer ",
        "basic",
        "bearer   \t",
        "%3D",
        "%3Dsk-",
        r"\n",
        r"\u003d",
        '" : "',
        "\\",
        "password:,",
        "\x1b[0m",
        " ",
    ),
]


@pytest.mark.timed
@for_each("unit", *HOSTILE)
def test_four_times_the_text_takes_at_most_eight_times_the_work(unit):
    assert is_linear(lambda size: scrub(unit * (size // len(unit))), 1 << 13)


KEY = 'plain/Provider+key="0123'
OTHER = "plain/Provider-of-another"
KNOWN = KnownSecrets([KEY, OTHER])
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
@for_each("unit", KEY[:MIN_SECRET], KEY[:-1], KEY, "abcdefghij-", "-", f"{TOKEN} ", "a")
def test_four_times_the_text_takes_at_most_eight_times_the_work_with_known_secrets(unit):
    assert is_linear(lambda size: KNOWN.hide(unit * (size // len(unit))), 1 << 18)


UNREADABLE = (
    r"cannot be read from {!r} on; allowed are characters, sets such as [A-Z0-9], ., \d, \w, \s and \b, the repeats"
    r" {{8}}, {{8,40}} and ?, and signs behind a backslash"
)


@for_each(
    ("pattern", "text", "left"),
    (r"\bEMP-\d{5}\b", "EMP-12345, XEMP-12345 and EMP-123456", "#, XEMP-12345 and EMP-123456"),
    (r"[A-Z]{2}\d{2,4}", "AB1 AB12 AB12345", "AB1 # #5"),
    (r"colou?r", "color colour colouur", "# # colouur"),
    (r"a.c", "abc a\nc ac", "# # ac"),
    (r"\[x\]\{2\}", "[x]{2} [x]", "# [x]"),
    (r"[^a-z]{2}", "abAB12ab", "ab##ab"),
    (r"[&&]x", "&x x", "# x"),
    (r"[\]\-]", "a]b-c", "a#b#c"),
    (r"Ä{2}\s", "ÄÄ Ä ", "#Ä "),
)
def test_what_a_pattern_means_is_replaced(pattern, text, left):
    assert own_pattern(pattern).replace(text, "#") == left


@for_each(
    ("pattern", "wrong"),
    ("", "must have 1 to 200 characters"),
    ("a" * 201, "must have 1 to 200 characters"),
    *(
        (f"a{rest}", UNREADABLE.format(rest))
        for rest in ("*", "+", "(a)", "|b", "^a", "{1,}", "[a", "[]", "[[]", r"\x41")
    ),
    ("a??", UNREADABLE.format("?")),
    ("a{3,2}", "has a repeat that can never be: a{3,2}"),
    ("a{0}", "has a repeat that can never be: a{0}"),
    ("a{129}", "must match at most 128 characters in all"),
    (r"\b", "must not match an empty text"),
    ("a?", "must not match an empty text"),
    (r"\b{2}a", UNREADABLE.format("{2}a")),
    ("[z-a]", "has a set that cannot be read: bad character range z-a"),
)
def test_what_is_no_pattern_is_said_with_what_is_wrong(pattern, wrong):
    with pytest.raises(InvalidPatternError, match=f"^{re.escape(wrong)}$"):
        OwnPattern(pattern)


def test_a_match_across_the_end_of_a_step_is_found():
    for before in range(STEP - 6, STEP + 2):
        assert own_pattern("x{4}").replace("." * before + "xxxx..", "#") == "." * before + "#.."


@given(st.text())
def test_any_text_is_a_pattern_or_refused_with_a_reason(text):
    with suppress(InvalidPatternError):
        assert isinstance(OwnPattern(text).replace(text * 3, "#"), str)


@given(st.text("ab", max_size=60), st.integers(1, 3), st.integers(0, 3))
def test_it_replaces_what_a_greedy_expression_does(text, low, more):
    mine = OwnPattern(f"a{{{low},{low + more}}}b").replace(text, "#")
    assert mine == re.sub(f"(?>a{{{low},{low + more}}})b", "#", text)


def test_the_time_of_a_hostile_text_is_that_of_its_length():
    hostile = own_pattern(r"[a-z]{1,60}[a-z]{1,60}@x")

    def seconds(length):
        return seconds_of(lambda: hostile.replace("a" * length, "#"))

    assert any(seconds(20 * STEP) < 60 * max(seconds(2 * STEP), 0.001) for _ in range(TRIES))
    assert MAX_LENGTH < STEP


@for_each(
    ("text", "left"),
    ("write to ada.lovelace+x@mail.example.com.", "write to [redacted]."),
    ("a@b, @x.de, x@y, a@b.c, 5@2x.png.", "a@b, @x.de, x@y, a@b.c, [redacted]."),
    ("4111 1111 1111 1111, 4111-1111-1111-1111 and 378282246310005", "[redacted], [redacted] and [redacted]"),
    ("4111 1111 1111 1112 and 41111111111111111111", "4111 1111 1111 1112 and 41111111111111111111"),
    ("4111 1111 1111 1111 12/28, 4111111111111111 123", "[redacted] 12/28, [redacted] 123"),
    ("2026-11-28 4111 1111 1111 1111, 3782 822463 10005 1228", "2026-11-28 [redacted], [redacted] 1228"),
    ("until 12/2029 4111-1111-1111-1111", "until 12/2029 [redacted]"),
    ("at 1700000000000 ms, id 6011000990139424", "at 1700000000000 ms, id [redacted]"),
    ("key sk-proj-abcdefghijklmnopqrstuvwx of OpenAI", "key [scrubbed] of OpenAI"),
    ("AKIAIOSFODNN7EXAMPLE1", "[scrubbed]"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt [scrubbed]"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----", "[scrubbed]"),
    ('{"path": "x", "password": "hunter2 and more"}', '{"path": "x", "password": "[scrubbed]"}'),
    ("nothing to see", "nothing to see"),
)
def test_what_has_the_form_of_a_secret_is_taken_out(text, left):
    assert redact(text) == left


def test_own_patterns_see_the_text_as_it_was_written():
    assert redact("EMP-12345 a@b.example", [r"EMP-\d{5}", "a@b"]) == "[redacted] [redacted].example"


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text):
    once = redact(text)
    assert redact(once) == once


@for_each("piece", "a", "a@", "x@a.", "4", "4 ", "a@a.a@", "4111111111111112 ", "4112 ", "-@.", "1-1 1")
def test_a_hostile_text_takes_time_by_its_length(piece):
    def seconds(length):
        text = (piece * length)[:length]
        return seconds_of(lambda: redact(text))

    assert any(seconds(MAX_TEXT) < 60 * max(seconds(MAX_TEXT // 8), 0.001) for _ in range(TRIES))
