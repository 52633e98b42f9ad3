import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries.filters.texts import CONTEXT, MAX_MATCHES, Match, TextQuery, texts_of, words_of
from tests.cases import for_each


def document(*prompts, recording=None, error=None, response=None):
    metadata = {} if recording is None else {"recording": recording}
    return {
        "user_prompts": [{"prompt": prompt, "metadata": metadata} for prompt in prompts],
        "response": response and {"text": response, "metadata": metadata},
        "error": error and {"type": "t", "message": error},
    }


@for_each(
    ("text", "words"),
    ("Hello, World!", ["hello", "world"]),
    ("foo_bar.py:12", ["foo", "bar", "py", "12"]),
    ("Straße STRASSE", ["strasse", "strasse"]),
    ("Cafe\u0301 Café", ["café", "café"]),
    ("\ufb01le \uff21\uff22", ["file", "ab"]),
    ("パスワード", ["パ", "ス", "ワ", "ー", "ド"]),
    ("sk-ant-api03", ["sk", "ant", "api03"]),
    ("", []),
)
def test_words_are_letters_and_digits_in_one_form(text, words):
    assert words_of(text) == words


@given(st.text(st.characters(codec="ascii")))
def test_words_of_ascii_are_letters_and_digits_side_by_side(text):
    assert words_of(text) == re.findall(r"[a-z0-9]+", text.lower())


@pytest.mark.parametrize("recording", ["none", "hashed"])
def test_what_a_policy_does_not_keep_is_no_text(recording):
    digest = "hmac-sha256:" + "0" * 64
    assert list(texts_of(document("secret", recording=recording, error=digest, response="secret"))) == []
    assert [one.text for one in texts_of(document("[redacted]", recording="redacted", error="why"))] == [
        "[redacted]",
        "why",
    ]


def test_phrases_have_their_words_side_by_side_in_one_text():
    query = TextQuery((("my", "password"),))
    assert query.matches(document("this is my Password!"))
    assert not query.matches(document("password my"))
    assert not query.matches(document("this is my", "password"))
    assert not TextQuery((), (("my", "password"),)).matches(document("my password"))


def test_the_text_of_a_response_is_one():
    (match,) = TextQuery((("harbour",),)).find_matches(document("Where?", response="In the harbour."))
    assert match == Match("response.text", "In the ", "harbour", ".")


def test_matches_have_the_text_around_them():
    text = "x" * 100 + " My pass-word " + "y" * 100
    (match,) = TextQuery((("pass", "word"),)).find_matches(document(text))
    before = ("x" * 100 + " My ")[-CONTEXT:]
    assert match == Match("user_prompts[0].prompt", before, "pass-word", (" " + "y" * 100)[:CONTEXT])
    assert len(TextQuery((("a",),)).find_matches(document(*["a"] * 9))) == MAX_MATCHES


texts = st.text("ab ß一\u0301.", max_size=12)


@given(st.lists(texts, max_size=3), texts.filter(words_of))
def test_a_call_matches_a_phrase_when_a_match_has_its_words(prompts, sought):
    phrase = tuple(words_of(sought))
    query, call = TextQuery((phrase,)), document(*prompts)
    matches = query.find_matches(call)
    assert bool(matches) == query.matches(call)
    assert all(tuple(words_of(match.text)) == phrase for match in matches)
    for match in matches:
        index = int(re.search(r"\d+", match.field)[0])
        whole = match.before + match.text + match.after
        assert words_of(whole) == words_of(prompts[index])[: len(words_of(whole))]
