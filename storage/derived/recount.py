"""How far the derived figures are, and counting days again from the records.

How far they are is one document, which the job changes together with the figures.

Counted again is all from a day on. What was derived of these days is removed, and their calls are added as if they had ended
now, oldest first, batch by batch. A batch is read as it was at one moment of the database's time, and the changes up to that
moment are followed before the next one: so it is known of each change whether the batch has it. What is done is kept with the
figures, so it may stop anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from bson.binary import Binary
from bson.timestamp import Timestamp

from intercept.records import Status
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.change_stream import Change
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.indexes import BY_TIME

JOB: Final = {"_id": "job"}
"""Finds the document, in the collection `derived`.

It has `position`, behind the last change that was added (see `storage.mongo.change_stream`), and `collection`, the one that it
is a position of; `time`, until when that is all; `recount`, while days are counted again; and `lease`, which process does it.
"""


async def read_state(database: Database, session: Session | None = None) -> dict[str, Any]:
    """Read the document; empty while there is none. Whatever the driver raises passes."""
    return await with_plain_ids(database.derived).find_one(JOB, session=session) or {}


async def followed_collection(database: Database) -> Binary:
    """Return what MongoDB knows the collection of interceptions by: in a copy of the database that is another.

    There a position may be one all the same, with all that was copied behind it, as if it had ended since then. Whatever the
    driver raises passes.
    """
    interceptions = with_plain_ids(database.interceptions)
    listed = {"listCollections": 1, "filter": {"name": interceptions.name}}
    reply = await interceptions.database.command(listed, codec_options=interceptions.codec_options)
    identifier: Binary = reply["cursor"]["firstBatch"][0]["info"]["uuid"]
    return identifier


async def counted_until(database: Database, session: Session | None = None) -> datetime | None:
    """Return until when every call that ended is in the figures; None where none is, or they are counted again just now.

    Whatever the driver raises passes.
    """
    state = await read_state(database, session)
    return None if "recount" in state else state.get("time")


EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before all calls."""

MARGIN: Final = timedelta(days=1)
"""So long before the last known change calls may have started that ended after it."""

REMOVED_AT_ONCE: Final = 1_000
"""Documents of a collection that are removed in one transaction."""

_OLDEST_FIRST: Final = [("started_at", 1), ("_id", 1)]


class Recount(NamedTuple):
    """Days that are counted again.

    Attributes:
        start: The beginning of the first one. The last one is today.
        is_cleared: Whether what was derived of them is removed.
        done: The start and the id of the last call of the last batch; None before the first.
        batch: The same of the batch before that one.
        time: As of when the last batch was read.
    """

    start: datetime
    is_cleared: bool = False
    done: tuple[datetime, Binary] | None = None
    batch: tuple[datetime, Binary] | None = None
    time: Timestamp | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self | None:
        """Read it from the state of the job; None where nothing is counted again."""
        fields = state.get("recount")
        if fields is None:
            return None
        places = {name: tuple(fields[name]) for name in ("done", "batch") if fields.get(name)}
        return cls(**{name: value for name, value in {**fields, **places}.items() if name in cls._fields})

    @property
    def stored(self) -> dict[str, Any]:
        """As it is in the state of the job."""
        return self._asdict()

    def has(self, change: Change, document: Mapping[str, Any] | None) -> bool:
        """Whether a change is among what was read, or will be, and so must not be added for itself."""
        if document is None or document["started_at"] < self.start:
            return False
        place = document["started_at"], document["_id"]
        if self.done is None or place > self.done:
            return True
        return (self.batch is None or place > self.batch) and self.time is not None and change.time <= self.time


async def begin_recount(database: Database, start: datetime) -> None:
    """Have the job count all again from a midnight in UTC on. Whatever the driver raises passes."""
    recount = await _since(database, start)
    await database.derived.update_one(JOB, {"$set": {"recount": recount.stored}}, upsert=True)


async def recount_since(database: Database, state: Mapping[str, Any]) -> Recount | None:
    """Return what is counted again where changes since `state` are unknown; None where there are no calls."""
    if await database.interceptions.find_one({}, {"_id": True}) is None:
        return None
    known = state.get("time")
    return Recount(EVER) if known is None else await _since(database, known - MARGIN)


async def _since(database: Database, start: datetime) -> Recount:
    """Begin so early that no session of several calls has some before that and some after it.

    And no earlier than with the first day of which all records are there: totals outlive those that retention removes.
    """
    found: dict[str, Any] | None = {"started_at": start}
    while found is not None:
        start = Bucket.DAY.floor(found["started_at"])
        across = {"started_at": {"$lt": start}, "last_active_at": {"$gte": start}, "interceptions": {"$gt": 1}}
        found = await database.sessions.find_one(across, {"started_at": True}, sort=[("started_at", 1)])
    only = {"started_at": True}
    oldest = await database.interceptions.find_one({}, only, sort=_OLDEST_FIRST, hint=dict(BY_TIME))
    first = Bucket.DAY.floor(oldest["started_at"]) if oldest else start
    earlier = {"level": Breakdown.ALL, "bucket": Bucket.DAY, "at": {"$lt": first}}
    if oldest is None or await database.rollups.find_one(earlier, {"_id": True}) is None:
        return Recount(start)
    return Recount(max(start, first + timedelta(days=1)))


async def clear(database: Database, recount: Recount, session: Session) -> bool:
    """Remove some of what was derived of the days, in the transaction of a session; return whether that was all."""
    since = {"$gte": recount.start}
    # Of sessions across the beginning of the first day records are gone.
    across = {"last_active_at": since, "interceptions": {"$gt": 1}}
    conditions: dict[str, Mapping[str, Any]] = {
        "rollups": {"level": {"$exists": True}, "at": since},
        "sessions": {"$or": [{"started_at": since}, across]},
    }
    for name, condition in conditions.items():
        collection = with_plain_ids(getattr(database, name))
        found = await collection.find(condition, {"_id": True}, session=session).limit(REMOVED_AT_ONCE).to_list(None)
        if found:
            await collection.delete_many({"_id": {"$in": [one["_id"] for one in found]}}, session=session)
        if len(found) == REMOVED_AT_ONCE:
            return False
    return True


async def read_recorded(database: Database, recount: Recount, number: int) -> tuple[list[dict[str, Any]], Timestamp]:
    """Read the next calls that have ended, oldest first, and as of when that is. Whatever the driver raises passes."""
    found: dict[str, Any] = {"started_at": {"$gte": recount.start}, "status": {"$ne": Status.IN_FLIGHT.value}}
    if recount.done is not None:
        at, id_ = recount.done
        found["started_at"] = {"$gte": at}
        found["$or"] = [{"started_at": {"$gt": at}}, {"_id": {"$gt": id_}}]
    interceptions = with_plain_ids(database.interceptions)
    reply = await interceptions.database.command(
        {
            "find": interceptions.name,
            "filter": found,
            "sort": dict(_OLDEST_FIRST),
            "hint": dict(BY_TIME),
            "limit": number,
            "batchSize": number,
            "singleBatch": True,
            "readConcern": {"level": "snapshot"},
        },
        codec_options=interceptions.codec_options,
    )
    return reply["cursor"]["firstBatch"], reply["cursor"]["atClusterTime"]


def after_batch(recount: Recount, documents: list[dict[str, Any]], at: Timestamp) -> Recount:
    """Return it when a batch that was read at a time is added."""
    last = documents[-1]
    return recount._replace(batch=recount.done, done=(last["started_at"], last["_id"]), time=at)
