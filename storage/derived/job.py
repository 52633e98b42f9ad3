"""Exactly-once jobs: each ended interception is added to something else once, whichever server stops and whenever.

1. An end marks its document.
2. A run reads marked documents, adds them, and writes into the job state, a document of its own, which ones these were (the
   note). All of that is one transaction: either it has happened or it has not.
3. Then the run removes the marks, and last the note. A run that finds a note of an earlier one first finishes that one's work.

So a run may stop anywhere, and remove marks twice, or late: no true end is marked again meanwhile (`storage.search` differs).

The job state is the lock as well: of several servers one gets the run, and the others try again at their next. So what the
database cannot add may be read, added here and written back. The marks are not part of the transaction: there MongoDB takes
six times as long for them (240 instead of 40 us), and others write to the same documents.

A presumed end is added with what it then says, and its document keeps that. When the true end comes, it marks the document
again; then what was kept is subtracted and the true end is added.

An interception that cannot be added for what is in it keeps no other one waiting: a batch with it fails, and is halved until
it stands alone. This process then leaves it out, and says so once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar

from bson.binary import Binary
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import OperationFailure

from intercept.ids import format_id
from storage.mongo.clocks import Pause
from storage.mongo.database import (
    Collection,
    Database,
    DatabaseUnavailableError,
    Session,
    with_plain_ids,
)
from storage.mongo.errors import is_of_content, is_slow
from storage.mongo.indexes import Keys
from storage.recording.operations import PRESUMED

AT_ONCE = 100
"""Most documents that are read or written with one command: while they are decoded or encoded, nothing else runs."""

BATCH_SECONDS = 10.0
"""Bound of one run, in seconds. MongoDB ends a transaction after 60 s."""

GROWTH_STEPS = 20
"""A batch that was too slow is halved. Each one that succeeds adds this part of a whole batch to the next."""

MAX_ASIDE = 20
"""Interceptions that a process leaves out. If it cannot add more than that, something else is wrong, and the job fails."""

TRIES = 3
"""Tries of a transaction in one run."""

_WRITE_CONFLICT = 112

T = TypeVar("T")

Pending: TypeAlias = dict[str, Any]
"""The note of a run: `true` has the ids of what was added for good, `presumed` the others, with what they keep."""


class TooSlowError(DatabaseUnavailableError):
    """A batch took longer than `BATCH_SECONDS`. The next one is smaller."""


class _TakenError(Exception):
    """Another server has the run."""


class _ContentError(Exception):
    """A batch cannot be added for what is in it. `id` is that of the interception if it is the only one."""

    def __init__(self, id_: Binary | None, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.id = id_
        self.error = error


class ExactlyOnceJob(ABC):
    """Runs a task again and again; a subclass is the task.

    Args:
        job_states: The collection of the job state.
        busy: Whether calls are running, which have priority.

    Attributes:
        log: Where a failure is logged.
        verb: What MongoDB fails to do, for the message.
        waiting: What waits while MongoDB takes too long.
        job_state: The filter of the job state.
        mark: The field that marks a document as not added yet.
        kept: The field that keeps what a presumed end has added.
        marked: The filter of marked documents that may be added.
        index: The index of the marked documents, the one that waits longest first.
        batch: Most interceptions of one transaction.
        seconds: The pause between two runs.
        behind_seconds: The pause while more waits than one run adds and the server is busy. If it is not busy, the
            next run begins at once.
    """

    log: ClassVar[logging.Logger]
    verb: ClassVar[str]
    waiting: ClassVar[str]
    job_state: ClassVar[Mapping[str, Any]]
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
        job_states: Collection,
        *,
        pause: Pause,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._interceptions = with_plain_ids(database.interceptions)
        self._job_states = with_plain_ids(job_states)
        self._pause = pause
        self._busy = busy
        self._batch_limit = self.batch
        self._is_slow = False
        self._aside: list[Binary] = []

    @property
    def _waiting(self) -> dict[str, Any]:
        """The filter of marked documents that may be added, without those that are left out."""
        return {**self.marked, "_id": {"$nin": self._aside}} if self._aside else dict(self.marked)

    @abstractmethod
    async def _add(self, limit: int, session: Session) -> Pending:
        """Add some of the marked documents, the oldest first; return which ones, see `Pending`."""

    async def run(self) -> None:
        """Run again and again until cancelled.

        Raises:
            DatabaseRefusalError: The database does not do it.
        """
        while True:
            is_all = True
            with self._database.health.tolerate(self.waiting):
                is_all = await self._run_in_time()
            behind = self.behind_seconds if self._busy() else 0
            await self._pause(self.seconds if is_all else behind)
            await self._database.health.wait_until_back()

    async def _run_in_time(self) -> bool:
        """Run once; say whether nothing is left. A run that is too slow is logged, the first of several in a row."""
        try:
            _, is_all = await self._run_once()
        except TooSlowError as error:
            if not self._is_slow:
                self.log.warning("%s", error)
            self._is_slow = True
            return False
        self._is_slow = False
        return is_all

    async def add_pending(self, on_added: Callable[[int], None] = lambda _: None) -> int:
        """Add the marked documents; return the number of added interceptions, None if another server is doing it.

        Args:
            on_added: Called after each run with the number that it added.

        Raises:
            DatabaseUnavailableError: Not all was added.
        """
        added, is_all = 0, False
        while not is_all:
            with contextlib.suppress(TooSlowError):
                number, is_all = await self._run_once()
                added += number
                on_added(number)
        return added

    async def _run_once(self) -> tuple[int, bool]:
        """Run once; return how many were added, and whether nothing more waits.

        Raises:
            TooSlowError: Nothing was added, and fewer will be tried next.
            DatabaseUnavailableError: It takes too long even for a single one, or the database is unavailable.
        """
        limit = self._batch_limit
        try:
            number = await self._in_time(self._run_batch)
        except _ContentError as error:
            self._leave_out(error)
            return 0, False
        return number, number < limit

    def _leave_out(self, failed: _ContentError) -> None:
        """Leave out what stood alone in a failed batch; what stood with others is tried again with fewer."""
        if failed.id is None:
            return
        if len(self._aside) == MAX_ASIDE:
            raise failed.error
        self._aside.append(failed.id)
        call = format_id(failed.id.as_uuid())
        self.log.error("cannot %s the call %s, which is left out until a restart: %s", self.verb, call, failed)

    async def _in_time(self, work: Callable[[int], Awaitable[T]]) -> T:
        """Do work of about so many interceptions within `BATCH_SECONDS`; what is raised is in `_run_once`."""
        limit = self._batch_limit
        try:
            # It is not the database's fault if what is done here takes long, or so many changes do.
            async with self._database.within(BATCH_SECONDS, self.verb, may_be_slow=True):
                return await work(limit)
        except DatabaseUnavailableError as error:
            is_lost = not self._database.health.available
            if limit == self._batch_limit or is_lost or not is_slow(error.__cause__):
                raise
            text = f"a batch of {limit} took longer than {BATCH_SECONDS:g} s: the next one has {self._batch_limit}"
            raise TooSlowError(text) from error

    async def _run_batch(self, limit: int) -> int:
        if await self._interceptions.find_one(self._waiting, {"_id": True}, hint=self.index) is None:
            # Re-costing waits for what a run left that was killed.
            if left := await self._job_states.find_one({**self.job_state, "note": {"$exists": True}}):
                await self._unmark(left["turn"], left["note"])
            return 0
        # Fewer next time, should this not succeed.
        self._batch_limit = max(limit // 2, 1)
        run = await self._next_run()
        pending = await self._try_to_transact(run, partial(self._add_noted, limit))
        self._batch_limit = min(limit + max(self.batch // GROWTH_STEPS, 1), self.batch)
        if pending is None:  # another server has this run
            return 0
        await self._unmark(run, pending)
        return self._number_of(pending)

    async def _next_run(self) -> int:
        """Finish the run before, if it left work; return the number of the next one."""
        job_state = await self._job_states.find_one(self.job_state)
        if job_state is None:
            # Not in the transaction, where it would fail if another server did the same.
            await self._job_states.update_one(self.job_state, {"$setOnInsert": {"turn": 0}}, upsert=True)
            return 1
        run: int = job_state["turn"]
        if "note" in job_state:
            await self._unmark(run, job_state["note"])
        return run + 1

    async def _try_to_transact(self, run: int, change: Callable[[Session], Awaitable[T]]) -> T | None:
        """Do a change as this run, in one transaction; return what it returns, None if another server has this run.

        Repeat where MongoDB requests it, as it may just after an index was made; not where another server has the run.

        Raises:
            TooSlowError: It is too much for MongoDB's cache.
        """
        for _ in range(TRIES):
            try:
                return await self._transact(run, change)
            except _TakenError:
                break
            except OperationFailure as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if error.code == _WRITE_CONFLICT:
                    # Nobody else has this run: MongoDB gives up what fills its cache with changes, and calls it so.
                    text = f"a batch was too much for MongoDB's cache: the next one has {self._batch_limit}"
                    raise TooSlowError(text) from error
        return None

    async def _transact(self, run: int, change: Callable[[Session], Awaitable[T]]) -> T | None:
        async with self._database.transaction() as session:
            before = {**self.job_state, "turn": run - 1}
            try:
                changed = await self._job_states.update_one(before, {"$set": {"turn": run}}, session=session)
            except OperationFailure as error:
                if error.code == _WRITE_CONFLICT:
                    raise _TakenError from error
                raise
            return await change(session) if changed.modified_count else None

    async def _add_noted(self, limit: int, session: Session) -> Pending:
        first = {"hint": self.index, "session": session}
        only = await self._interceptions.find_one(self._waiting, {"_id": True}, **first) if limit == 1 else None
        try:
            pending = await self._add(limit, session)
        except Exception as error:
            if not is_of_content(error):
                raise
            raise _ContentError(only["_id"] if only else None, error) from error
        await self._job_states.update_one(self.job_state, {"$set": {"note": pending}}, session=session)
        return pending

    async def _unmark(self, run: int, pending: Pending) -> None:
        """Remove the marks of what a run has added, and its note. Again is harmless."""
        changes = await asyncio.to_thread(self._unmarking, pending)
        await self._write(self._interceptions, changes, ordered=True)
        await self._job_states.update_one({**self.job_state, "turn": run}, {"$unset": {"note": ""}})

    async def _write(
        self, collection: Collection, changes: Sequence[Any], session: Session | None = None, *, ordered: bool
    ) -> None:
        for begin in range(0, len(changes), AT_ONCE):
            await collection.bulk_write(changes[begin : begin + AT_ONCE], ordered=ordered, session=session)

    def _number_of(self, pending: Pending) -> int:
        """How many interceptions a run has added."""
        return sum(map(len, pending.values()))

    def _unmarking(self, pending: Pending) -> list[UpdateMany | UpdateOne]:
        unmark = {"$unset": {self.mark: "", self.kept: ""}}
        changes: list[UpdateMany | UpdateOne] = [UpdateMany({"_id": {"$in": pending["true"]}}, unmark)]
        for one in pending["presumed"]:
            # The true end may have come in between. Then its mark stays.
            marked = {"_id": one["_id"], **self.marked}
            fields = {name: value for name, value in one.items() if name != "_id"}
            changes.append(UpdateOne({**marked, self.kept: None}, {"$set": fields}))
            changes.append(UpdateOne({**marked, **PRESUMED}, {"$unset": {self.mark: ""}}))
        return changes
