"""Rollups: counts every interception that has ended into the cells that it belongs to, in turns (see `storage.aggregation.job`).

Histograms, which the database cannot add, are read, added here and written back. A presumed end is counted with what it
then says, and its document keeps that as `counted`.

Documents of the first schema had no marks. They get them here, and the number of the schema with them: so each gets them
once, whoever does it. Cells are kept when interceptions are removed: they outlive what they are about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pymongo import UpdateOne

from intercept.records import Status
from storage.aggregation.cells import (
    HISTOGRAMS,
    MINUTES_KEPT,
    Bucket,
    Figures,
    RollupKey,
    add,
    cells_of,
    document_of,
    figures_of,
    increments,
)
from storage.aggregation.histograms import pack, unpack
from storage.aggregation.job import AT_ONCE, ExactlyOnceJob, Note
from storage.aggregation.tally import UNCOUNTED_ONES, Row, pipeline, row_of
from storage.mongo.database import Database, Session
from storage.mongo.indexes import FIRST_SCHEMA, UNCOUNTED
from storage.recording.documents import SCHEMA_VERSION

TURN_SECONDS = 1.0
"""From the end of one turn to the beginning of the next."""

BATCH = 2_000
"""Most interceptions that are counted in one transaction."""

NOTEBOOK = {"_id": "counting"}
"""Finds the document, among the cells, that says what has been counted and is still marked."""

_EMPTY = pack(0)
_FIRST_SCHEMA_ENDED = {"schema_version": 1, "status": {"$in": [Status.COMPLETED.value, Status.FAILED.value]}}

Cell: TypeAlias = tuple[RollupKey, Figures]


class Rollups(ExactlyOnceJob):
    """Counts the interceptions of a database.

    Args:
        database: Where they and the cells are.
        now: The wall clock, in UTC.
        pause: Waits for seconds.
    """

    log = logging.getLogger(__name__)
    verb = "count"
    missing = waiting = "nothing is counted"
    notebook = NOTEBOOK
    mark, kept = "uncounted", "counted"
    marked, index = UNCOUNTED_ONES, UNCOUNTED
    batch = BATCH
    seconds = TURN_SECONDS

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(database, database.rollups, pause=pause)
        self._rollups = database.rollups
        self._now = now

    async def count_pending(self) -> int:
        """Count what is marked, as `add_pending` does."""
        return await self.add_pending()

    async def _turn(self) -> tuple[int, bool]:
        with self._bounded():
            marked = await self._mark_first_schema()
        number, is_all = await super()._turn()
        return number, is_all and not marked

    async def _mark_first_schema(self) -> int:
        """Mark some of what has ended without marks; return how many were found."""
        cursor = self._interceptions.find(_FIRST_SCHEMA_ENDED, {"_id": True}).hint(FIRST_SCHEMA).limit(self._most)
        ids = [document["_id"] for document in await cursor.to_list(self._most)]
        if ids:
            marks = {"schema_version": SCHEMA_VERSION, "uncounted": "$ended_at", "ungrouped": "$ended_at"}
            await self._interceptions.update_many({"_id": {"$in": ids}, **_FIRST_SCHEMA_ENDED}, [{"$set": marks}])
        return len(ids)

    async def _add(self, most: int, session: Session) -> Note:
        cursor = self._interceptions.aggregate(pipeline(most), hint=dict(UNCOUNTED), batchSize=AT_ONCE, session=session)
        # In a thread, as it takes some 100 ms.
        cells, note = await asyncio.to_thread(_worked_out, await cursor.to_list(None), self._now())
        for begin in range(0, len(cells), AT_ONCE):
            await self._change(dict(cells[begin : begin + AT_ONCE]), session)
        return note

    async def _change(self, cells: Mapping[bytes, Cell], session: Session) -> None:
        """Add to the cells with these ids."""
        asked = dict.fromkeys(HISTOGRAMS, True)
        cursor = self._rollups.find({"_id": {"$in": list(cells)}}, asked, batch_size=AT_ONCE, session=session)
        kept = {document["_id"]: document for document in await cursor.to_list(None)}
        await self._write(self._rollups, await asyncio.to_thread(_changes, cells, kept), session, ordered=False)


def _worked_out(documents: Iterable[Mapping[str, Any]], now: datetime) -> tuple[list[tuple[bytes, Cell]], Note]:
    """Return what is added to the cells, by their ids, and the note of it."""
    rows = [row_of(document) for document in documents]
    cells = cells_of((row.place, _contribution(row)) for row in rows)
    added = [
        (place.id, (place, figures))
        for place, figures in cells.items()
        if any(figures.values()) and not _expired(place, now)
    ]
    return added, _note(rows)


def _changes(cells: Mapping[bytes, Cell], kept: Mapping[bytes, Mapping[str, Any]]) -> list[UpdateOne]:
    return [_change(id_, cell, kept.get(id_, {})) for id_, cell in cells.items()]


def _change(id_: bytes, cell: Cell, kept: Mapping[str, Any]) -> UpdateOne:
    """Add to a cell of whose document the histograms are known."""
    place, figures = cell
    sums = {name: added + unpack(kept.get(name, _EMPTY)) for name in HISTOGRAMS if (added := figures.get(name))}
    # Negative is what replaces a presumed end in a cell that has just expired by the database's clock.
    histograms = {name: pack(max(total, 0)) for name, total in sums.items()}
    changes = {"$inc": increments(figures), "$set": histograms, "$setOnInsert": place.fields}
    return UpdateOne({"_id": id_}, {name: change for name, change in changes.items() if change}, upsert=True)


def _note(rows: Sequence[Row]) -> Note:
    """Return which interceptions these are, and of those with a presumed end what they add up to."""
    return {
        "true": [id_ for row in rows if not row.presumed for id_ in row.ids],
        "presumed": [{"_id": row.ids[0], "counted": document_of(row.figures)} for row in rows if row.presumed],
    }


def _contribution(row: Row) -> Figures:
    """Return what a row adds to its cells, as what it added before is to be replaced."""
    if row.counted is None:
        return row.figures
    figures = dict(row.figures)
    add(figures, figures_of(row.counted), -1)
    return figures


def _expired(place: RollupKey, now: datetime) -> bool:
    """Whether the cell would be removed at once."""
    return place.bucket is Bucket.MINUTE and place.at + MINUTES_KEPT <= now
