"""Counts interceptions exactly, and finds rare ones, without reading each: most counts come from rollups.

Those that started since shortly before rollups have all are counted in the index. Both are read as they were at one moment.

Rollups outlive interceptions. So the time range in which the oldest interception started, whose earlier ones may be
gone, is counted in the index, like the rest at either end that no whole bucket makes up.

Whatever the driver raises passes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from intercept.records import Status
from storage.derived.recount import counted_until
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_COMBINATION, BY_TIME, ROLLUPS, ROLLUPS_BY_INITIATOR, Keys
from storage.queries.filters.selection import Selection
from storage.queries.filters.time_ranges import CountedRange, PageLocation, TimeRange, TimeRanges, split

MARGIN: Final = timedelta(minutes=5)
"""So long before the time until which rollups have all that ended, calls started that the index counts. Few run longer."""

OTHERS_READ: Final = 10_000
"""The maximum number of other calls that are read for one page in the order of the list, about 12 ms."""

_INSTANT: Final = timedelta(milliseconds=1)
_ENDED: Final = {"status": {"$ne": Status.IN_FLIGHT.value}}


async def number_of(database: Database, selection: Selection, session: Session | None = None) -> int:
    """Count in the index: about a second for a million."""
    return await database.interceptions.count_documents(selection.filter, hint=selection.count_index, session=session)


async def counted_ranges(database: Database, selection: Selection, session: Session) -> TimeRanges | None:
    """Count by the rollups, by time range; None if they do not know."""
    until = await counted_until(database, session)
    if selection.breakdown is None or until is None:
        return None
    oldest = await oldest_start(database, session)
    if oldest is None:
        return TimeRanges(())
    recent = Bucket.HOUR.floor(until - MARGIN)
    start, end = max(selection.start, oldest + _INSTANT), min(selection.end, recent)
    ranges = [*split(start, end, (Bucket.DAY, Bucket.HOUR)), *split(max(start, recent), selection.end, ())]
    if selection.start <= oldest < selection.end:
        # Others of the same moment may be gone, which matters where a bucket begins with it.
        ranges.append(TimeRange(None, oldest, oldest + _INSTANT))
    rests = [
        CountedRange(start, end, await number_of(database, selection.within(start, end), session))
        for bucket, start, end in ranges
        if bucket is None
    ]
    # All of it in each part: what stands beside an `$or` does not bound the index.
    whole = [{**one.of(selection.breakdown), **selection.values} for one in ranges if one.bucket]
    if not whole:
        return TimeRanges(rests)
    id_ = {"bucket": "$bucket", "at": "$at"}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"$or": whole}},
        {"$group": {"_id": id_, "number": {"$sum": f"${selection.count_field}"}}},
    ]
    index = ROLLUPS_BY_INITIATOR if "initiator_id" in selection.values else ROLLUPS
    rows = await database.rollups.aggregate(pipeline, hint=dict(index), session=session).to_list(None)
    buckets = [(row["_id"]["at"], Bucket(row["_id"]["bucket"]).length, row["number"]) for row in rows]
    return TimeRanges([*rests, *(CountedRange(at, at + length, number) for at, length, number in buckets)])


async def index_of_page(
    database: Database, selection: Selection, page: PageLocation, limit: int, session: Session
) -> Keys:
    """Return the index in which a page of a selection is found.

    In that of the list others stand beside them. Where these are so many that it takes too long, it is the one in which those
    of a combination stand side by side, and its keys are sorted.
    """
    if selection.index is not BY_TIME or "initiator_id" in selection.values:
        return selection.index
    calls = sum([calls for _, calls in await calls_in(database, session, page.start, page.end, Bucket.DAY)])
    # As if what matches were spread evenly.
    others = (calls - page.matching) * min((page.skip + limit) / page.matching, 1)
    return BY_COMBINATION if others > OTHERS_READ else BY_TIME


async def oldest_start(database: Database, session: Session | None = None) -> datetime | None:
    """Return when the oldest interception started; None where there is none. Whatever the driver raises passes."""
    only, order = {"started_at": True, "_id": False}, [("started_at", 1), ("_id", 1)]
    oldest = await database.interceptions.find_one({}, only, sort=order, hint=dict(BY_TIME), session=session)
    return None if oldest is None else oldest["started_at"]


async def gone_until(database: Database, session: Session | None, start: datetime, end: datetime) -> datetime | None:
    """Return the end of the last hour of a range of which more calls were counted than are recorded; None if all are."""
    hour = Bucket.HOUR
    first = await oldest_start(database, session)
    whole = end if first is None else hour.floor(first)
    if first is not None and start <= whole < end:
        counted = sum([calls for _, calls in await calls_in(database, session, whole, whole + hour.length, hour)])
        recorded = {"started_at": {"$gte": whole, "$lt": whole + hour.length}, **_ENDED}
        if counted > await database.interceptions.count_documents(recorded, hint=dict(BY_TIME), session=session):
            return whole + hour.length
    gone = TimeRange(hour, hour.floor(start), min(whole, end)).of(Breakdown.ALL)
    last = await database.rollups.find_one(gone, {"at": True}, sort=[("at", -1)], hint=dict(ROLLUPS), session=session)
    return None if last is None else last["at"] + hour.length


async def calls_in(
    database: Database, session: Session | None, start: datetime, end: datetime, bucket: Bucket
) -> list[tuple[datetime, int]]:
    """Return how many calls of all users each bucket of a time range has, in order of time."""
    match = TimeRange(bucket, bucket.floor(start), end).of(Breakdown.ALL)
    projection = {"_id": False, "at": True, "interceptions": True}
    cursor = database.rollups.find(match, projection, session=session).sort("at").hint(ROLLUPS)
    return [(one["at"], one.get("interceptions", 0)) for one in await cursor.to_list(None)]
