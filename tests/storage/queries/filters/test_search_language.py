from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import Status
from storage.queries.filters.search_language import SEARCH_KEYS, Search, parse_search
from storage.queries.filters.texts import TextQuery, words_of
from storage.queries.filters.words import InvalidSearchError
from tests.cases import for_each
from tests.storage.searches import search_of

ALLOWED = f"allowed are {', '.join(SEARCH_KEYS)}"


def problems(q):
    with pytest.raises(InvalidSearchError) as caught:
        parse_search(q)
    return [tuple(validation) for validation in caught.value.validations]


def test_every_key_is_read():
    q = (
        "initiator:ada provider:openai provider_name:openai-eu model:gpt-5 client:Codex session_id:s1 status:failed "
        'started_after:"2026-01-01T00:00:00Z" started_before:"2026-01-01T02:00:00.5+01:00" request_id:resp_1'
    )
    assert parse_search(q) == search_of(
        user="ada",
        provider="openai",
        provider_name="openai-eu",
        model="gpt-5",
        client="Codex",
        session_id="s1",
        status=Status.FAILED,
        started_after=datetime(2026, 1, 1, tzinfo=UTC),
        started_before=datetime(2026, 1, 1, 1, 0, 0, 500_000, tzinfo=UTC),
        request_id="resp_1",
    )


@for_each(
    ("q", "texts"),
    ("ada", TextQuery((("ada",),))),
    ("Ada lovelace", TextQuery((("ada",), ("lovelace",)))),
    ('"ada lovelace"', TextQuery((("ada", "lovelace"),))),
    ('"a:b"', TextQuery((("a", "b"),))),
    ("foo_bar.py", TextQuery((("foo", "bar", "py"),))),
    ("ada -bob", TextQuery((("ada",),), (("bob",),))),
    ('-"ada lovelace"', TextQuery((), (("ada", "lovelace"),))),
    ("ada ada", TextQuery((("ada",),))),
)
def test_bare_words_are_searched_for_in_texts(q, texts):
    assert parse_search(q) == search_of(texts=texts)


@for_each("q", '""', "--", "!?", "model:m !!")
def test_a_bare_word_without_letters_and_digits_is_refused(q):
    ((field, detail),) = problems(q)
    assert field == "q"
    assert detail.endswith("has no letter and no digit to search for")


@for_each(
    "text",
    "6f0e3d2c-1b4a-4c59-8e7f-001122334455",
    "0123456789abcdef0123456789abcdef",
    "req_011CSHoEeqs5C35K2UUqR7Fy",
    "resp_68a1b2c3d4e5f6",
    "msg_01XFDUDYJgAACzvnptvVoYEL",
    "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "gen-1718000000-AbCdEfGh",
    "msg_7",
    "QHiLaa6LBrb8vdIPoNztsAg",
)
def test_a_bare_id_finds_its_call(text):
    assert parse_search(text) == parse_search(f'"{text}"') == search_of(request_id=text.lower())
    assert parse_search(f"initiator:ada {text} model:m") == search_of(user="ada", request_id=text.lower(), model="m")


@for_each(
    "name",
    *("req_ada", "message", "msg", "msg_7a", "gen-7", "reqs_0123456789", "Maximilian-Mustermann1"),
    *("ada-lovelace-1815-12-10", "ADA-LOVELACE-1815-12-10"),
)
def test_a_word_that_only_begins_like_an_id_is_searched_for_in_texts(name):
    assert parse_search(name) == search_of(texts=TextQuery((tuple(words_of(name)),)))


@for_each(
    ("q", "model"),
    ('model:"a b"', "a b"),
    ('model:"a:b"', "a:b"),
    ('mo"de"l:x', "x"),
    ('model:a" "b', "a b"),
    ("model:$ne", "$ne"),
)
def test_quotes_keep_spaces_and_colons(q, model):
    assert parse_search(q) == search_of(model=model)


@for_each(
    ("text", "after", "before"),
    ("2026-01-01T00:00:00.0001Z", 1, 0),
    ("2026-01-01T00:00:00.001Z", 1, 1),
    ("2026-01-01t00:00:00.0019999999z", 2, 1),
    ("2026-01-01T00:00:00.999999999Z", 1000, 999),
)
def test_times_between_milliseconds_leave_out_what_is_outside(text, after, before):
    second = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_search(f'started_after:"{text}"').started_after == second + timedelta(milliseconds=after)
    assert parse_search(f'started_before:"{text}"').started_before == second + timedelta(milliseconds=before)


