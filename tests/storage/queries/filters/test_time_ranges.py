from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.rollup import Bucket
from storage.queries.filters.time_ranges import (
    LATEST,
    CountedRange,
    PageLocation,
    TimeRange,
    TimeRanges,
    ceiling,
    split,
)
from tests.cases import for_each
from tests.storage.any_records import times

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
LONGEST_FIRST = (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE)


def at(hour, minute=0, day=0):
    return MIDNIGHT + timedelta(days=day, hours=hour, minutes=minute)


def test_a_time_range_is_cut_into_whole_buckets_and_what_is_left_at_its_ends():
    assert list(split(at(5, 3), at(7, 30, day=3), [Bucket.DAY, Bucket.HOUR])) == [
        TimeRange(None, at(5, 3), at(6)),
        TimeRange(Bucket.HOUR, at(6), at(24)),
        TimeRange(Bucket.DAY, at(24), at(0, day=3)),
        TimeRange(Bucket.HOUR, at(0, day=3), at(7, day=3)),
        TimeRange(None, at(7, day=3), at(7, 30, day=3)),
    ]


def test_a_time_range_without_a_whole_bucket_is_left_as_it_is():
    assert list(split(at(5, 3), at(5, 50), [Bucket.DAY, Bucket.HOUR])) == [TimeRange(None, at(5, 3), at(5, 50))]
    assert list(split(at(5), at(4), [Bucket.DAY])) == []


@given(times, st.timedeltas(timedelta(0), timedelta(days=40)), st.sets(st.sampled_from(LONGEST_FIRST)))
def test_a_time_range_is_split_into_adjacent_whole_buckets_and_two_ends(start, length, chosen):
    end = min(start + length, LATEST) if start < LATEST - length else LATEST
    buckets = [bucket for bucket in LONGEST_FIRST if bucket in chosen]
    parts = list(split(start, end, buckets))
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[-1].end) == (start, end) if start < end else parts == []
    for part in parts:
        if part.bucket:
            assert part.bucket.floor(part.start) == part.start < part.end == part.bucket.floor(part.end)
        elif buckets:
            assert part in {parts[0], parts[-1]}
            assert part.end - part.start < 2 * buckets[-1].length


def test_a_bucket_begins_at_its_ceiling():
    assert [ceiling(Bucket.HOUR, time) for time in (at(5), at(5, 1), at(23, 59))] == [at(5), at(6), at(24)]
    with pytest.raises(OverflowError):
        ceiling(Bucket.DAY, datetime(9999, 12, 31, 1, tzinfo=UTC))


HOURS = TimeRanges(
    [
        CountedRange(at(3), at(4), 10),
        CountedRange(at(1), at(2), 7),
        CountedRange(at(5), at(6), 0),
        CountedRange(at(2), at(3), 1),
    ]
)


@for_each(
    ("offset", "limit", "location"),
    [
        (0, 1, PageLocation(at(3), at(4), 0, 10)),
        (0, 10, PageLocation(at(3), at(4), 0, 10)),
        (0, 11, PageLocation(at(2), at(4), 0, 11)),
        (9, 2, PageLocation(at(2), at(4), 9, 11)),
        (10, 1, PageLocation(at(2), at(3), 0, 1)),
        (11, 1, PageLocation(at(1), at(2), 0, 7)),
        (17, 100, PageLocation(at(1), at(2), 6, 7)),
        (18, 1, None),
        (2**31 - 1, 1, None),
    ],
)
def test_a_page_by_offset_is_looked_for_where_it_is_for_sure(offset, limit, location):
    assert (HOURS.total, HOURS.at_offset(offset, limit)) == (18, location)


@for_each(
    ("behind", "limit", "location"),
    [
        (at(9), 1, PageLocation(at(3), at(4), 0, 10)),
        (at(4), 11, PageLocation(at(2), at(4), 0, 11)),
        (at(3, 30), 1, PageLocation(at(2), at(4), 0, 11)),  # all ten may be later than half past three
        (at(3), 2, PageLocation(at(1), at(4), 0, 18)),
        (at(2, 59), 1, PageLocation(at(1), at(3), 0, 8)),
        (at(1), 5, PageLocation(at(1), at(2), 0, 7)),
        (at(0, 59), 5, None),
    ],
)
def test_a_page_behind_a_moment_is_looked_for_where_it_is_for_sure(behind, limit, location):
    assert HOURS.behind(behind, limit) == location


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(0, 70), st.integers(1, 30))
def test_every_page_is_within_its_location(minutes, offset, limit):
    newest_first = sorted((at(0, minute) for minute in minutes), reverse=True)
    counts = {}
    for moment in newest_first:
        counts[Bucket.HOUR.floor(moment)] = counts.get(Bucket.HOUR.floor(moment), 0) + 1
    ranges = TimeRanges(CountedRange(hour, hour + timedelta(hours=1), number) for hour, number in counts.items())
    page = newest_first[offset : offset + limit]
    location = ranges.at_offset(offset, limit)
    assert (location is None) == (page == [])
    if location:
        within = [moment for moment in newest_first if location.start <= moment < location.end]
        assert (within[location.skip : location.skip + limit], len(within)) == (page, location.matching)
    if newest_first:
        moment = newest_first[min(offset, len(newest_first) - 1)]
        location = ranges.behind(moment, limit)
        behind = [one for one in newest_first if one < moment][:limit]
        assert behind == [one for one in newest_first if location.start <= one < min(location.end, moment)][:limit]
