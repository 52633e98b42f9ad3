"""Since when rollups have details, and how these are made of calls that were counted without them.

The job state of the rollup job says since when. A run of a server that knows nothing of details goes on without them: then the
number of the run is not the one after the one that is noted here, and all details are made again.

A call that started before that time is left out of details when it is counted. It is added with all others of its minute when
their turn comes, as it was counted until then, and the time moves back to this minute. So each is in them once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict, replace

from storage.aggregation.details import rollups_of_details
from storage.aggregation.rollup import DETAILS, Breakdown, Bucket, RollupKey, Totals
from storage.aggregation.totals import row_of, rows
from storage.mongo.database import Collection, Session
from storage.mongo.indexes import BY_TIME, ROLLUPS

DETAIL_STATE: Final = "details"
"""Where the job state has it."""

NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

STALE_AT_ONCE: Final = 5_000
"""Most details that are removed in one transaction."""

_ENDED: Final = ["completed", "failed"]

Rollups: TypeAlias = list[tuple[bytes, tuple[RollupKey, Totals]]]


class DetailState(Struct, frozen=True):
    """Since when rollups have details.

    Attributes:
        turn: The number of the run that wrote this.
        since: Calls that started then or later are in them; None means all counted calls.
        is_stale: Whether old details still exist, which are removed before new ones are made.
        is_whole: Whether no more can be made.
    """

    turn: int
    since: datetime | None = None
    is_stale: bool = False
    is_whole: bool = True

    @classmethod
    def of(cls, job_state: Mapping[str, Any], run: int) -> Self:
        """Read what a job state says that the run before a run left, or before the first one, which is number 1."""
        known = job_state.get(DETAIL_STATE)
        if known and known["turn"] == run - 1:
            return cls(run, known["since"], known["is_stale"], known["is_whole"])
        return cls(run) if run <= 1 else cls(run, NEVER, is_stale=True, is_whole=False)

    @classmethod
    def left(cls, job_state: Mapping[str, Any] | None) -> Self:
        """Read the state of the last run; without one, nothing is missing."""
        return cls.of(job_state, job_state["turn"] + 1) if job_state else cls(0)

    @property
    def stored(self) -> dict[str, Any]:
        """As the job state has it."""
        return asdict(self)

    def has(self, at: datetime) -> bool:
        """Whether calls that started in a minute are in the details."""
        return self.since is None or at >= self.since


async def step(
    interceptions: Collection, rollups: Collection, details: DetailState, limit: int, session: Session
) -> tuple[DetailState, Rollups]:
    """Remove some stale details, or work out those of some calls; return the state then, and what is to be added."""
    if details.is_stale:
        return replace(details, is_stale=await _remove_stale(rollups, session)), []
    before = {"$lt": details.since}
    cursor = interceptions.find(
        {"started_at": before, "status": {"$in": _ENDED}}, {"_id": False, "started_at": True}, session=session
    )
    newest = await cursor.sort(list(BY_TIME[:2])).hint(BY_TIME).limit(limit).to_list(limit)
    if not newest:
        return await _ended(interceptions, rollups, details, session), []
    since = Bucket.MINUTE.floor(newest[-1]["started_at"])
    # What is marked is not counted yet, or as what it was before.
    is_counted = {"$or": [{"uncounted": {"$exists": False}}, {"counted": {"$exists": True}}]}
    match = {"started_at": {"$gte": since, **before}, "status": {"$in": _ENDED}, **is_counted}
    alone = {"$cond": [{"$ne": [{"$ifNull": ["$counted", None]}, None]}, "$_id", None]}
    found = interceptions.aggregate([{"$match": match}, *rows(alone)], hint=dict(BY_TIME), session=session)
    documents = await found.to_list(None)
    return replace(details, since=since), await asyncio.to_thread(_worked_out, documents)


def _worked_out(documents: Iterable[Mapping[str, Any]]) -> Rollups:
    counted = [row_of(document).as_counted for document in documents]
    parts = rollups_of_details((row.detail, row.totals) for row in counted)
    return [(key.id, (key, totals)) for key, totals in parts.items()]


async def _remove_stale(rollups: Collection, session: Session) -> bool:
    """Remove some details; say whether there may be more."""
    levels = {"level": {"$in": sorted(one.value for one in DETAILS)}}
    cursor = rollups.find(levels, {"_id": True}, session=session).hint(ROLLUPS).limit(STALE_AT_ONCE)
    ids = [document["_id"] for document in await cursor.to_list(STALE_AT_ONCE)]
    if ids:
        await rollups.delete_many({"_id": {"$in": ids}}, session=session)
    return len(ids) == STALE_AT_ONCE


async def _ended(interceptions: Collection, rollups: Collection, details: DetailState, session: Session) -> DetailState:
    """All existing records have been added: set the time since which they are complete. Rollups outlive records."""
    numbers = [await _number(rollups, breakdown, session) for breakdown in (Breakdown.ALL, Breakdown.OUTCOME)]
    if numbers[0] == numbers[1]:
        return replace(details, since=None, is_whole=True)
    oldest = await interceptions.find_one(
        {}, {"started_at": True}, sort=[("started_at", 1), ("_id", 1)], hint=dict(BY_TIME), session=session
    )
    since = details.since if oldest is None else Bucket.DAY.floor(oldest["started_at"]) + Bucket.DAY.length
    return replace(details, since=since, is_whole=True)


async def _number(rollups: Collection, breakdown: Breakdown, session: Session) -> int:
    days = {"level": breakdown.value, "bucket": Bucket.DAY.value}
    pipeline: list[dict[str, Any]] = [
        {"$match": days},
        {"$group": {"_id": None, "number": {"$sum": "$interceptions"}}},
    ]
    found = await rollups.aggregate(pipeline, hint=dict(ROLLUPS), session=session).to_list(1)
    return int(found[0]["number"]) if found else 0
