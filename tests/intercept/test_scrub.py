from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.scrub import scrub

TOKEN = "abcdefghij-0123456789abcdefghijkl"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"token {TOKEN} used", "token [scrubbed] used"),
        ("key sk-ant-api03-abcdefghijklmnop", "key [scrubbed]"),
        ("sk-proj-0123456789abcdef, and more", "[scrubbed], and more"),
        ("AKIAIOSFODNN7EXAMPLEX is AWS", "[scrubbed] is AWS"),
        ("ghp_0123456789abcdefghij", "[scrubbed]"),
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
    ],
)
def test_a_credential_is_taken_out_and_nothing_else(text, scrubbed):
    assert scrub(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world. The quick brown fox: jumps.",
        '{"input_tokens": 15, "output_tokens": 2}',
        "6f0e3d2c-1b4a-4c59-8e7f-001122334455",
        "a task is sk-eletal",
        "http://127.0.0.1:4001/api/v2/aibridge/demo",
        "chatcmpl-e805e9b655197c5798df2157 msg_27cdc0fc93be80cacc98fccd",
        "the bearer of this letter",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert scrub(text) == text


@given(st.text(max_size=200), st.sampled_from([TOKEN, JWT, "sk-ant-api03-abcdefghijklmnop"]), st.text(max_size=200))
def test_no_credential_survives_between_separators_whatever_stands_around_it(before, secret, after):
    assert secret not in scrub(f"{before} {secret} {after}")


@given(st.text(max_size=300))
def test_scrubbing_twice_changes_nothing_more(text):
    assert scrub(scrub(text)) == scrub(text)


@given(st.dictionaries(st.sampled_from(["password", "api_key", "x"]), st.text(max_size=50), max_size=3))
def test_a_json_line_stays_json(value):
    json.loads(scrub(json.dumps(value)))
