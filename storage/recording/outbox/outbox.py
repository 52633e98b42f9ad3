"""The operations of one server on their way to the database: a log on disk, and what is written next in memory too.

Every operation is appended to the log, the spool. In memory a start waits a moment for its end, so that a short call is one
write. While the database is unavailable or memory is full, operations are in the spool alone. Its files are read in their
order, between batches from memory: late operations do no harm (see `storage.recording.operations`).

Operations that the spool does not take are in memory alone, within bounds. So are starts that wait for the database
(`strict`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Collection
from contextlib import suppress
from enum import Enum, auto
from uuid import UUID

from msgspec import Struct

from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox.spool import Spool, SpoolError, SpoolFile


class RecordingUnavailableError(Exception):
    """A start is not durable, so its call must not be made. The text may be shown to the client.

    `maybe_written` says that it was sent to the database, which did not confirm it: it may be there all the same.
    """

    def __init__(self, reason: str, *, maybe_written: bool = False) -> None:
        super().__init__(f"Recording is unavailable: {reason}.")
        self.maybe_written = maybe_written


class PendingWrite(Struct, eq=False):
    """An operation in memory, until the database has it, or only the spool.

    Attributes:
        result: Set to None when it is durable, or to the reason why it is not; None if nothing waits.
        tried: It was sent to the database before.
        file: Where the spool has it; None if it has not.
        due_at: When a start stops to wait for its end, in seconds of the event loop.
    """

    operation: RecordOperation
    result: asyncio.Future[RecordingUnavailableError | None] | None = None
    tried: bool = False
    file: SpoolFile | None = None
    due_at: float = 0.0

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.operation.record)

    @property
    def waited_for(self) -> bool:
        """Whether a caller still waits."""
        return self.result is not None and not self.result.done()

    @property
    def urgent(self) -> bool:
        """Whether it must be kept: no caller would learn of its loss, and no later operation makes up for it."""
        return self.operation.action is not RecordAction.CHECKPOINT and not self.waited_for

    def accept(self) -> None:
        """Set the result: it is durable."""
        if self.result is not None and not self.result.done():
            self.result.set_result(None)

    def refuse(self, reason: str) -> None:
        """Set the result: it is not durable."""
        if self.result is not None and not self.result.done():
            self.result.set_result(RecordingUnavailableError(reason, maybe_written=self.tried))


TAIL_BYTES = 16 * 1024**2
"""More than this in memory is left to the spool; where that fails, starts are refused and checkpoints left out."""

MEMORY_BYTES = 2 * TAIL_BYTES
"""More than this in memory is lost, each time with an error in the log."""

BATCH_RECORDS = 500
BATCH_BYTES = 8 * 1024**2
"""The bounds of a batch, not counting its last operation."""

START_SECONDS = 0.25
"""How long a start waits for its end. A call is visible as in flight after this time."""

GATHER_SECONDS = 0.25
"""How long operations without a waiter are gathered, unless there is enough for a batch before."""


_log = logging.getLogger(__name__)


class OutboxState(Enum):
    """Where operations go: through memory to the database, into the spool alone, or nowhere."""

    WRITING = auto()
    SPOOLING = auto()
    CLOSED = auto()


class Outbox:
    """`write` and `enqueue` take operations; `next_batch` and the spool return them in the order in which they may be written.

    Args:
        spool: Closed with the outbox. What an earlier process left there comes first.
        strict: Whether the database alone makes a start durable, and not the spool.

    Attributes:
        state: Where operations go.
        spool: What is on disk. Of a file that was read, `finish` notes that the database has it.
        batch: What is being written from memory.
        size: The bytes of all operations in memory, but for those of the batch.
    """

    def __init__(self, spool: Spool, *, strict: bool = False) -> None:
        self.state = OutboxState.WRITING
        self._trouble = ""
        self.spool = spool
        self.size = 0
        self.batch: list[PendingWrite] = []
        self._due: deque[PendingWrite] = deque()
        self._starts: OrderedDict[UUID, PendingWrite] = OrderedDict()
        self._pressing = asyncio.Event()
        self._strict = strict
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()

    @property
    def queued(self) -> int:
        """How many operations are in memory, those that are being written included."""
        return len(self.batch) + len(self._due) + len(self._starts)

    @property
    def healthy(self) -> bool:
        """Whether a start would be accepted now, as far as is known."""
        if self.state is OutboxState.SPOOLING:
            return not self._strict and not self._trouble and self.spool.has_room()
        return self.state is OutboxState.WRITING

    @property
    def trouble(self) -> str:
        """The problem, in a phrase for the operator; empty without one."""
        unavailable = "the database is unavailable" if self.state is OutboxState.SPOOLING else ""
        return "; ".join(filter(None, [unavailable, self._trouble]))

    async def write(self, operation: RecordOperation) -> None:
        """Add an operation and return when it is durable.

        Raises:
            RecordingUnavailableError: It is not.
        """
        result = asyncio.get_running_loop().create_future()
        self.enqueue(operation, result)
        if error := await result:
            raise error

    def enqueue(
        self,
        operation: RecordOperation,
        result: asyncio.Future[RecordingUnavailableError | None] | None = None,
    ) -> None:
        """Add an operation, and set the result when it is durable.

        If there is no room left, it is refused to who waits for the result; otherwise it is logged that it is lost. Of a
        checkpoint nothing is said.
        """
        write = PendingWrite(operation, result)
        if self.state is OutboxState.CLOSED:
            self._drop(write)
            return
        self._append(write)
        if self.state is OutboxState.WRITING:
            self._keep(write)
        else:
            self._put_away(write)

    async def wait_for_writes(self) -> None:
        """Wait until there are operations to write, and then for more, unless a caller waits for one of them."""
        if not self.queued and not self.spool.records:
            self._empty.set()
            self._filled.clear()
            await self._filled.wait()
        if self.state is OutboxState.WRITING and not self.spool.records:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._pressing.wait()

    def next_batch(self) -> list[RecordOperation]:
        """Return the next batch from memory: the same operations again, unless they are acknowledged in between."""
        self._restore_batch()
        now = asyncio.get_running_loop().time()
        while self._starts and next(iter(self._starts.values())).due_at <= now:
            self._due.append(self._starts.popitem(last=False)[1])
        size = 0
        while self._due and len(self.batch) < BATCH_RECORDS and size < BATCH_BYTES:
            write = self._due.popleft()
            write.tried = True
            size += write.size
            self.batch.append(write)
        self.size -= size
        if not self._due:
            self._pressing.clear()
        return [write.operation for write in self.batch]

    def acknowledge(self, refused: Collection[RecordOperation] = ()) -> None:
        """Note that the batch from memory is in the database, except for operations that it refused."""
        batch, self.batch = self.batch, []
        for write in batch:
            if refused and write.operation in refused:
                write.refuse("the database refuses the record")
            write.accept()
            if write.file is not None:
                self.spool.release(write.file)

    def mark_unavailable(self) -> None:
        """From now on, leave everything to the spool. The last batches may be in the database or not."""
        self.state = OutboxState.SPOOLING
        self._move_to_spool()

    def mark_available(self) -> None:
        """From now on, keep operations in memory too."""
        if self.state is OutboxState.SPOOLING:
            self.state = OutboxState.WRITING
            self._trouble = ""

    def hurry(self) -> None:
        """End all waits, for more operations and of starts for their ends."""
        self._pressing.set()
        self._due.extend(self._starts.values())
        self._starts.clear()

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is in the database, at most some seconds; return whether it is."""
        self.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        return self._empty.is_set()

    async def close(self) -> None:
        """Leave everything to the spool and close it. Further operations are dropped."""
        self.state = OutboxState.CLOSED
        self._move_to_spool()
        await self.sync()
        self.spool.close()

    async def sync(self) -> None:
        """Have the disk keep what the spool has, also through a loss of power."""
        try:
            await self.spool.sync()
        except SpoolError as error:
            self._set_trouble(str(error))

    # An operation is in memory and spool, in the spool alone, in memory alone, or dropped.

    def _append(self, write: PendingWrite) -> None:
        """Append an operation to the spool, unless only the database makes it durable. The spool may not take it."""
        if self._strict and write.waited_for:
            return
        try:
            write.file = self.spool.append(write.operation.record, urgent=write.urgent)
        except SpoolError as error:
            self._set_trouble(str(error))
        else:
            if self._trouble and self.spool.has_room():
                self._trouble = ""

    def _keep(self, write: PendingWrite) -> None:
        """Keep an operation in memory. Without room for it there it is left to the spool."""
        if self.size + write.size > (MEMORY_BYTES if write.urgent and write.file is None else TAIL_BYTES):
            self._leave(write)
        else:
            self.size += write.size
            if write.file is not None and write.waited_for:
                write.accept()
                write.due_at = asyncio.get_running_loop().time() + START_SECONDS
                self._starts[write.operation.id] = write
            else:
                self._make_due(write)
        self._wake()

    def _make_due(self, write: PendingWrite) -> None:
        """Have an operation written, and its start before it, if that still waits."""
        if start := self._starts.pop(write.operation.id, None):
            self._due.append(start)
        self._due.append(write)
        if write.waited_for or len(self._due) >= BATCH_RECORDS or self.size >= BATCH_BYTES:
            self._pressing.set()

    def _restore_batch(self) -> None:
        """Put the batch back, to be written again before all else."""
        self._due.extendleft(reversed(self.batch))
        self.size += sum(write.size for write in self.batch)
        self.batch = []

    def _leave(self, write: PendingWrite) -> None:
        """Leave an operation to the spool, if it is there."""
        if write.file is None:
            self._drop(write)
        else:
            write.accept()
            self.spool.leave(write.file)

    def _move_to_spool(self) -> None:
        """Leave everything in memory to the spool. What it does not take stays in memory, where it may."""
        self._restore_batch()
        writes = [*self._due, *self._starts.values()]
        self._due.clear()
        self._starts.clear()
        self.size = 0
        for write in writes:
            if write.file is None:
                self._append(write)
            self._put_away(write)

    def _put_away(self, write: PendingWrite) -> None:
        """Leave an operation to the spool. One that is not there stays in memory, unless a caller waits for it."""
        if write.file is None and not write.waited_for and self.state is not OutboxState.CLOSED:
            self._keep(write)
        else:
            self._leave(write)
            self._wake()

    def _drop(self, write: PendingWrite) -> None:
        if write.waited_for:
            write.refuse(self._why_not)
        elif write.urgent:
            _log.error("the %s of interception %s is lost", write.operation.action, write.operation.id)

    @property
    def _why_not(self) -> str:
        """Why a start is refused, in a phrase."""
        if self.state is OutboxState.CLOSED:
            return "the server is stopping"
        if self.state is OutboxState.WRITING:
            return "too much waits to be recorded"
        return "the database is unavailable" if self._strict else self._trouble

    def _set_trouble(self, reason: str) -> None:
        if not self._trouble:
            _log.error("%s", reason)
        self._trouble = reason

    def _wake(self) -> None:
        if not self._filled.is_set():
            self._empty.clear()
            self._filled.set()
