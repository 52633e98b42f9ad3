"""Since when there are records: rollups outlive them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from intercept.records import Status
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_TIME, ROLLUPS
from storage.queries.filters.time_ranges import TimeRange

_ENDED: Final = {"status": {"$ne": Status.IN_FLIGHT.value}}


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
