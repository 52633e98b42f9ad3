from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.rollup import Bucket
from storage.queries.filters.time_ranges import (
    LATEST,
    CountedRange,
    TimeRanges,
    split,
)
from tests.storage.any_records import times

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
LONGEST_FIRST = (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE)


def at(hour, minute=0, day=0):
    return MIDNIGHT + timedelta(days=day, hours=hour, minutes=minute)


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
