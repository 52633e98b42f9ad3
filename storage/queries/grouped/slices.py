"""Parts of a time range with about as many calls each: between two, reading says how far it is, and can be stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.database import Database, Session
from storage.mongo.indexes import ROLLUPS
from storage.queries.filters.time_ranges import TimeRange

SLICE_CALLS: Final = 10_000
"""About how many calls are read in one step. An hour is read as one, however many there are."""

SLICE_FAILED: Final = 3_000
"""The same of failed calls, which are read with their messages. A day is read as one."""


class Slice(NamedTuple):
    """About so many calls started in [start, end)."""

    start: datetime
    end: datetime
    calls: int


async def slices(database: Database, session: Session, start: datetime, end: datetime) -> list[Slice]:
    """Cut a time range at whole hours, by the calls of all users. There is at least one slice.

    Whatever the driver raises passes.
    """
    hours = await calls_in(database, session, (start, end), Bucket.HOUR, "interceptions")
    return list(cut(start, end, hours, SLICE_CALLS))


async def slices_of_failed(database: Database, start: datetime, end: datetime) -> list[Slice]:
    """The same at whole days, by the failed calls."""
    return list(cut(start, end, await calls_in(database, None, (start, end), Bucket.DAY, "failed"), SLICE_FAILED))


async def calls_in(
    database: Database, session: Session | None, span: tuple[datetime, datetime], bucket: Bucket, name: str
) -> list[tuple[datetime, int]]:
    """Return how many calls of all users each bucket of a time range has, in order of time."""
    match = TimeRange(bucket, bucket.floor(span[0]), span[1]).of(Breakdown.ALL)
    projection: dict[str, Any] = {"_id": False, "at": True, name: True}
    cursor = database.rollups.find(match, projection, session=session).sort("at").hint(ROLLUPS)
    return [(one["at"], one.get(name, 0)) for one in await cursor.to_list(None)]


def cut(start: datetime, end: datetime, buckets: Iterable[tuple[datetime, int]], most: int) -> Iterator[Slice]:
    """Cut a time range where `most` calls are reached, by how many started in buckets. Pure.

    The buckets are in order; those without calls may be left out.
    """
    calls = 0
    for at, number in buckets:
        if calls and calls + number > most and start < at < end:
            yield Slice(start, at, calls)
            start, calls = at, 0
        calls += number
    yield Slice(start, end, calls)
