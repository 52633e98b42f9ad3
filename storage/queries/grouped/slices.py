"""Parts of a time range with about as many calls each, so that reading them says how far it is and can be stopped between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from storage.aggregation.rollup import Breakdown, Bucket
from storage.mongo.database import Database, Session
from storage.mongo.indexes import ROLLUPS

SLICE_CALLS: Final = 10_000
"""About how many calls are read in one step. An hour is read as one, however many there are."""


class Slice(NamedTuple):
    """About so many calls started in [start, end)."""

    start: datetime
    end: datetime
    calls: int


async def slices(database: Database, session: Session | None, start: datetime, end: datetime) -> list[Slice]:
    """Cut a time range at whole hours, by the calls of all users. There is at least one slice.

    Whatever the driver raises passes.
    """
    times = {"$gte": Bucket.HOUR.floor(start), "$lt": end}
    match = {"level": Breakdown.ALL.value, "bucket": Bucket.HOUR.value, "at": times}
    asked: dict[str, Any] = {"_id": False, "at": True, "interceptions": True}
    cursor = database.rollups.find(match, asked, session=session).sort("at").hint(ROLLUPS)
    hours = [(hour["at"], hour.get("interceptions", 0)) for hour in await cursor.to_list(None)]
    return list(cut(start, end, hours))


def cut(start: datetime, end: datetime, hours: Iterable[tuple[datetime, int]]) -> Iterator[Slice]:
    """Cut a time range where `SLICE_CALLS` are reached. Pure.

    Args:
        start: Its begin.
        end: Its end.
        hours: When hours begin and how many calls started in them, in order; hours without calls may be left out.
    """
    calls = 0
    for at, number in hours:
        if calls and calls + number > SLICE_CALLS and start < at < end:
            yield Slice(start, at, calls)
            start, calls = at, 0
        calls += number
    yield Slice(start, end, calls)
