from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.secrets.scrub import is_credential_name, scrub, scrub_value
from tests.cases import for_each
from tests.processor import is_linear

TOKEN = "abcdefghij-0123456789abcdefghijkl"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@for_each(
    ("text", "scrubbed"),
    [
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
    ],
)
def test_a_credential_is_taken_out_and_nothing_else(text, scrubbed):
    assert scrub(text) == scrubbed


@for_each(
    "text",
    [
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
    ],
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


@for_each("name", ["api_key_id", "credential_hint", "credential_kind", "input_tokens", "tool", "compass"])
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
@for_each("unit", HOSTILE)
def test_four_times_the_text_takes_at_most_eight_times_the_work(unit):
    assert is_linear(lambda size: scrub(unit * (size // len(unit))), 1 << 13)
