"""The operations of one server on their way to the database: a log on disk, and the tail of it in memory.

Every operation is appended to the log, the spool. The tail, which is written next, is in memory too. What the
database has acknowledged is marked in the spool.

When the database becomes unavailable or memory is full, memory is emptied: its operations are now in the spool alone, and
are read from there. So they are written in the order of the file. As long as the spool alone has any, only operations
that make a document are taken from memory: those need nothing before them (see `storage.recording.operations`).

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
from storage.recording.outbox.spool import Spool, SpoolError
from storage.recording.outbox.tail import BATCH_RECORDS, Tail

_log = logging.getLogger(__name__)


class State(Enum):
    """Where operations go: through memory to the database, into the spool alone, or nowhere."""

    WRITING = auto()
    SPOOLING = auto()
    CLOSED = auto()


_WHY_NOT = {
    State.WRITING: "too much waits to be recorded",
    State.SPOOLING: "the database is unavailable",
    State.CLOSED: "the server is stopping",
}


class Outbox:
    """`add` takes operations; `next_batch` and `read` return them in the order in which they may be written.

    Args:
        spool: Closed with the outbox. What an earlier process left there comes first.
        policy: Whether the spool makes a start durable, or only the database.

    Attributes:
        state: Where operations go.
        trouble: Why the spool accepts no more records, in a phrase; empty if it does.
    """

    def __init__(self, spool: Spool, *, policy: RecordPolicy) -> None:
        self.state = State.WRITING
        self.trouble = ""
        self._spool = spool
        self._tail = Tail()
        self._strict = policy is RecordPolicy.STRICT
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()

    @property
    def queued(self) -> int:
        """How many operations are in memory, those that are being written included."""
        return len(self._tail)

    @property
    def spooled(self) -> int:
        """How many operations are in the spool alone."""
        return self._spool.records

    @property
    def accepts(self) -> bool:
        """Whether a start would be accepted now, as far as is known."""
        if self.state is State.SPOOLING:
            return not self._strict and not self.trouble and self._spool.has_room()
        return self.state is State.WRITING

    def add(self, write: PendingWrite) -> None:
        """Add an operation. If there is no room left, refuse it or log that it is lost."""
        if self.state is State.CLOSED:
            self._drop(write)
        elif self._appends or self._needs_database(write):
            self._add_to_both(write)
        else:
            self._add_to_spool(write)

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
            self._finish(write)

    async def read(self) -> list[bytes]:
        """Read the next batch from the spool, for `acknowledge_read`.

        Raises:
            OSError: It cannot be read.
        """
        return await self._spool.read(BATCH_RECORDS) if self.spooled else []

    def acknowledge_read(self) -> None:
        """Note that the batch from the spool is in the database."""
        self._spool.acknowledge_read()

    def mark_unavailable(self) -> None:
        """From now on, append everything to the spool, synced. The last batches may be in the database or not."""
        self.state = State.SPOOLING
        self._spool.revert_read()
        self._tail.restore_batch()
        self._move_to_spool()
        self._spool.sync()

    def mark_available(self) -> None:
        """From now on, keep operations in memory too."""
        if self.state is State.SPOOLING:
            self.state = State.WRITING
            self.trouble = ""

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
        self._tail.restore_batch()
        self._move_to_spool()
        await self._spool.close()

    # An operation is in memory and spool, in the spool alone, in memory alone, or dropped.

    def _add_to_both(self, write: PendingWrite) -> None:
        if not self.trouble and not self._tail.has_room(write.size):
            self._move_to_spool()
        self._add_to_memory(write, append=True)

    def _move_to_spool(self) -> None:
        """Move operations from memory to the spool. Those that it does not take stay in memory, where they may."""
        for write in self._tail.clear():
            if self._appends and not write.spooled:
                self._append(write)
            if write.spooled:
                self._leave_to_spool(write)
            elif self._appends or self._needs_database(write):
                self._add_to_memory(write)
            else:
                self._add_to_spool(write)

    def _add_to_spool(self, write: PendingWrite) -> None:
        """Append an operation and sync it. A caller that waits for the operation waits for that."""
        try:
            synced = self._spool.append_synced(write.operation.record, urgent=write.urgent)
        except SpoolError as error:
            self._not_spooled(write, str(error))
            return
        synced.add_done_callback(lambda synced: self._spooled(write, synced.exception()))
        self._wake()

    def _spooled(self, write: PendingWrite, error: BaseException | None) -> None:
        if error is not None:
            self._not_spooled(write, str(error))
            return
        self._clear_trouble()
        self._finish(write)

    def _not_spooled(self, write: PendingWrite, reason: str) -> None:
        self._set_trouble(reason)
        if write.waited_for and self.state is not State.WRITING:
            write.refuse(reason)
        else:
            self._add_to_memory(write)

    def _append(self, write: PendingWrite) -> None:
        if self._needs_database(write):
            return
        try:
            position = self._spool.append(write.operation.record, urgent=write.urgent)
        except SpoolError as error:
            self._set_trouble(str(error))
            return
        write.positions = (*write.positions, position)
        write.spooled = True
        if self.trouble:
            self._clear_trouble()

    def _add_to_memory(self, write: PendingWrite, *, append: bool = False) -> None:
        if not self._has_memory_for(write):
            self._drop(write)
            return
        if append:
            self._append(write)
        if write.spooled and write.waited_for:
            write.accept()
            self._tail.add_start(write)
        else:
            self._tail.add(write)
        self._wake()

    def _drop(self, write: PendingWrite) -> None:
        if write.waited_for:
            write.refuse(_WHY_NOT[self.state])
        elif write.urgent:
            _log.error("the %s of interception %s is lost", write.operation.action, write.operation.id)
        self._leave_to_spool(write)  # the start of a lost end may be there

    def _leave_to_spool(self, write: PendingWrite) -> None:
        write.accept()
        for position in write.positions:
            self._spool.mark_unread(position)

    def _finish(self, write: PendingWrite) -> None:
        """The operation is in the database, or synced in the spool."""
        write.accept()
        for position in write.positions:
            self._spool.acknowledge(position)

    def _needs_database(self, write: PendingWrite) -> bool:
        """Whether it must not be in the spool."""
        return self._strict and write.waited_for

    @property
    def _appends(self) -> bool:
        """Whether the spool takes an operation at once, not synced. While it syncs others, those come first."""
        return self.state is State.WRITING and not self._spool.syncing

    def _has_memory_for(self, write: PendingWrite) -> bool:
        if self.state is not State.WRITING and (self.state is State.CLOSED or write.waited_for):
            return False
        size = write.size
        return self._tail.has_room(size) or (write.urgent and self._tail.has_room(size, urgent=True))

    def _set_trouble(self, reason: str) -> None:
        if not self.trouble:
            _log.error("%s", reason)
        self.trouble = reason

    def _clear_trouble(self) -> None:
        if self._spool.has_room():
            self.trouble = ""

    def _wake(self) -> None:
        if not self._filled.is_set():
            self._empty.clear()
            self._filled.set()
