"""The operations of one server on their way to the database: a log on disk, and the tail of it in memory.

Every operation is appended to the log, the spool. The tail, which is written next, is in memory too.

When the database becomes unavailable or memory is full, memory is emptied: its operations are now in the spool alone. Its
files are read in their order. Until all are, only operations that make a document are taken from memory: those need nothing
before them (see `storage.recording.operations`).

Operations that the spool does not take are in memory alone, within bounds. So are starts that wait for the database
(`strict`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from enum import Enum, auto

from storage.recording.operations import Operation
from storage.recording.outbox.pending_write import PendingWrite, RecordPolicy
from storage.recording.outbox.spool import Spool, SpoolError, SpoolFile
from storage.recording.outbox.tail import Tail

_log = logging.getLogger(__name__)


class State(Enum):
    """Where operations go: through memory to the database, into the spool alone, or nowhere."""

    WRITING = auto()
    SPOOLING = auto()
    CLOSED = auto()


class Outbox:
    """`write` and `enqueue` take operations; `next_batch` and `read` return them in the order in which they may be written.

    Args:
        spool: Closed with the outbox. What an earlier process left there comes first.
        policy: Whether the spool makes a start durable, or only the database.

    Attributes:
        state: Where operations go.
    """

    def __init__(self, spool: Spool, *, policy: RecordPolicy) -> None:
        self.state = State.WRITING
        self._trouble = ""
        self._spool = spool
        self._tail = Tail()
        self._unsynced: list[PendingWrite] = []
        self._syncing: asyncio.Task[None] | None = None
        self._strict = policy is RecordPolicy.STRICT
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()

    @property
    def queued(self) -> int:
        """How many operations are in memory, those that are being written included."""
        return len(self._tail)

    @property
    def spooled(self) -> int:
        """How many operations are in the spool alone, or about to be."""
        return self._spool.records + len(self._unsynced)

    @property
    def healthy(self) -> bool:
        """Whether a start would be accepted now, as far as is known."""
        if self.state is State.SPOOLING:
            return not self._strict and not self._trouble and self._spool.has_room()
        return self.state is State.WRITING

    @property
    def trouble(self) -> str:
        """The problem, in a phrase for the operator; empty without one."""
        unavailable = "the database is unavailable" if self.state is State.SPOOLING else ""
        return "; ".join(filter(None, [unavailable, self._trouble]))

    async def write(self, operation: Operation) -> None:
        """Add an operation and return when it is durable.

        Raises:
            RecordingUnavailableError: It is not.
        """
        result = asyncio.get_running_loop().create_future()
        self.add(PendingWrite(operation, result))
        if error := await result:
            raise error

    def enqueue(self, operation: Operation, *, optional: bool = False) -> None:
        """Add an operation. An optional one is dropped if there is too much else to write."""
        self.add(PendingWrite(operation, optional=optional))

    def add(self, write: PendingWrite) -> None:
        """Add an operation. If there is no room left, refuse it or log that it is lost."""
        if self.state is State.WRITING:
            self._append(write)
            self._keep(write)
        elif self.state is State.SPOOLING:
            self._append(write)
            self._leave_synced(write)
        else:
            self._drop(write)

    async def wait_for_writes(self) -> None:
        """Wait until there are operations to write, and then for more, unless a caller waits for one of them."""
        if not self.queued and not self.spooled:
            self._empty.set()
            self._filled.clear()
            await self._filled.wait()
        if self.state is State.WRITING and not self.spooled:
            await self._tail.gather()

    def next_batch(self) -> list[Operation]:
        """Return the next batch from memory: the same operations again, unless they are acknowledged in between."""
        self._tail.restore_batch()
        return [write.operation for write in self._tail.next_batch(only_makers=self.spooled > 0)]

    def acknowledge(self, refused: Collection[Operation] = ()) -> None:
        """Note that the batch from memory is in the database, except for operations that it refused."""
        for write in self._tail.finish_batch():
            if refused and write.operation in refused:
                write.refuse("the database refuses the record")
            write.accept()
            if write.file is not None:
                self._spool.release(write.file)

    async def read(self) -> tuple[SpoolFile, list[bytes]] | None:
        """Read the oldest file with operations that are in the spool alone, for `acknowledge_file`; None without one.

        Raises:
            OSError: It cannot be read.
        """
        found = await self._spool.read()
        if found is None and self._syncing is not None:
            await asyncio.wait([self._syncing])
            found = await self._spool.read()
        return found

    def acknowledge_file(self, file: SpoolFile) -> None:
        """Note that all that was read of a file is in the database."""
        self._spool.finish(file)

    def mark_unavailable(self) -> None:
        """From now on, append everything to the spool, synced. The last batches may be in the database or not."""
        self.state = State.SPOOLING
        self._move_to_spool()

    def mark_available(self) -> None:
        """From now on, keep operations in memory too."""
        if self.state is State.SPOOLING:
            self.state = State.WRITING
            self._trouble = ""

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is in the database, at most some seconds; return whether it is."""
        self.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        return self._empty.is_set()

    def hurry(self) -> None:
        """End all waits, for more operations and of starts for their ends."""
        self._tail.hurry()

    async def close(self) -> None:
        """Leave everything to the spool and close it. Further operations are dropped."""
        self.state = State.CLOSED
        self._move_to_spool()
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
        self._spool.close()

    # An operation is in memory and spool, in the spool alone, in memory alone, or dropped.

    def _append(self, write: PendingWrite) -> None:
        """Append an operation to the spool, unless only the database makes it durable. The spool may not take it."""
        if self._strict and write.waited_for:
            return
        try:
            write.file = self._spool.append(write.operation.record, urgent=write.urgent)
        except SpoolError as error:
            self._set_trouble(str(error))
        else:
            if self._trouble and self.state is State.WRITING:
                self._clear_trouble()

    def _keep(self, write: PendingWrite) -> None:
        """Keep an operation in memory. Without room for it there it is left to the spool."""
        if not self._trouble and not self._tail.has_room(write.size):
            self._empty_memory()
        if not self._tail.has_room(write.size, urgent=write.urgent):
            self._leave(write)
        elif write.file is not None and write.waited_for:
            write.accept()
            self._tail.add_start(write)
        else:
            self._tail.add(write)
        self._wake()

    def _empty_memory(self) -> None:
        for write in self._tail.clear():
            if write.file is None:
                self._tail.add(write)
            else:
                self._leave(write)

    def _leave(self, write: PendingWrite) -> None:
        """Leave an operation to the spool, if it is there."""
        if write.file is None:
            self._drop(write)
        else:
            write.accept()
            self._spool.leave(write.file)

    def _move_to_spool(self) -> None:
        """Leave everything in memory to the spool and sync it. What it does not take stays in memory, where it may."""
        self._tail.restore_batch()
        for write in self._tail.clear():
            if write.file is None:
                self._append(write)
            self._leave_synced(write)

    def _leave_synced(self, write: PendingWrite) -> None:
        """Sync an operation, then leave it to the spool. A caller that waits for it waits until then."""
        if write.file is not None:
            self._unsynced.append(write)
            self._sync()
            self._wake()
        elif write.waited_for or self.state is State.CLOSED:
            self._drop(write)
        else:
            self._keep(write)

    def _sync(self) -> None:
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync_now())  # noqa: TID251 - whoever adds waits for what it syncs

    async def _sync_now(self) -> None:
        writes = list(self._unsynced)
        done = self._leave
        try:
            await self._spool.sync()
        except SpoolError as error:
            self._set_trouble(str(error))
            done = self._take_back
        else:
            self._clear_trouble()
        del self._unsynced[: len(writes)]
        for write in writes:
            done(write)
        self._syncing = None
        if self._unsynced:
            self._sync()

    def _take_back(self, write: PendingWrite) -> None:
        """The disk may not have an operation: refuse it to its caller, or keep it in memory alone."""
        is_refused, file = write.waited_for, write.file
        write.refuse(self._trouble)
        if file is None or self.state is State.CLOSED:
            self._leave(write)
            return
        write.file = None
        if not is_refused:
            self._keep(write)
        self._spool.release(file)

    def _drop(self, write: PendingWrite) -> None:
        if write.waited_for:
            write.refuse(self._why_not)
        elif write.urgent:
            _log.error("the %s of interception %s is lost", write.operation.action, write.operation.id)

    @property
    def _why_not(self) -> str:
        """Why a start is refused, in a phrase."""
        if self.state is State.CLOSED:
            return "the server is stopping"
        if self.state is State.WRITING:
            return "too much waits to be recorded"
        return "the database is unavailable" if self._strict else self._trouble

    def _set_trouble(self, reason: str) -> None:
        if not self._trouble:
            _log.error("%s", reason)
        self._trouble = reason

    def _clear_trouble(self) -> None:
        if self._spool.has_room():
            self._trouble = ""

    def _wake(self) -> None:
        if not self._filled.is_set():
            self._empty.clear()
            self._filled.set()
