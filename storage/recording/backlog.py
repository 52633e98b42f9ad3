"""Where operations wait for the database: in a queue in memory, or in the journal.

The queue is for a database that answers. When it does not, or the queue grows too long, operations go to the journal.

What is in memory is in the write-ahead log as well, should this process die. So a start that may be in the journal need
not wait for a database that answers either: once the log has it, it waits a moment in memory for its end, as a call that
is soon over is written at once.

Only the start of an interception must be written before all else on it (see `storage.recording.operations`). So what follows a
start that is in the journal goes there too, and where it does not fit it is set aside until the journal has moved on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from uuid import UUID

from storage.recording.entry import Entry
from storage.recording.fresh_starts import FreshStarts
from storage.recording.journal import Journal, JournalError
from storage.recording.operations import Action
from storage.recording.write_ahead_log import WriteAheadLog

BATCH_RECORDS = 500
BATCH_BYTES = 8 * 1024**2
"""What is taken from the queue at once, not counting the last operation."""

GATHER_SECONDS = 0.25
ENOUGH_RECORDS = 100
"""How long what nobody waits for waits for more, to be written together, and how much more is not waited for."""

SPILL_BYTES = 16 * 1024**2
"""More than this in memory goes to the journal; where it cannot, starts are refused and optional operations left out."""

MEMORY_BYTES = 2 * SPILL_BYTES
"""More than this in memory is lost, each time with an error in the log."""

_log = logging.getLogger(__name__)


class RecordPolicy(StrEnum):
    """What becomes of a start while the database is away: it is refused, or the journal has it."""

    STRICT = "strict"
    SPOOL = "spool"


class Backlog:
    """The operations of one server that are not in the database yet.

    Args:
        policy: Whether the journal may have what is waited for.
        journal: None keeps everything in memory.

    Attributes:
        away: The database does not answer. To be set by whoever asks it.
        trouble: Why the journal takes no more, in a phrase; empty while it does.
        work: Set while there may be something to write; `rest` says that there is not.
        idle: The opposite.
    """

    def __init__(self, *, policy: RecordPolicy, journal: Journal | None) -> None:
        self.away = False
        self.trouble = ""
        self.work = asyncio.Event()
        self.idle = asyncio.Event()
        self._pressing = asyncio.Event()
        self._journal = journal
        self._spools_all = journal is not None and policy is RecordPolicy.SPOOL
        self._ahead = None if journal is None else WriteAheadLog(journal.folder)
        self._ahead_fails = False
        self._closed = False
        self._queue: deque[Entry] = deque()
        self._fresh = FreshStarts(self._queue_up)
        self._aside: list[Entry] = []
        self._bytes = 0
        self._starts_in_journal: set[UUID] = set()

    @property
    def queued(self) -> int:
        """How many operations wait in memory."""
        return len(self._queue) + len(self._aside) + len(self._fresh)

    @property
    def due(self) -> bool:
        """Whether something is to be written now."""
        return bool(self._queue) or self.spooled > 0

    @property
    def spooled(self) -> int:
        """How many operations wait in the journal."""
        return 0 if self._journal is None else self._journal.records

    @property
    def accepts(self) -> bool:
        """Whether what is waited for would be taken now, as far as is known."""
        if self.away and self._journal is not None:
            return self._spools_all and not self._closed and not self.trouble and self._journal.has_room()
        return not self.away and not self._closed

    def put(self, entry: Entry) -> None:
        """Take an operation, or refuse or lose it if there is no place left for it."""
        if self.away or self._closed or entry.operation.id in self._starts_in_journal:
            self._spool(entry)
            return
        record = entry.operation.record
        start = self._fresh.pop(entry.operation.id)
        if start is not None and entry.operation.action is Action.END:
            self._bytes -= start.size
            start.operation = start.operation.ended_by(entry.operation)
            entry = start
        elif start is not None:
            self._queue_up(start)
        if self._journal is not None and not self.trouble and self._bytes + entry.size > SPILL_BYTES:
            self.spill()
        self._hold(entry, record)

    async def gather(self) -> None:
        """Wait a moment for more, unless someone waits for what is queued."""
        if self._queue and not self.spooled:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._pressing.wait()

    def take(self) -> list[Entry]:
        """Take the next batch from the queue."""
        batch = list(self._taken())
        if not self._queue:
            self._pressing.clear()
        return batch

    def put_back(self, batch: list[Entry]) -> None:
        """Return a batch to the front of the queue: it may be written, or not."""
        self._queue.extendleft(reversed(batch))
        self._bytes += sum(entry.size for entry in batch)

    def accept(self, entry: Entry) -> None:
        """Take note that an entry is in the database, or in the journal."""
        entry.accept()
        self._forget(entry)

    def refuse(self, entry: Entry, reason: str) -> None:
        """Take note that an entry will never be."""
        entry.refuse(reason)
        self._forget(entry)

    def hurry(self) -> None:
        """Let nothing wait for more any longer, nor a start for its end."""
        self._pressing.set()
        for entry in self._fresh.take():
            self._queue_up(entry)

    def spill(self) -> None:
        """Send what waits in memory to the journal; decide anew on what may not go there."""
        entries = [*self._aside, *self._queue, *self._fresh.take()]
        self._aside = []
        self._queue.clear()
        self._bytes = 0
        for entry in entries:
            self._spool(entry)

    async def read_journal(self) -> list[bytes]:
        """Return the next batch from the journal; the same one until it is discarded."""
        return await self._journal.read(BATCH_RECORDS) if self._journal is not None and self._journal.records else []

    async def discard_read(self) -> None:
        """Remove from the journal what was read last, as it is in the database now."""
        if self._journal is None:
            return
        await self._journal.discard()
        if not self._journal.records:
            self._starts_in_journal.clear()
            if not self.away:  # else nothing was written, and the journal is empty because it cannot be
                self.trouble = ""
        aside, self._aside = self._aside, []
        self._bytes -= sum(entry.size for entry in aside)
        for entry in aside:
            self.put(entry)

    def rest(self) -> None:
        """Take note that nothing waits any more."""
        self.work.clear()
        if not self._fresh:
            self.idle.set()

    async def close(self) -> None:
        """Send everything to the journal and close it. Nothing is taken any more."""
        self._closed = True
        self.spill()
        if self._journal is not None:
            await self._journal.close()
        if self._ahead is not None:
            self._ahead.close()

    def _taken(self) -> Iterator[Entry]:
        size = count = 0
        while self._queue and count < BATCH_RECORDS and size < BATCH_BYTES:
            entry = self._queue.popleft()
            entry.tried = True
            self._bytes -= entry.size
            size += entry.size
            count += 1
            yield entry

    def _spool(self, entry: Entry) -> None:
        if self._journal is None or (entry.waited_for and not self._spools_all):
            self._hold(entry, entry.operation.record)
            return
        try:
            written = self._journal.append(entry.operation.record, urgent=entry.urgent)
        except JournalError as error:
            self._not_spooled(entry, str(error))
            return
        if entry.operation.action is Action.START:
            self._starts_in_journal.add(entry.operation.id)
        written.add_done_callback(lambda written: self._spooled(entry, written.exception()))
        self._wake()

    def _spooled(self, entry: Entry, error: BaseException | None) -> None:
        if error is not None:
            self._not_spooled(entry, str(error))
            return
        self.trouble = ""
        self.accept(entry)
        if entry.operation.action is Action.END:
            self._starts_in_journal.discard(entry.operation.id)

    def _not_spooled(self, entry: Entry, reason: str) -> None:
        if not self.trouble:
            _log.error("%s", reason)
        self.trouble = reason
        if entry.waited_for:
            self.refuse(entry, reason)
        else:
            self._hold(entry, entry.operation.record)

    def _hold(self, entry: Entry, record: bytes) -> None:
        """Keep an entry in memory, and what the log has not got of it in the log."""
        size = self._bytes + entry.size
        fits = size <= SPILL_BYTES or (size <= MEMORY_BYTES and entry.urgent)
        if fits and not self._closed and not (entry.waited_for and self.away):
            self._bytes = size
            logged = self._write_ahead(entry, record)
            if self.spooled and entry.operation.id in self._starts_in_journal:
                self._aside.append(entry)
                self._wake()
            elif logged and entry.waited_for:
                entry.accept()
                self._fresh.add(entry)
                self.idle.clear()
            else:
                self._queue_up(entry)
        elif entry.waited_for:
            self.refuse(entry, self._why_not())
        elif entry.urgent:
            _log.error("the %s of interception %s is lost", entry.operation.action, entry.operation.id)

    def _write_ahead(self, entry: Entry, record: bytes) -> bool:
        """Put the record of an entry into the log, if it may be there and can be; say whether it is."""
        if self._ahead is None or entry.optional or (entry.waited_for and not self._spools_all):
            return False
        try:
            entry.ahead += (self._ahead.add(record),)
        except OSError as error:
            if not self._ahead_fails:
                _log.error(
                    "records wait for the database in memory alone: the spool cannot be written: %s", error.strerror
                )
            self._ahead_fails = True
            return False
        self._ahead_fails = False
        return True

    def _forget(self, entry: Entry) -> None:
        files, entry.ahead = entry.ahead, ()
        if self._ahead is not None:
            for file in files:
                self._ahead.remove(file)

    def _queue_up(self, entry: Entry) -> None:
        self._queue.append(entry)
        if entry.waited_for or len(self._queue) >= ENOUGH_RECORDS:
            self._pressing.set()
        self._wake()

    def _wake(self) -> None:
        self.idle.clear()
        self.work.set()

    def _why_not(self) -> str:
        if self._closed:
            return "the server is stopping"
        return "the database is away" if self.away else "too much waits to be recorded"
