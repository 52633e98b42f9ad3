"""How far the derived figures are, and counting days again from the records.

How far they are is one document, which the job changes together with the figures.

Counted again are rollups, and where nothing bounds it, sessions and the search index too. What was derived of these days is
removed, and their calls are added as if they had ended now, oldest first, batch by batch. A batch is read as it was at one
moment of the database's time, and the changes up to that moment are followed before the next one: so it is known of each
change whether the batch has it. What is done is kept with the figures, so it may stop anywhere.
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
        start: The beginning of the first one.
        end: The end of the last one; None for all until now.
        is_cleared: Whether what was derived of them is removed.
        done: The start and the id of the last call of the last batch; None before the first.
        batch: The same of the batch before that one.
        time: As of when the last batch was read.
    """

    start: datetime
    end: datetime | None
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
        return cls(**{**fields, **places})

    @property
    def stored(self) -> dict[str, Any]:
        """As it is in the state of the job."""
        return self._asdict()

    @property
    def is_whole(self) -> bool:
        """Whether sessions and the search index are made again, too."""
        return self.end is None

    @property
    def days(self) -> dict[str, Any]:
        """The condition on the time of a call or rollup."""
        return {"$gte": self.start, **({} if self.end is None else {"$lt": self.end})}

    def has(self, change: Change, document: Mapping[str, Any] | None) -> bool:
        """Whether a change is among what was read, or will be, and so must not be added for itself."""
        if document is None or not self.start <= document["started_at"]:
            return False
        if self.end is not None and document["started_at"] >= self.end:
            return False
        place = document["started_at"], document["_id"]
        if self.done is None or place > self.done:
            return True
        return (self.batch is None or place > self.batch) and self.time is not None and change.time <= self.time


async def begin_recount(database: Database, start: datetime, end: datetime | None) -> None:
    """Have the job count days again from midnight in UTC; without an end all until now, with sessions and the search index.

    Whatever the driver raises passes.
    """
    recount = Recount(Bucket.DAY.floor(start), end and Bucket.DAY.floor(end + timedelta(days=1) - timedelta.resolution))
    if end is None:
        recount = await _with_whole_sessions(database, recount)
    recount = await _with_records(database, recount)
    await database.derived.update_one(JOB, {"$set": {"recount": recount.stored}}, upsert=True)


async def recount_since(database: Database, state: Mapping[str, Any]) -> Recount | None:
    """Return what is counted again where changes since `state` are unknown; None where there are no calls."""
    if await database.interceptions.find_one({}, {"_id": True}) is None:
        return None
    known = state.get("time")
    if known is None:
        return Recount(EVER, None)
    recount = await _with_whole_sessions(database, Recount(Bucket.DAY.floor(known - MARGIN), None))
    return await _with_records(database, recount)


async def _with_whole_sessions(database: Database, recount: Recount) -> Recount:
    """Begin so early that no session of several calls has some before that and some after it."""
    while True:
        across = {
            "started_at": {"$lt": recount.start},
            "last_active_at": {"$gte": recount.start},
            "interceptions": {"$gt": 1},
        }
        first = await database.sessions.find_one(across, {"started_at": True}, sort=[("started_at", 1)])
        if first is None:
            return recount
        recount = recount._replace(start=Bucket.DAY.floor(first["started_at"]))


async def _with_records(database: Database, recount: Recount) -> Recount:
    """Begin with the first day of which all records are there: totals outlive those that retention removes."""
    only, order = {"started_at": True}, [("started_at", 1), ("_id", 1)]
    oldest = await database.interceptions.find_one({}, only, sort=order, hint=dict(BY_TIME))
    first = Bucket.DAY.floor(oldest["started_at"]) if oldest else recount.start
    earlier = {"level": Breakdown.ALL, "bucket": Bucket.DAY, "at": {"$lt": first}}
    if oldest is None or await database.rollups.find_one(earlier, {"_id": True}) is None:
        return recount
    return recount._replace(start=max(recount.start, first + timedelta(days=1)))


async def clear(database: Database, recount: Recount, session: Session) -> bool:
    """Remove some of what was derived of the days, in the transaction of a session; return whether that was all."""
    conditions: dict[str, Mapping[str, Any]] = {"rollups": {"level": {"$exists": True}, "at": recount.days}}
    if recount.is_whole:
        # Of sessions across the beginning of the first day records are gone.
        across = {"last_active_at": recount.days, "interceptions": {"$gt": 1}}
        conditions["sessions"] = {"$or": [{"started_at": recount.days}, across]}
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
    found: dict[str, Any] = {"started_at": recount.days, "status": {"$ne": Status.IN_FLIGHT.value}}
    if recount.done is not None:
        at, id_ = recount.done
        found["started_at"] = {**recount.days, "$gte": at}
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
