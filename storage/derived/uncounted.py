"""Interceptions that are marked as uncounted: rollups do not have them yet, or have an earlier state.

A run of `storage.derived.rollup_job` adds to the rollups and notes what it added, and then removes the marks. So
what is marked and in the note is counted all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from intercept.records import Status
from storage.derived.rollup_job import JOB_STATE
from storage.derived.totals import UNCOUNTED_ONES
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import UNCOUNTED

MAX_UNCOUNTED: Final = 10_000
"""How many uncounted calls are told, at most."""

MAX_READ: Final = 50_000
"""How many uncounted calls are read for that, at most."""


@dataclass(frozen=True)
class Uncounted:
    """The interceptions that are marked, aside from those that a note says are counted with their `true` end.

    Those that it says are counted with a `presumed` end are as good as those whose document has that as `counted`.
    """

    true: Sequence[UUID] = ()
    presumed: Sequence[UUID] = ()

    @property
    def filter(self) -> dict[str, Any]:
        """What finds them by the index `UNCOUNTED`."""
        return {**UNCOUNTED_ONES, "_id": {"$nin": list(self.true)}} if self.true else dict(UNCOUNTED_ONES)

    def missing(self, count_field: str) -> dict[str, Any]:
        """Return the expression of what a count field of the rollups lacks: `interceptions`, `completed` or `failed`."""
        has = 1 if count_field == "interceptions" else {"$cond": [{"$eq": ["$status", count_field]}, 1, 0]}
        noted: Any = 0
        if self.presumed and count_field != Status.COMPLETED:
            noted = {"$cond": [{"$in": ["$_id", list(self.presumed)]}, 1, 0]}
        # Numbers that are zero are not kept.
        replaced = {"$cond": [{"$gt": ["$counted", None]}, {"$ifNull": [f"$counted.{count_field}", 0]}, noted]}
        return {"$subtract": [has, replaced]}


async def read_uncounted(rollups: Collection, session: Session | None) -> Uncounted:
    """Read what is uncounted. Errors of the driver pass."""
    job_state = await rollups.find_one(JOB_STATE, {"note": True}, session=session)
    note = (job_state or {}).get("note") or {"true": [], "presumed": []}
    return Uncounted(true=note["true"], presumed=[one["_id"] for one in note["presumed"]])


async def count_uncounted(
    database: Database, session: Session, span: tuple[datetime, datetime], visible_to: UUID | None
) -> int:
    """Count the calls that started within a time range, may be seen, and are in no rollup yet. Errors of the driver pass."""
    visible = {} if visible_to is None else {"initiator_id": visible_to}
    started = {"started_at": {"$gte": span[0], "$lt": span[1]}, **visible}
    marks = await read_uncounted(database.rollups, session)
    noted = [*marks.true, *marks.presumed]
    pipeline: list[dict[str, Any]] = [
        # A mark is the time of the end, or a later one.
        {"$match": {"uncounted": {"$gte": span[0]}, "_id": {"$nin": noted}}},
        {"$limit": MAX_READ},
        {"$match": {"counted": None, **started}},
        {"$limit": MAX_UNCOUNTED},
        {"$count": "number"},
    ]
    cursor = database.interceptions.aggregate(pipeline, hint=dict(UNCOUNTED), session=session)
    return sum([row["number"] for row in await cursor.to_list(1)])
