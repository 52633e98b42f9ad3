"""The time ranges that requests ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from storage.aggregation.rollup import Bucket
from storage.queries.filters.time_ranges import ceiling as bucket_ceiling

NOT_AFTER: Final = "must be after from"
OUT_OF_RANGE: Final = "is out of range"

Problems = list[tuple[str, str]]


def _same(at: datetime) -> datetime:
    return at


def range_of(
    first: datetime | None,
    last: datetime | None,
    problems: Problems,
    *,
    now: datetime,
    usual: Callable[[datetime], datetime] = _same,
    floor: Callable[[datetime], datetime] = _same,
    ceiling: Callable[[datetime], datetime] = _same,
) -> tuple[datetime, datetime]:
    """Return the range of what is given as `from` and `to`, made larger to whole buckets; what is wrong becomes problems.

    Without `last` the end is `now`. Without `first` the start is what `usual` makes of the end.
    """
    to = last or now
    try:
        start, end = floor(first or usual(to)), ceiling(to)
    except OverflowError:
        problems.append(("to", OUT_OF_RANGE))
        return now, now
    if start >= end or (first and first >= to):
        problems.append(("to", NOT_AFTER))
    return start, end


def days_of(
    first: datetime | None,
    last: datetime | None,
    problems: Problems,
    *,
    now: datetime,
    usual: Callable[[datetime], datetime],
) -> tuple[datetime, datetime]:
    """Return the range of whole days in UTC; see `range_of`."""
    day = Bucket.DAY
    return range_of(first, last, problems, now=now, usual=usual, floor=day.floor, ceiling=partial(bucket_ceiling, day))
