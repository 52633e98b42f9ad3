"""The job that adds every ended interception to its rollups, exactly once (see `storage.derived.job`).

The database cannot add histograms: they are read, added here and written back. A presumed end is added with what it then
says, and its document keeps that as `counted`, with the provider, as the true end may name another one.

Rollups outlive the interceptions that they count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pymongo import UpdateOne

from storage.derived.details import rollups_of_details
from storage.derived.histograms import pack, unpack
from storage.derived.job import AT_ONCE, ExactlyOnceJob, Pending
from storage.derived.rollup import (
    HISTOGRAMS,
    MINUTES_KEPT,
    Bucket,
    RollupKey,
    Totals,
    document_of,
    increments,
    rollups_of,
)
from storage.derived.totals import UNCOUNTED_ONES, Row, pipeline, row_of
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database, Session
from storage.mongo.indexes import UNCOUNTED

PAUSE_SECONDS = 1.0
"""The pause between two runs."""

BATCH = 2_000
"""Most interceptions that are counted in one transaction."""

JOB_STATE = {"_id": "counting"}
"""Finds the document, among the rollups, that says what has been counted and is still marked."""

_EMPTY = pack(0)

Rollup: TypeAlias = tuple[RollupKey, Totals]


class RollupJob(ExactlyOnceJob):
    """Counts the interceptions of a database."""

    log = logging.getLogger(__name__)
    verb = "count"
    waiting = "nothing is counted"
    job_state = JOB_STATE
    mark, kept = "uncounted", "counted"
    marked, index = UNCOUNTED_ONES, UNCOUNTED
    batch = BATCH
    seconds = PAUSE_SECONDS

    def __init__(self, database: Database, *, now: Now, pause: Pause = asyncio.sleep) -> None:
        super().__init__(database, database.rollups, pause=pause)
        self._rollups = database.rollups
        self._now = now

    async def _add(self, limit: int, session: Session) -> Pending:
        cursor = self._interceptions.aggregate(
            pipeline(self._waiting, limit), hint=dict(UNCOUNTED), batchSize=AT_ONCE, session=session
        )
        documents = await cursor.to_list(None)
        # In a thread, as it takes some 100 ms.
        rollups, pending = await asyncio.to_thread(_worked_out, documents, self._now())
        for begin in range(0, len(rollups), AT_ONCE):
            await self._change(dict(rollups[begin : begin + AT_ONCE]), session)
        return pending

    async def _change(self, rollups: Mapping[bytes, Rollup], session: Session) -> None:
        """Add to the rollups with these ids."""
        projection = dict.fromkeys(HISTOGRAMS, True)
        cursor = self._rollups.find({"_id": {"$in": list(rollups)}}, projection, batch_size=AT_ONCE, session=session)
        kept = {document["_id"]: document for document in await cursor.to_list(None)}
        await self._write(self._rollups, await asyncio.to_thread(_changes, rollups, kept), session, ordered=False)


def _worked_out(documents: Iterable[Mapping[str, Any]], now: datetime) -> tuple[list[tuple[bytes, Rollup]], Pending]:
    """Return the additions to rollups, by id, and the note of them."""
    rows = [row_of(document) for document in documents]
    replaced = [row.as_counted for row in rows if row.counted is not None]
    parts = [(row, row.totals) for row in rows]
    parts += [(row, {name: -value for name, value in row.totals.items()}) for row in replaced]
    rollups = rollups_of(
        ((row.key, totals) for row, totals in parts),
        ((row.token_key, totals) for row, totals in parts),
    )
    rollups |= rollups_of_details((row.detail, totals) for row, totals in parts)
    changed = [
        (key.id, (key, totals)) for key, totals in rollups.items() if any(totals.values()) and not _expired(key, now)
    ]
    return changed, _pending(rows)


def _changes(rollups: Mapping[bytes, Rollup], kept: Mapping[bytes, Mapping[str, Any]]) -> list[UpdateOne]:
    return [_change(id_, rollup, kept.get(id_, {})) for id_, rollup in rollups.items()]


def _change(id_: bytes, rollup: Rollup, kept: Mapping[str, Any]) -> UpdateOne:
    """Add to a rollup of whose document the histograms are known."""
    key, totals = rollup
    sums = {name: added + unpack(kept.get(name, _EMPTY)) for name in HISTOGRAMS if (added := totals.get(name))}
    # Negative is what replaces a presumed end in a rollup that has just expired by the database's clock.
    values: dict[str, Any] = {name: pack(max(total, 0)) for name, total in sums.items()}
    changes = {"$inc": increments(totals), "$set": values, "$setOnInsert": key.fields}
    return UpdateOne({"_id": id_}, {name: change for name, change in changes.items() if change}, upsert=True)


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
