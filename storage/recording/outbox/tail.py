"""The operations in memory, which are written to the database next.

A start waits a moment for its end, so that a short call is one write, see `write_batch`. Everything else is due. A batch
stays here while it is written.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from uuid import UUID

from storage.recording.outbox.pending_write import PendingWrite

TAIL_BYTES = 16 * 1024**2
"""More than this in memory is left to the spool; where that fails, starts are refused and optional operations left out."""

MEMORY_BYTES = 2 * TAIL_BYTES
"""More than this in memory is lost, each time with an error in the log."""

BATCH_RECORDS = 500
BATCH_BYTES = 8 * 1024**2
"""The bounds of a batch, not counting its last operation."""

START_SECONDS = 0.25
"""How long a start waits for its end. A call is visible as in flight after this time."""

GATHER_SECONDS = 0.25
ENOUGH_RECORDS = 100
"""How long operations without a waiter are gathered into a batch, and the number that ends the wait."""


class Tail:
    """Pending writes, in the order in which they may be written.

    Attributes:
        size: The bytes of all of them, but for the batch that is being written.
        batch: The writes that are being written.
    """

    def __init__(self) -> None:
        self.size = 0
        self.batch: list[PendingWrite] = []
        self._starts: OrderedDict[UUID, PendingWrite] = OrderedDict()
        self._due: deque[PendingWrite] = deque()
        self._pressing = asyncio.Event()

    def __len__(self) -> int:
        """How many there are, those being written included."""
        return len(self.batch) + len(self._due) + len(self._starts)

    def has_room(self, size: int, *, urgent: bool = False) -> bool:
        """Whether there is room for this many more bytes."""
        return self.size + size <= (MEMORY_BYTES if urgent else TAIL_BYTES)

    def add_start(self, write: PendingWrite) -> None:
        """Add a start, which waits `START_SECONDS` for its end."""
        write.due_at = asyncio.get_running_loop().time() + START_SECONDS
        self._starts[write.operation.id] = write
        self.size += write.size

    def add(self, write: PendingWrite) -> None:
        """Add an operation that is due, and its start before it, if that still waits."""
        start = self._starts.pop(write.operation.id, None)
        if start is not None:
            self.size -= start.size
            self._make_due(start)
        self._make_due(write)

    async def gather(self) -> None:
        """Wait a moment for more, unless a caller waits for an operation that is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._pressing.wait()

    def next_batch(self, *, only_makers: bool) -> list[PendingWrite]:
        """Move the next operations to `batch`: all kinds, or only those that make a document."""
        now = asyncio.get_running_loop().time()
        while self._starts and next(iter(self._starts.values())).due_at <= now:
            self._due.append(self._starts.popitem(last=False)[1])
        passed: list[PendingWrite] = []
        size = 0
        while self._due and len(self.batch) < BATCH_RECORDS and size < BATCH_BYTES:
            write = self._due.popleft()
            if only_makers and not write.operation.action.makes:
                passed.append(write)
                continue
            write.tried = True
            size += write.size
            self.batch.append(write)
        self.size -= size
        if not self._due:
            self._pressing.clear()
        self._due.extendleft(reversed(passed))
        return self.batch

    def finish_batch(self) -> list[PendingWrite]:
        """Remove and return the batch, which is in the database."""
        batch, self.batch = self.batch, []
        return batch

    def restore_batch(self) -> None:
        """Put the batch back, to be written again before all else."""
        self._due.extendleft(reversed(self.batch))
        self.size += sum(write.size for write in self.batch)
        self.batch = []

    def clear(self) -> list[PendingWrite]:
        """Remove everything but the batch, and return it in its order."""
        writes = [*self._due, *self._starts.values()]
        self._due.clear()
        self._starts.clear()
        self.size = 0
        return writes

    def hurry(self) -> None:
        """End all waits, for more operations and of starts for their ends."""
        self._pressing.set()
        self._due.extend(self._starts.values())
        self._starts.clear()

    def _make_due(self, write: PendingWrite) -> None:
        self._due.append(write)
        self.size += write.size
        if write.waited_for or len(self._due) >= ENOUGH_RECORDS:
            self._pressing.set()
