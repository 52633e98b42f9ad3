"""The job that adds every ended interception to its rollups, exactly once (see `storage.aggregation.job`).

The database cannot add histograms: they are read, added here and written back. A presumed end is added with what it then
says, and its document keeps that as `counted`, with the provider, as the true end may name another one.

Documents of the first schema had no marks. They get them here, together with the number of the current schema: so each gets
them once, whichever server does it. Rollups outlive the interceptions that they count.

Of calls that were counted without details (`storage.aggregation.details`) these are made afterwards, see
`storage.aggregation.detail_state`: once nothing waits, the newest first, one batch in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pymongo import UpdateOne

from intercept.records import Status
from storage.aggregation import detail_state
from storage.aggregation.detail_state import DETAIL_STATE, DetailState
from storage.aggregation.details import rollups_of_details
from storage.aggregation.histograms import pack, unpack
from storage.aggregation.job import AT_ONCE, BATCH_SECONDS, ExactlyOnceJob, Pending
from storage.aggregation.rollup import (
    HISTOGRAMS,
    MINUTES_KEPT,
    Breakdown,
    Bucket,
    RollupKey,
    Totals,
    document_of,
    increments,
    rollups_of,
)
from storage.aggregation.totals import UNCOUNTED_ONES, Row, pipeline, row_of
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database, Session
from storage.mongo.indexes import FIRST_SCHEMA, UNCOUNTED
from storage.recording.documents import SCHEMA_VERSION

PAUSE_SECONDS = 1.0
"""The pause between two runs."""

BATCH = 2_000
"""Most interceptions that are counted in one transaction."""

LOOK_BACK_EVERY = 10
"""What earlier versions left is searched for in one of so many runs, and in each while there is some."""

JOB_STATE = {"_id": "counting"}
"""Finds the document, among the rollups, that says what has been counted and is still marked."""

SINCE = "by_token_since"
"""Where the job state says since when calls are counted by token and group; None from the first on."""

_WITHOUT_SINCE = {**JOB_STATE, SINCE: {"$exists": False}}
_EMPTY = pack(0)
_FIRST_SCHEMA_ENDED = {"schema_version": 1, "status": {"$in": [Status.COMPLETED.value, Status.FAILED.value]}}

Rollup: TypeAlias = tuple[RollupKey, Totals]


class RollupJob(ExactlyOnceJob):
    """Counts the interceptions of a database."""

    log = logging.getLogger(__name__)
    verb = "count"
    missing = waiting = "nothing is counted"
    job_state = JOB_STATE
    mark, kept = "uncounted", "counted"
    marked, index = UNCOUNTED_ONES, UNCOUNTED
    batch = BATCH
    seconds = PAUSE_SECONDS

    def __init__(self, database: Database, *, now: Now, pause: Pause = asyncio.sleep) -> None:
        super().__init__(database, database.rollups, pause=pause)
        self._rollups = database.rollups
        self._now = now
        self._is_behind = False
        self._looks_back = True
        self._runs = 0

    async def _run_in_time(self) -> bool:
        is_all = await super()._run_in_time()
        self._runs += 1
        self._looks_back = not is_all or self._runs % LOOK_BACK_EVERY == 0
        # Details of earlier calls are not urgent.
        return is_all or self._is_behind

    async def _run_once(self) -> tuple[int, bool]:
        marked = await self._mark_first_schema() if self._looks_back else 0
        number, is_all = await super()._run_once()
        is_all = is_all and not marked
        if is_all and self._looks_back:
            self._is_behind = await self._in_time(self._add_details)
        return number, is_all and not self._is_behind

    async def _mark_first_schema(self) -> int:
        """Mark some of what has ended without marks; return how many were found."""
        async with self._database.within(BATCH_SECONDS, self.verb):
            found = self._interceptions.find(_FIRST_SCHEMA_ENDED, {"_id": True}).hint(FIRST_SCHEMA)
            ids = [document["_id"] for document in await found.limit(self._batch_limit).to_list(self._batch_limit)]
            if ids:
                marks = {"schema_version": SCHEMA_VERSION, "uncounted": "$ended_at", "ungrouped": "$ended_at"}
                await self._interceptions.update_many({"_id": {"$in": ids}, **_FIRST_SCHEMA_ENDED}, [{"$set": marks}])
            return len(ids)

    async def _add(self, limit: int, session: Session) -> Pending:
        cursor = self._interceptions.aggregate(
            pipeline(self._waiting, limit), hint=dict(UNCOUNTED), batchSize=AT_ONCE, session=session
        )
        documents = await cursor.to_list(None)
        # When the first run began that counts by token and group, in a database that had other runs before.
        since = {"$cond": [{"$gt": ["$turn", 1]}, self._now(), None]}
        await self._rollups.update_one(_WITHOUT_SINCE, [{"$set": {SINCE: since}}], session=session)
        state = await self._rollups.find_one(
            JOB_STATE, {SINCE: True, "turn": True, DETAIL_STATE: True}, session=session
        )
        state = state or {"turn": 1}
        details = DetailState.of(state, state["turn"])
        await self._rollups.update_one(JOB_STATE, {"$set": {DETAIL_STATE: details.stored}}, session=session)
        # In a thread, as it takes some 100 ms.
        rollups, pending = await asyncio.to_thread(_worked_out, documents, self._now(), state.get(SINCE), details)
        await self._change_all(rollups, state["turn"], session)
        return pending

    async def _add_details(self, limit: int) -> bool:
        """Make some of the details that calls were counted without; say whether more are missing."""
        state = await self._rollups.find_one(JOB_STATE, {"turn": True, DETAIL_STATE: True})
        if DetailState.left(state).is_whole:
            return False
        _, found = await self._try_batch(limit, self._detail_batch)
        return found is None or not found.is_whole

    async def _detail_batch(self, limit: int, session: Session) -> DetailState:
        state = await self._rollups.find_one(JOB_STATE, {"turn": True, DETAIL_STATE: True}, session=session) or {}
        details = DetailState.of(state, state["turn"])
        details, rollups = await detail_state.step(self._interceptions, self._rollups, details, limit, session)
        await self._change_all(rollups, state["turn"], session)
        await self._rollups.update_one(JOB_STATE, {"$set": {DETAIL_STATE: details.stored}}, session=session)
        return details

    async def _change_all(self, rollups: Sequence[tuple[bytes, Rollup]], run: int, session: Session) -> None:
        for begin in range(0, len(rollups), AT_ONCE):
            await self._change(dict(rollups[begin : begin + AT_ONCE]), run, session)

    async def _change(self, rollups: Mapping[bytes, Rollup], run: int, session: Session) -> None:
        """Add to the rollups with these ids, in this run."""
        projection = dict.fromkeys(HISTOGRAMS, True)
        cursor = self._rollups.find({"_id": {"$in": list(rollups)}}, projection, batch_size=AT_ONCE, session=session)
        kept = {document["_id"]: document for document in await cursor.to_list(None)}
        await self._write(self._rollups, await asyncio.to_thread(_changes, rollups, kept, run), session, ordered=False)


def _worked_out(
    documents: Iterable[Mapping[str, Any]], now: datetime, since: datetime | None, details: DetailState
) -> tuple[list[tuple[bytes, Rollup]], Pending]:
    """Return the additions to rollups, by id, and the note of them.

    A call from before `since` was not counted by token and group. What corrects it is not counted there either: it would be
    a cost without a call.
    """
    rows = [row_of(document) for document in documents]
    replaced = [row.as_counted for row in rows if row.counted is not None]
    parts = [(row, row.totals) for row in rows]
    parts += [(row, {name: -value for name, value in row.totals.items()}) for row in replaced]
    rollups = rollups_of(
        ((row.key, totals) for row, totals in parts),
        (
            (row.token_key, totals)
            for row, totals in parts
            if since is None or row.counted is None or row.key.at >= since
        ),
    )
    rollups |= rollups_of_details((row.detail, totals) for row, totals in parts if details.has(row.key.at))
    changed = [
        (key.id, (key, totals))
        for key, totals in rollups.items()
        if (any(totals.values()) or key.breakdown is Breakdown.ALL) and not _expired(key, now)
    ]
    return changed, _pending(rows)


def _changes(rollups: Mapping[bytes, Rollup], kept: Mapping[bytes, Mapping[str, Any]], run: int) -> list[UpdateOne]:
    return [_change(id_, rollup, kept.get(id_, {}), run) for id_, rollup in rollups.items()]


def _change(id_: bytes, rollup: Rollup, kept: Mapping[str, Any], run: int) -> UpdateOne:
    """Add to a rollup of whose document the histograms are known.

    The rollup of all users gets the number of the run, even if additions and removals cancel out: caches of rollups of
    the bucket compare it to notice changes.
    """
    key, totals = rollup
    sums = {name: added + unpack(kept.get(name, _EMPTY)) for name in HISTOGRAMS if (added := totals.get(name))}
    # Negative is what replaces a presumed end in a rollup that has just expired by the database's clock.
    values: dict[str, Any] = {name: pack(max(total, 0)) for name, total in sums.items()}
    if key.breakdown is Breakdown.ALL:
        values["turn"] = run
    changes = {"$inc": increments(totals), "$set": values, "$setOnInsert": key.fields}
    return UpdateOne(
        {"_id": id_}, {name: change for name, change in changes.items() if change}, upsert=any(totals.values())
    )


def _pending(rows: Sequence[Row]) -> Pending:
    """Return which interceptions these are, and of those with a presumed end what they add up to, and with which provider."""
    return {
        "true": [id_ for row in rows if not row.presumed for id_ in row.ids],
        "presumed": [
            {"_id": row.ids[0], "counted": document_of(row.totals) | row.provider} for row in rows if row.presumed
        ],
    }


def _expired(key: RollupKey, now: datetime) -> bool:
    """Whether the rollup would be removed at once."""
    return key.bucket is Bucket.MINUTE and key.at + MINUTES_KEPT <= now
