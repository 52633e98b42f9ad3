"""Rollups: counts every interception that has ended into the cells that it belongs to, exactly once.

An end marks its document as `uncounted`. A turn reads what is marked, adds it to the cells and notes which interceptions
these were, in a document of its own: all of that in one transaction, so either it has happened or it has not. Then it
removes the marks, and the note. Who finds a note removes the marks first, before anything else is counted. So a turn may
stop anywhere, and marks may be removed again, or late: a true end is never marked again.

That document is the lock too: of several servers one counts, and the others leave it alone until their next turn. So
histograms, which the database cannot add, may be read, added here and written back. The marks are no part of the
transaction, as MongoDB takes six times as long for them in one (240 instead of 40 us), and as others write to the same
documents.

A presumed end is counted with what it then says, and its document keeps that as `counted`. When the true end comes, it
marks the document again, and what was kept is taken away as the true end is added.

Documents of the first schema had no marks. They get them here, and the number of the schema with them: so each gets them
once, whoever does it. Cells are kept when interceptions are removed: they outlive what they are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import pymongo
from pymongo import UpdateOne
from pymongo.errors import OperationFailure, PyMongoError

from intercept.records import Status
from storage.cells import (
    HISTOGRAMS,
    MINUTES_KEPT,
    Bucket,
    Figures,
    Place,
    add,
    cells_of,
    document_of,
    figures_of,
    increments,
)
from storage.database import NO_TRANSACTIONS, Database, DatabaseUnavailableError, Session, database_errors
from storage.documents import SCHEMA_VERSION
from storage.histograms import pack, unpack
from storage.indexes import FIRST_SCHEMA, UNCOUNTED
from storage.operations import PRESUMED
from storage.tally import UNCOUNTED_ONES, Row, pipeline, row_of

TURN_SECONDS = 1.0
"""From the end of one turn to the beginning of the next."""

BATCH = 2_000
"""Most interceptions that are counted in one transaction."""

AT_ONCE = 500
"""Most documents that are read or written with one command: the event loop stands still while they are encoded."""

BATCH_SECONDS = 10.0
"""How long the database may take for one transaction. It ends one by itself after 60 s."""

TRIES = 3
"""How often a transaction is tried in a turn."""

NOTEBOOK = {"_id": "counting"}
"""Finds the document, among the cells, that says what has been counted and is still marked."""

_WRITE_CONFLICT = 112
_EMPTY = pack(0)
_FIRST_SCHEMA_ENDED = {"schema_version": 1, "status": {"$in": [Status.COMPLETED.value, Status.FAILED.value]}}

Cell: TypeAlias = tuple[Place, Figures]

_log = logging.getLogger(__name__)


class NoTransactionsError(Exception):
    """The MongoDB cannot count exactly once. Its text is a phrase for the operator."""


class Rollups:
    """Counts the interceptions of a database.

    Args:
        database: Where they and the cells are.
        now: The wall clock, in UTC.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._rollups = database.rollups
        self._now = now
        self._pause = pause
        self._most = BATCH

    async def run(self) -> None:
        """Take one turn after the other, until cancelled; end at once on a MongoDB that has no transactions."""
        away = False
        while True:
            try:
                await self.count_pending()
                away = False
            except NoTransactionsError as error:
                _log.warning("nothing is counted: %s", error)
                return
            except DatabaseUnavailableError as error:
                if not away:
                    _log.warning("nothing is counted for now: %s", error)
                away = True
            await self._pause(TURN_SECONDS)

    async def count_pending(self) -> int:
        """Count what is marked; return how many interceptions this counted. None, if another server is at it.

        Raises:
            NoTransactionsError: This MongoDB is no replica set.
            DatabaseUnavailableError: Not all was counted.
        """
        counted = 0
        while True:
            with _bounded():
                marked = await self._mark_first_schema()
                most = self._most
                number = await self._count(most)
            counted += number
            if not marked and number < most:
                return counted

    async def _mark_first_schema(self) -> int:
        """Mark some of what has ended without marks; return how many were found."""
        cursor = self._interceptions.find(_FIRST_SCHEMA_ENDED, {"_id": True}).hint(FIRST_SCHEMA).limit(BATCH)
        ids = [document["_id"] for document in await cursor.to_list(BATCH)]
        if ids:
            marks = {"schema_version": SCHEMA_VERSION, "uncounted": "$ended_at", "ungrouped": "$ended_at"}
            await self._interceptions.update_many({"_id": {"$in": ids}, **_FIRST_SCHEMA_ENDED}, [{"$set": marks}])
        return len(ids)

    async def _count(self, most: int) -> int:
        """Count some of what is marked, what waits for longest first; return how many."""
        if await self._interceptions.find_one(UNCOUNTED_ONES, {"_id": True}, hint=UNCOUNTED) is None:
            return 0
        # Fewer next time, should this not succeed.
        self._most = max(most // 2, 1)
        turn = await self._next_turn()
        note = await self._try_to_transact(turn, most)
        self._most = min(2 * most, BATCH)
        if note is None:
            return 0
        await self._unmark(turn, note)
        return len(note["true"]) + len(note["presumed"])

    async def _next_turn(self) -> int:
        """Return the number of the turn that is next, with nothing left to be done of the one before."""
        notebook = await self._rollups.find_one(NOTEBOOK)
        if notebook is None:
            # Not in the transaction, where it would fail if another server did the same.
            await self._rollups.update_one(NOTEBOOK, {"$setOnInsert": {"turn": 0}}, upsert=True)
            return 1
        turn: int = notebook["turn"]
        if "note" in notebook:
            await self._unmark(turn, notebook["note"])
        return turn + 1

    async def _try_to_transact(self, turn: int, most: int) -> dict[str, Any] | None:
        """Do so again where MongoDB asks for it, as it may just after an index was made; not where another server counts."""
        for _ in range(TRIES):
            try:
                return await self._transact(turn, most)
            except OperationFailure as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if error.code == _WRITE_CONFLICT:
                    break
        return None

    async def _transact(self, turn: int, most: int) -> dict[str, Any] | None:
        """Add to the cells and say what was added; None if another server had this turn."""
        async with self._database.transaction() as session:
            before = {**NOTEBOOK, "turn": turn - 1}
            if not (await self._rollups.update_one(before, {"$set": {"turn": turn}}, session=session)).modified_count:
                return None
            cursor = self._interceptions.aggregate(
                pipeline(most), hint=dict(UNCOUNTED), batchSize=AT_ONCE, session=session
            )
            # In a thread, as it takes some 100 ms.
            cells, note = await asyncio.to_thread(_worked_out, await cursor.to_list(None), self._now())
            await self._rollups.update_one(NOTEBOOK, {"$set": {"note": note}}, session=session)
            for begin in range(0, len(cells), AT_ONCE):
                await self._add(dict(cells[begin : begin + AT_ONCE]), session)
        return note

    async def _add(self, cells: Mapping[bytes, Cell], session: Session) -> None:
        """Add to the cells with these ids."""
        asked = dict.fromkeys(HISTOGRAMS, True)
        cursor = self._rollups.find({"_id": {"$in": list(cells)}}, asked, batch_size=AT_ONCE, session=session)
        kept = {document["_id"]: document for document in await cursor.to_list(None)}
        changes = [_change(id_, cell, kept.get(id_, {})) for id_, cell in cells.items()]
        await self._rollups.bulk_write(changes, ordered=False, session=session)

    async def _unmark(self, turn: int, note: Mapping[str, Any]) -> None:
        """Remove the marks of what a turn has counted, and its note. Does no harm when that has been done."""
        for one in note["presumed"]:
            # The true end may have come in between. Then its mark stays.
            marked = {"_id": one["_id"], **UNCOUNTED_ONES}
            await self._interceptions.update_one({**marked, "counted": None}, {"$set": {"counted": one["counted"]}})
            await self._interceptions.update_one({**marked, **PRESUMED}, {"$unset": {"uncounted": ""}})
        await self._interceptions.update_many(
            {"_id": {"$in": note["true"]}}, {"$unset": {"uncounted": "", "counted": ""}}
        )
        await self._rollups.update_one({**NOTEBOOK, "turn": turn}, {"$unset": {"note": ""}})


def _worked_out(
    documents: Iterable[Mapping[str, Any]], now: datetime
) -> tuple[list[tuple[bytes, Cell]], dict[str, Any]]:
    """Return what is added to the cells, by their ids, and the note of it."""
    rows = [row_of(document) for document in documents]
    cells = cells_of((row.place, _contribution(row)) for row in rows)
    added = [
        (place.id, (place, figures))
        for place, figures in cells.items()
        if any(figures.values()) and not _expired(place, now)
    ]
    return added, _note(rows)


def _change(id_: bytes, cell: Cell, kept: Mapping[str, Any]) -> UpdateOne:
    """Add to a cell of whose document the histograms are known."""
    place, figures = cell
    sums = {name: added + unpack(kept.get(name, _EMPTY)) for name in HISTOGRAMS if (added := figures.get(name))}
    # Negative is what replaces a presumed end in a cell that has just expired by the database's clock.
    histograms = {name: pack(max(total, 0)) for name, total in sums.items()}
    changes = {"$inc": increments(figures), "$set": histograms, "$setOnInsert": place.fields}
    return UpdateOne({"_id": id_}, {name: change for name, change in changes.items() if change}, upsert=True)


def _note(rows: Sequence[Row]) -> dict[str, Any]:
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


def _expired(place: Place, now: datetime) -> bool:
    """Whether the cell would be removed at once."""
    return place.bucket is Bucket.MINUTE and place.at + MINUTES_KEPT <= now


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    try:
        with database_errors(), pymongo.timeout(BATCH_SECONDS):
            yield
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in NO_TRANSACTIONS:
            raise NoTransactionsError(
                "MongoDB has transactions only as a replica set, which may have one member"
            ) from None
        raise DatabaseUnavailableError(f"MongoDB does not count: {type(error).__name__}") from error
