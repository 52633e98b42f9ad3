"""Turns: interceptions that have ended are added to something else, each exactly once, whoever stops and whenever.

An end marks its document. A turn reads what is marked, adds it and notes which interceptions these were, in a document of
its own, the notebook: all of that in one transaction, so either it has happened or it has not. Then it removes the marks,
and the note. Who finds a note removes the marks first, before anything else is added. So a turn may stop anywhere, and
marks may be removed again, or late: a true end is never marked again.

The notebook is the lock too: of several servers one takes the turn, and the others leave it alone until their next. So what
the database cannot add may be read, added here and written back. The marks are no part of the transaction, as MongoDB takes
six times as long for them in one (240 instead of 40 us), and as others write to the same documents.

A presumed end is added with what it then says, and its document keeps that. When the true end comes, it marks the document
again, and what was kept is taken away as the true end is added.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import pymongo
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from storage.mongo.database import (
    NO_TRANSACTIONS,
    Collection,
    Database,
    DatabaseUnavailableError,
    Session,
    database_errors,
    with_plain_ids,
)
from storage.mongo.indexes import Keys
from storage.recording.operations import PRESUMED

AT_ONCE = 100
"""Most documents that are read or written with one command: while they are decoded or encoded, nothing else runs."""

BATCH_SECONDS = 10.0
"""How long the database may take for one turn. It ends a transaction by itself after 60 s."""

GROWTH_STEPS = 20
"""A batch that was too slow is halved. Each one that succeeds adds this part of a whole batch to the next."""

TRIES = 3
"""How often a transaction is tried in a turn."""

_WRITE_CONFLICT = 112

Note: TypeAlias = dict[str, Any]
"""`true` has the ids of what was added for good, `presumed` the `_id` of all else and what its document is to keep."""


class NoTransactionsError(Exception):
    """The MongoDB cannot add exactly once. Its text is a phrase for the operator."""


class TooSlowError(DatabaseUnavailableError):
    """A batch took longer than `BATCH_SECONDS`. The next one is smaller."""


class ExactlyOnceJob(ABC):
    """Takes turns at a task, which a subclass is.

    Args:
        database: Where the interceptions are.
        notebooks: Where the notebook is.
        pause: Waits for seconds.
        busy: Says whether the server has calls under way, which come first.

    Attributes:
        log: Where it is said that nothing is done.
        verb: What MongoDB then does not do.
        missing: What there is then not, where MongoDB has no transactions.
        waiting: The same while MongoDB is away.
        notebook: Finds the document that says what has been added and is still marked.
        mark: The field of a document that is not added yet.
        kept: The field that keeps what a presumed end has added.
        marked: Finds what has the mark and may be added.
        index: Has that in its order, what waits for longest first.
        batch: Most interceptions of one transaction.
        seconds: From the end of one turn to the beginning of the next.
        behind_seconds: The same while there is more to be added than one turn takes and the server is busy. When it is
            not, the next turn begins at once.
    """

    log: ClassVar[logging.Logger]
    verb: ClassVar[str]
    missing: ClassVar[str]
    waiting: ClassVar[str]
    notebook: ClassVar[Mapping[str, Any]]
    mark: ClassVar[str]
    kept: ClassVar[str]
    marked: ClassVar[Mapping[str, Any]]
    index: ClassVar[Keys]
    batch: ClassVar[int]
    seconds: ClassVar[float]
    behind_seconds: ClassVar[float] = 0

    def __init__(
        self,
        database: Database,
        notebooks: Collection,
        *,
        pause: Callable[[float], Awaitable[None]],
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._interceptions = with_plain_ids(database.interceptions)
        self._notebooks = with_plain_ids(notebooks)
        self._pause = pause
        self._busy = busy
        self._most = self.batch

    @abstractmethod
    async def _add(self, most: int, session: Session) -> Note:
        """Add some of what is marked, what waits for longest first; return which ones, see `Note`."""

    async def run(self) -> None:
        """Take one turn after the other, until cancelled; end at once on a MongoDB that has no transactions."""
        away = slow = False
        while True:
            is_all = True
            try:
                _, is_all = await self._turn()
                away = slow = False
            except TooSlowError as error:
                if not slow:
                    self.log.warning("%s", error)
                slow, is_all = True, False
            except NoTransactionsError as error:
                self.log.warning("%s: %s", self.missing, error)
                return
            except DatabaseUnavailableError as error:
                if not away:
                    self.log.warning("%s for now: %s", self.waiting, error)
                away = True
            behind = self.behind_seconds if self._busy() else 0
            await self._pause(self.seconds if is_all else behind)

    async def add_pending(self, on_added: Callable[[int], None] = lambda _: None) -> int:
        """Add what is marked; return how many interceptions this added. None, if another server is at it.

        Args:
            on_added: Told after each turn how many that one added.

        Raises:
            NoTransactionsError: This MongoDB is no replica set.
            DatabaseUnavailableError: Not all was added.
        """
        added, is_all = 0, False
        while not is_all:
            with contextlib.suppress(TooSlowError):
                number, is_all = await self._turn()
                added += number
                on_added(number)
        return added

    async def _turn(self) -> tuple[int, bool]:
        """Take one turn; return how many it added, and whether that is all for now.

        Raises:
            TooSlowError: Nothing was added, and fewer will be tried next.
            DatabaseUnavailableError: It takes too long even for a single one, or the database is away.
        """
        most = self._most
        try:
            with self._bounded():
                number = await self._take(most)
        except DatabaseUnavailableError as error:
            if most == self._most or not _is_slow(error.__cause__):
                raise
            text = f"a batch of {most} took longer than {BATCH_SECONDS:g} s: the next one has {self._most}"
            raise TooSlowError(text) from error
        return number, number < most

    async def _take(self, most: int) -> int:
        if await self._interceptions.find_one(self.marked, {"_id": True}, hint=self.index) is None:
            return 0
        # Fewer next time, should this not succeed.
        self._most = max(most // 2, 1)
        turn = await self._next_turn()
        note = await self._try_to_transact(turn, most)
        self._most = min(most + max(self.batch // GROWTH_STEPS, 1), self.batch)
        if note is None:
            return 0
        await self._unmark(turn, note)
        return sum(map(len, note.values()))

    async def _next_turn(self) -> int:
        """Return the number of the turn that is next, with nothing left to be done of the one before."""
        notebook = await self._notebooks.find_one(self.notebook)
        if notebook is None:
            # Not in the transaction, where it would fail if another server did the same.
            await self._notebooks.update_one(self.notebook, {"$setOnInsert": {"turn": 0}}, upsert=True)
            return 1
        turn: int = notebook["turn"]
        if "note" in notebook:
            await self._unmark(turn, notebook["note"])
        return turn + 1

    async def _try_to_transact(self, turn: int, most: int) -> Note | None:
        """Do so again where MongoDB asks for it, as it may just after an index was made; not where another server is at it."""
        for _ in range(TRIES):
            try:
                return await self._transact(turn, most)
            except OperationFailure as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if error.code == _WRITE_CONFLICT:
                    break
        return None

    async def _transact(self, turn: int, most: int) -> Note | None:
        """Add and say what was added; None if another server had this turn."""
        async with self._database.transaction() as session:
            before = {**self.notebook, "turn": turn - 1}
            changed = await self._notebooks.update_one(before, {"$set": {"turn": turn}}, session=session)
            if not changed.modified_count:
                return None
            note = await self._add(most, session)
            await self._notebooks.update_one(self.notebook, {"$set": {"note": note}}, session=session)
        return note

    async def _unmark(self, turn: int, note: Note) -> None:
        """Remove the marks of what a turn has added, and its note. Does no harm when that has been done."""
        changes = await asyncio.to_thread(self._unmarking, note)
        await self._write(self._interceptions, changes, ordered=True)
        await self._notebooks.update_one({**self.notebook, "turn": turn}, {"$unset": {"note": ""}})

    async def _write(
        self, collection: Collection, changes: Sequence[Any], session: Session | None = None, *, ordered: bool
    ) -> None:
        for begin in range(0, len(changes), AT_ONCE):
            await collection.bulk_write(changes[begin : begin + AT_ONCE], ordered=ordered, session=session)

    def _unmarking(self, note: Note) -> list[UpdateMany | UpdateOne]:
        unmark = {"$unset": {self.mark: "", self.kept: ""}}
        changes: list[UpdateMany | UpdateOne] = [UpdateMany({"_id": {"$in": note["true"]}}, unmark)]
        for one in note["presumed"]:
            # The true end may have come in between. Then its mark stays.
            marked = {"_id": one["_id"], **self.marked}
            fields = {name: value for name, value in one.items() if name != "_id"}
            changes.append(UpdateOne({**marked, self.kept: None}, {"$set": fields}))
            changes.append(UpdateOne({**marked, **PRESUMED}, {"$unset": {self.mark: ""}}))
        return changes

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        try:
            with database_errors(), pymongo.timeout(BATCH_SECONDS):
                yield
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code in NO_TRANSACTIONS:
                raise NoTransactionsError(
                    "MongoDB has transactions only as a replica set, which may have one member"
                ) from None
            raise DatabaseUnavailableError(f"MongoDB does not {self.verb}: {type(error).__name__}") from error


def _is_slow(error: BaseException | None) -> bool:
    """Whether the database was there, and took too long."""
    return isinstance(error, PyMongoError) and error.timeout and not isinstance(error, ServerSelectionTimeoutError)