@for_each(
    "text",
    "2026-01-01",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00",
    "20260101T000000Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:00+25:00",
    "9999-12-31T23:59:59.9999Z",
    "yesterday",
    "\u0662026-01-01T00:00:00Z",
)
def test_what_is_no_timestamp_is_named(text):
    detail = 'Query param "started_after" must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'
    assert problems(f'started_after:"{text}"') == [("started_after", detail)]


@for_each(
    ("q", "expected"),
    ("Modell:x", [("modell", f'"modell" is not a valid query param: {ALLOWED}')]),
    ("-modell:x,y", [("modell", f'"modell" is not a valid query param: {ALLOWED}')]),
    ("$where:x", [("$where", f'"$where" is not a valid query param: {ALLOWED}')]),
    ("model:a model:b model:a", [("model", 'Query param "model" provided more than once, found 3 times')]),
    (":x", [("q", "Query element :x cannot start or end with ':'")]),
    ("model:", [("q", "Query element model: cannot start or end with ':'")]),
    ('model:""', [("q", "Query element model:\"\" cannot start or end with ':'")]),
    ("a:b:c", [("q", "Query element a:b:c can only contain 1 ':'; quote its value")]),
    ('model:"x', [("q", "A double quote is not closed")]),
    (
        "status:done",
        [("status", 'Query param "status" has invalid value "done": allowed are in_flight, completed, failed')],
    ),
)
def test_what_has_no_meaning_is_named(q, expected):
    assert problems(q) == expected


@for_each(
    ("q", "first", "last"),
    ("range:24h", "2026-11-24T12:00:00.123", None),
    ("range:yesterday tz:Europe/Berlin", "2026-11-23T23:00:00.000", "2026-11-24T22:59:59.999"),
    ("tz:Europe/Berlin range:this-month", "2026-10-31T23:00:00.000", None),
    ("range:2026-11-01..2026-11-02", "2026-11-01T00:00:00.000", "2026-11-02T23:59:59.999"),
    ("tz:UTC", None, None),
)
def test_a_named_range_is_two_times(q, first, last):
    found = parse_search(q, now=datetime(2026, 11, 25, 12, 0, 0, 123_456, tzinfo=UTC))
    times = [at and at.isoformat(timespec="milliseconds")[:23] for at in (found.started_after, found.started_before)]
    assert times == [first, last]


@for_each(
    ("q", "field", "detail"),
    ("range:someday", "range", 'Query param "range" must be one of today, yesterday'),
    ("range:today tz:Mars", "tz", 'Query param "tz" must be the name of a time zone of IANA, like "Europe/Berlin"'),
    ("range:today since:1h", "range", 'Query params "range" and "since" cannot be used together'),
    ("-range:today", "range", 'Query param "range" has one value, and cannot be negated'),
)
def test_a_named_range_that_is_none_or_beside_other_times_is_refused(q, field, detail):
    ((found, said),) = problems(q)
    assert (found, said[: len(detail)]) == (field, detail)


def test_everything_that_is_wrong_is_named_at_once():
    assert problems("status:x colour:y model:a model:b :z") == [
        ("q", "Query element :z cannot start or end with ':'"),
        ("status", 'Query param "status" has invalid value "x": allowed are in_flight, completed, failed'),
        ("colour", f'"colour" is not a valid query param: {ALLOWED}'),
        ("model", 'Query param "model" provided more than once, found 2 times'),
    ]


pieces = st.sampled_from(
    [
        *SEARCH_KEYS,
        *':", -',
        "$ne",
        "{",
        "me",
        "failed",
        "2026-01-01T00:00:00Z",
        "x",
        "\0",
        "\u0662",
        ">1",
        "5xx",
        "24h",
    ]
)
queries = st.text() | st.lists(pieces, max_size=12).map("".join)


def outcome(q):
    try:
        return parse_search(q)
    except InvalidSearchError as error:
        return error


@given(queries)
def test_any_text_is_a_search_or_says_why_not(q):
    result = outcome(q)
    reasons = [] if isinstance(result, Search) else result.validations
    assert bool(reasons) == isinstance(result, InvalidSearchError)
    assert all(reason.field and reason.detail for reason in reasons)
