"""The number of interceptions by time range. Pure: no I/O, no clock.

This gives the position of a page, without reading what is before it.

Every time is in UTC. A time range begins with its start, and its end belongs to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from storage.derived.rollup import Breakdown, Bucket

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
"""Nothing is recorded before the one, or at or after the other."""


class TimeRange(NamedTuple):
    """A time range that whole buckets make up, or, without a bucket, a rest that none does."""

    bucket: Bucket | None
    start: datetime
    end: datetime

    def of(self, breakdown: Breakdown) -> dict[str, Any]:
        """Return what finds the rollups of a breakdown in it."""
        return {"level": breakdown, "bucket": self.bucket, "at": {"$gte": self.start, "$lt": self.end}}


class CountedRange(NamedTuple):
    """How many interceptions match that started in a time range."""

    start: datetime
    end: datetime
    matching: int


class PageLocation(NamedTuple):
    """Where a page is: behind `skip` of the `matching` interceptions that started in a time range."""

    start: datetime
    end: datetime
    skip: int
    matching: int


def split(start: datetime, end: datetime, buckets: Sequence[Bucket]) -> Iterator[TimeRange]:
    """Cut a time range, until `LATEST` at most, into as few parts as possible, oldest first; an empty one into none.

    The longest of the buckets come first.
    """
    if start >= end:
        return
    if not buckets:
        yield TimeRange(None, start, end)
        return
    longest, *others = buckets
    first, last = longest.ceiling(start), longest.floor(end)
    if first >= last:
        yield from split(start, end, others)
        return
    yield from split(start, first, others)
    yield TimeRange(longest, first, last)
    yield from split(last, end, others)


class TimeRanges:
    """How many match in some time ranges that do not overlap."""

    def __init__(self, ranges: Iterable[CountedRange]) -> None:
        self._newest_first = sorted((one for one in ranges if one.matching), reverse=True)

    @property
    def total(self) -> int:
        """How many match in all."""
        return sum(one.matching for one in self._newest_first)

    def at_offset(self, offset: int, limit: int) -> PageLocation | None:
        """Return where the newest `limit` are behind the newest `offset`, None if there are none."""
        for index, one in enumerate(self._newest_first):
            if offset < one.matching:
                return _location(self._newest_first[index:], offset, limit, surely=0)
            offset -= one.matching
        return None

    def behind(self, at: datetime, limit: int) -> PageLocation | None:
        """Return where the newest `limit` are among those that started then or earlier, though not all of that moment."""
        earlier = [one for one in self._newest_first if one.start <= at]
        if not earlier:
            return None
        # Of the time range that the moment is in, any number may have started later.
        return _location(earlier, 0, limit, surely=-earlier[0].matching if at < earlier[0].end else 0)


def _location(ranges: Sequence[CountedRange], skip: int, limit: int, *, surely: int) -> PageLocation:
    """Return the newest of these time ranges, as many as it takes for the page to be in them for sure."""
    matching = 0
    for one in ranges:
        start = one.start
        matching += one.matching
        if surely + matching >= skip + limit:
            break
    return PageLocation(start, ranges[0].end, skip, matching)
