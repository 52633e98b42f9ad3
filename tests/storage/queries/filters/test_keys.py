from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from intercept.records import EndReason, Status
from storage.queries.filters.keys import KEYS, Comparison, StatusClass, Term
from storage.queries.filters.search_language import Search, parse_search
from storage.queries.filters.words import InvalidSearchError
from tests.cases import for_each

NOW = datetime(2026, 11, 27, 12, 0, 0, 1500, tzinfo=UTC)
ADA = UUID(int=1)


def terms(q):
    return parse_search(q, now=NOW).terms


def problem(q):
    with pytest.raises(InvalidSearchError) as caught:
        parse_search(q, now=NOW)
    (validation,) = caught.value.validations
    return tuple(validation)


@for_each(
    ("q", "term"),
    ("model:a,b", Term("model", ("a", "b"))),
    ("-model:a", Term("model", ("a",), negated=True)),
    ("tool:Bash", Term("tool", ("Bash",))),
    ("token:ci", Term("token", ("ci",))),
    ("group:research,ops", Term("group", ("research", "ops"))),
    ("agent:Explore", Term("agent", ("Explore",))),
    ("error:rate_limit_error", Term("error", ("rate_limit_error",))),
    ("http:429,5xx", Term("http", (429, StatusClass(5)))),
    ("end:upstream_timeout", Term("end", (EndReason.UPSTREAM_TIMEOUT,))),
    ("-status:failed", Term("status", (Status.FAILED,), negated=True)),
    ("streaming:true", Term("streaming", (True,))),
    ("cost:>1", Term("cost", (Comparison("$gt", Decimal(1)),))),
    ("cost:<=$0.05", Term("cost", (Comparison("$lte", Decimal("0.05")),))),
    ("took:>10s", Term("took", (Comparison("$gt", Decimal(10_000)),))),
    ("took:>=1.5", Term("took", (Comparison("$gte", Decimal(1_500)),))),
    ("took:<500ms", Term("took", (Comparison("$lt", Decimal(500)),))),
    ("tokens:>10k", Term("tokens", (Comparison("$gt", Decimal(10_000)),))),
    ("tokens:0", Term("tokens", (Comparison("$eq", Decimal(0)),))),
    ("-cache:<50%", Term("cache", (Comparison("$lt", Decimal("0.5")),), negated=True)),
    ("-msg_01XFDUDYJgAACzvnptvVoYEL", Term("request_id", ("msg_01xfdudyjgaaczvnptvvoyel",), negated=True)),
)
def test_each_key_is_read(q, term):
    assert terms(q) == (term,)


@for_each(
    ("q", "expected"),
    ("cost:much", ("cost", 'has invalid value "much": it is a comparison with US dollars like >1 or <=0.05')),
    ("cost:>-1", ("cost", 'has invalid value ">-1": it is a comparison with US dollars like >1 or <=0.05')),
    (
        "took:>10y",
        ("took", 'has invalid value ">10y": it is a comparison with a duration like >10s, <500ms or >=2m'),
    ),
    (
        "tokens:>1.5",
        ("tokens", 'has invalid value ">1.5": it is a comparison with a number like >1000, <10k or >=2M'),
    ),
    (
        "cache:<0.5",
        ("cache", 'has invalid value "<0.5": it is a comparison with a percentage up to 100% like <50%'),
    ),
    (
        "cache:>101%",
        ("cache", 'has invalid value ">101%": it is a comparison with a percentage up to 100% like <50%'),
    ),
    ("http:6xx", ("http", 'has invalid value "6xx": it is an HTTP status like 429, or a class of them like 5xx')),
    ("streaming:yes", ("streaming", 'has invalid value "yes": it is true or false')),
    ("end:badly", ("end", f'has invalid value "badly": allowed are {", ".join(EndReason)}')),
    (
        "since:yesterday",
        (
            "since",
            'has invalid value "yesterday": it is a time before now with a unit (s, m, h, d or w), like 15m, 24h or 7d',
        ),
    ),
    ("cost:>1,<5", ("cost", "has one value; give it again to ask for a range, as in cost:>1 cost:<5")),
    ("-since:24h", ("since", "has one value, and cannot be negated")),
    ("since:1h,2h", ("since", "has one value, and cannot be negated")),
    ("tool:a tool:b", ("tool", "provided more than once, found 2 times")),
)
def test_a_value_without_a_meaning_is_named_with_what_is_allowed(q, expected):
    key, detail = expected
    assert problem(q) == (key, f'Query param "{key}" {detail}')


def test_a_relative_time_counts_back_from_now():
    assert parse_search("since:24h until:15m", now=NOW) == Search(
        started_after=NOW.replace(microsecond=1000) - timedelta(hours=24),
        started_before=NOW.replace(microsecond=1000) - timedelta(minutes=15),
    )
    assert parse_search("since:999999w", now=NOW).started_after == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_relative_time_and_a_timestamp_exclude_each_other():
    expected = ("since", 'Query params "since" and "started_after" cannot be used together')
    assert problem('since:24h started_after:"2026-01-01T00:00:00Z"') == expected
    assert problem("since:1h until:2h") == (
        "started_before",
        'Query param "started_before" must be after "started_after"',
    )


pieces = st.sampled_from([*KEYS, *':",-', " ", "$gt", "{", ">1", "<50%", "5xx", "10s", "true", "failed", "x"])
operators = {"$in", "$nin", "$gte", "$lte", "$and", "$or", "$expr"}


def names_in(conditions):
    if isinstance(conditions, dict):
        for name, value in conditions.items():
            if name == "$expr":
                continue  # made of the expressions of figures, and numbers
            yield name
            yield from names_in(value)
    elif isinstance(conditions, list):
        for one in conditions:
            yield from names_in(one)


@given(st.lists(pieces, max_size=16).map("".join))
def test_nothing_of_a_search_becomes_an_operator_or_a_field(q):
    with suppress(InvalidSearchError):
        search = parse_search(q, now=NOW)
        terms = [term.found([ADA]) if term.key == "user" else term for term in search.terms]
        conditions = replace(search, terms=tuple(terms)).filter()
        fields = {field for key in KEYS.values() for field in key.fields} | {"started_at"}
        assert set(names_in(conditions)) <= operators | fields
