from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries.questions.calendar import (
    Period,
    ceiling,
    floor,
    following,
    midnight,
    offsets,
    previous,
    starts,
)
from tests.cases import for_each

BERLIN, NEW_YORK, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
# Changes by half an hour; at midnight, forward and back; a day that was left out.
ODD = [ZoneInfo(name) for name in ("Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana", "Pacific/Apia")]
ZONES = st.sampled_from([UTC, BERLIN, NEW_YORK, KOLKATA, *ODD])
TIMES = st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
BUCKETS = st.sampled_from([one for one in Period if one is not Period.ALL])


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@for_each(
    ("period", "zone", "at", "start", "end"),
    (Period.DAY, BERLIN, "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
    (Period.DAY, BERLIN, "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
    (Period.WEEK, BERLIN, "2026-03-29T12:00", "2026-03-22T23:00", "2026-03-29T22:00"),
    (Period.MONTH, NEW_YORK, "2026-12-01T04:59", "2026-11-01T04:00", "2026-12-01T05:00"),
    (Period.DAY, KOLKATA, "2026-11-01T18:30", "2026-11-01T18:30", "2026-11-02T18:30"),
    (Period.HOUR, KOLKATA, "2026-11-01T18:45", "2026-11-01T18:30", "2026-11-01T19:30"),
    (Period.MONTH, UTC, "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
    (Period.MINUTE, BERLIN, "2026-12-31T23:59", "2026-12-31T23:59", "2027-01-01T00:00"),
    (Period.DAY, ZoneInfo("America/Sao_Paulo"), "2018-11-04T05:00", "2018-11-04T03:00", "2018-11-05T02:00"),
)
def test_buckets_begin_when_a_zone_says(period, zone, at, start, end):
    assert floor(period, utc(at), zone) == utc(start)
    assert following(period, utc(start), zone) == utc(end)
    assert ceiling(period, utc(at), zone) == (utc(start) if at == start else utc(end))


@given(BUCKETS, TIMES, ZONES)
def test_every_time_is_in_one_bucket_and_buckets_leave_nothing_out(period, at, zone):
    start = floor(period, at, zone)
    end = following(period, start, zone)
    assert start <= at < end
    assert floor(period, start, zone) == start
    assert floor(period, end - timedelta(microseconds=1), zone) == start
    assert floor(period, end, zone) == end


@given(TIMES, st.timedeltas(timedelta(hours=1), timedelta(days=800)), ZONES)
def test_offsets_are_those_of_the_zone_at_any_time(start, length, zone):
    clock = offsets(start, start + length, zone)
    assert clock[-1].until == start + length
    for part in range(50):
        at = start + length * part / 50
        ahead = next(one.ahead for one in clock if at < one.until)
        assert at.astimezone(zone).utcoffset() == ahead


@for_each(
    ("zone", "start", "end", "before"),
    (UTC, "2026-03-01T00:00", "2026-04-01T00:00", "2026-02-01T00:00"),
    (UTC, "2026-01-01T00:00", "2026-04-01T00:00", "2025-10-01T00:00"),
    (BERLIN, "2026-03-31T22:00", "2026-04-30T22:00", "2026-02-28T23:00"),
    (BERLIN, "2026-03-28T23:00", "2026-03-29T22:00", "2026-03-27T23:00"),
    (BERLIN, "2026-03-29T22:00", "2026-03-30T22:00", "2026-03-28T23:00"),
    (UTC, "2026-03-10T00:00", "2026-03-17T00:00", "2026-03-03T00:00"),
    (UTC, "2026-03-10T05:00", "2026-03-10T11:00", "2026-03-09T23:00"),
)
def test_before_months_are_months_and_before_days_days(zone, start, end, before):
    assert previous(utc(start), utc(end), zone) == (utc(before), utc(start))


@for_each(
    ("zone", "start", "end", "before", "until"),
    (UTC, "2026-11-05T00:00", "2026-12-05T00:00", "2026-10-01T00:00", "2026-10-31T00:00"),
    (BERLIN, "2026-10-31T23:00", "2026-11-10T23:00", "2026-10-17T22:00", "2026-10-27T23:00"),
    (UTC, "2026-11-04T03:00", "2026-12-04T03:00", "2026-09-30T03:00", "2026-10-30T03:00"),
)
def test_before_more_than_a_week_are_the_same_weekdays(zone, start, end, before, until):
    assert previous(utc(start), utc(end), zone) == (utc(before), utc(until))


@given(BUCKETS, TIMES, st.integers(1, 40), ZONES)
def test_the_range_before_ends_less_than_a_week_before_the_range_begins(period, at, number, zone):
    start = end = floor(period, at, zone)
    for _ in range(number):
        end = following(period, end, zone)
    before, until = previous(start, end, zone)
    assert timedelta() <= start - until < timedelta(days=7)
    assert before < until
    assert sum(1 for _ in starts(period, start, end, zone)) == number


def test_the_whole_range_is_one_bucket_and_the_calendar_has_an_end():
    assert list(starts(Period.ALL, utc("2026-03-10T05:00"), utc("2026-03-10T11:00"), BERLIN)) == [
        utc("2026-03-10T05:00")
    ]
    assert floor(Period.ALL, utc("2026-03-10T05:30"), UTC) == utc("2026-03-10T05:00")
    assert following(Period.ALL, utc("2026-03-10T05:00"), UTC) == utc("2026-03-10T06:00")
    with pytest.raises(OverflowError):
        following(Period.MONTH, utc("9999-12-05T00:00"), UTC)
    with pytest.raises(OverflowError):
        previous(midnight(datetime(1, 1, 1, tzinfo=UTC).date(), UTC), utc("9999-01-01T00:00"), UTC)
