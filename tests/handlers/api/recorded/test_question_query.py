"""The parameters of statistics, and the question that they ask."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.api.recorded.statistics import CHANGE_OF_NOTHING, MAX_BUCKETS, QuestionQuery
from handlers.operations.query import INVALID, read_query
from handlers.problems import ValidationProblem
from storage.queries.questions.calendar import Period, starts
from storage.queries.questions.question import By, Counted, Dimension, Order
from tests.cases import for_each

NOW = datetime(2026, 3, 5, 12, 30, 15, tzinfo=UTC)


def read(values):
    return read_query(QuestionQuery, {name: [value.encode()] for name, value in values.items()}, NOW)


def test_a_question_is_read_in_the_zone_it_names():
    requested = read(
        {
            "from": "2026-02-10T00:00:00Z",
            "bucket": "month",
            "tz": "Europe/Berlin",
            "group_by": "initiator,tag.project",
            "order_by": "cost",
            "limit": "5",
            "offset": "10",
            "compare": "previous",
            "format": "csv",
        }
    )
    query = requested.question(NOW)
    assert query.start == datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert query.end == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert query.by == (By(Dimension.USER), By(Dimension.TAG, "project"))
    assert (query.period, query.order, query.limit, query.offset, query.compare) == (
        *(Period.MONTH, Order.COST),
        *(5, 10, True),
    )
    assert (requested.format, requested.tz, query.of) == ("csv", "Europe/Berlin", Counted.CALLS)
    usual = read({"of": ""}).question(NOW)
    assert (usual.start, usual.end) == (datetime(2026, 3, 4, 12, tzinfo=UTC), datetime(2026, 3, 5, 13, tzinfo=UTC))


@for_each(
    ("values", "start", "end"),
    [
        ({"range": "24h", "bucket": "hour"}, "2026-03-04T13:00", "2026-03-05T13:00"),
        ({"range": "30d", "bucket": "day", "tz": "Europe/Berlin"}, "2026-02-03T23:00", "2026-03-05T23:00"),
        ({"range": "last-month", "bucket": "day", "tz": "Europe/Berlin"}, "2026-01-31T23:00", "2026-02-28T23:00"),
        ({"range": "this-week", "tz": "Asia/Kolkata"}, "2026-03-01T18:30", "2026-03-05T13:30"),
        ({"range": "2026-03-01..2026-03-01"}, "2026-03-01T00:00", "2026-03-02T00:00"),
    ],
)
def test_a_named_range_is_resolved_in_the_zone_and_a_length_has_as_many_buckets(values, start, end):
    query = read(values).question(NOW)
    assert [at.isoformat()[:16] for at in (query.start, query.end)] == [start, end]


@for_each(
    ("values", "field", "detail"),
    [
        ({"range": "24h", "from": "2026-02-26T12:00:00Z"}, "range", "cannot be used beside from and to"),
        ({"of": "money"}, "of", "must be one of calls, refusals, sessions"),
        ({"tz": "Mars/Olympus"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
        ({"tz": "../../etc/passwd"}, "tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'),
        ({"format": "xml"}, "format", "must be one of json, csv"),
        ({"compare": "next"}, "compare", "must be previous"),
        ({"order_by": "name"}, "order_by", "must be one of calls, cost, tokens, failed, p95, cache, change"),
        ({"order_by": "change"}, "order_by", CHANGE_OF_NOTHING),
        ({"bucket": "hour", "from": "2025-01-01T00:00:00Z"}, "bucket", "the range has more than 1,500 buckets"),
        (
            {"bucket": "minute", "from": "2026-02-26T12:00:00Z", "to": "2026-02-26T13:00:00Z"},
            "from",
            "minutes are kept for 7 days; choose a longer bucket",
        ),
        (
            {
                "bucket": "minute",
                "from": "2026-02-26T13:00:00Z",
                "to": "2026-02-26T14:00:00Z",
                "compare": "previous",
            },
            "from",
            "minutes, also of the time before, are kept for 7 days; choose a longer bucket",
        ),
        ({"bucket": "day", "from": "2026-03-05T12:20:00Z", "to": "2026-03-05T12:10:00Z"}, "to", "must be after from"),
        ({"to": "2026-03-01T00:00:00Z", "from": "2026-03-02T00:00:00Z"}, "to", "must be after from"),
        ({"to": "0001-01-01T01:00:00Z"}, "to", "is out of range"),
        (
            {"of": "refusals", "group_by": "tool"},
            "group_by",
            "has 'tool', which refusals do not have; it may have up to 2 of user, rule, token, model, provider, http_status, separated by a comma",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(values, field, detail):
    with pytest.raises(ValidationProblem) as refused:
        read(values)
    assert (refused.value.message, list(refused.value.validations)) == (INVALID, [(field, detail)])


times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
words = st.sampled_from([*Period, *Order, *Counted, "user,model", "Europe/Berlin", "csv", "previous", "7", "0"])
texts = st.one_of(times.map(lambda time: time.isoformat()), words, st.text(max_size=20))


@given(st.dictionaries(st.sampled_from(QuestionQuery.__struct_encode_fields__), texts))
def test_any_values_are_a_bounded_question_or_are_refused(values):
    try:
        query = read(values).question(NOW)
    except ValidationProblem:
        return
    assert 1 <= sum(1 for _ in starts(query.period, query.start, query.end, query.zone)) <= MAX_BUCKETS
    assert query.start < query.end
    assert query.previous.end == query.start
