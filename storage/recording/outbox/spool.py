"""The log of one process on local disk: every record on its way to the database is appended to it, in their order.

A record is opaque bytes. It is appended in one of two ways.

- `append` writes it, and does not sync. From then on the record is the operating system's, which keeps it when the
  process dies, however it does, and loses the last seconds when the machine loses its power. Whoever appended it has it
  in memory too, and says with `acknowledge` that the database has it, or with `mark_unread` that it has to be read again.
- `append_synced` has it on the disk before its future is done. It is read again, oldest first.

The reader of the records must be idempotent: after a crash it reads some that the database has.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from storage.recording.outbox.segment import FRAME_BYTES, Boundary, frame
from storage.recording.outbox.segments import Position, Segments

MAX_BYTES = 1024**3
SEGMENT_BYTES = 4 * 1024**2
URGENT_SHARE = 8
"""One part in this many of `MAX_BYTES` is for urgent records only."""

RESERVE_BYTES = 32 * 1024**2
"""What urgent records may take beyond `MAX_BYTES`."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class SpoolError(Exception):
    """The spool does not take a record."""


class SpoolFullError(SpoolError):
    """The record does not fit below the spool's bound."""


class SpoolWriteError(SpoolError):
    """The disk did not take the record."""


class Spool:
    """An open log, for one event loop and one reader.

    Syncs and reads, which may take long, are done by a thread. Records that are appended meanwhile are synced together.

    Args:
        folder: Where the files are; made if missing. Locked, so that no two processes share it.
        max_bytes: What all files together may take.
        reserve_bytes: What they may take beyond it for urgent records.
        segment_bytes: At this size a file is closed and the next one begun.
        sync: Makes what was written to a file descriptor durable.

    Raises:
        SpoolLockedError: Another process has the folder.
        OSError: The folder cannot be made, read or locked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_not_urgent = max_bytes - max_bytes // URGENT_SHARE
        self._max_urgent = max_bytes + reserve_bytes
        self._segments = Segments(folder, segment_bytes=segment_bytes, sync=sync)
        self._to_sync: list[tuple[bytes, asyncio.Future[None]]] = []
        self._to_sync_bytes = 0
        self._syncing: asyncio.Task[None] | None = None
        self._read: tuple[Position, int] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    @property
    def records(self) -> int:
        """How many records are in the log alone, durably already or about to be, until the database has them."""
        read = 0 if self._read is None else self._read[1]
        return self._segments.unread + len(self._to_sync) + read

    @property
    def size(self) -> int:
        """The bytes of all records in the files, or about to be."""
        return self._segments.size + self._to_sync_bytes

    @property
    def syncing(self) -> bool:
        """Whether the thread has records to write. Until it has done so `append` must not overtake it."""
        return self._syncing is not None

    def has_room(self, size: int = 0) -> bool:
        """Whether a record of `size` bytes that is not urgent would be accepted now."""
        return self.size + FRAME_BYTES + size <= self._max_not_urgent

    def append(self, record: bytes, *, urgent: bool = False) -> Position:
        """Write a record at the end, now and without a sync. To be called while nothing is `syncing`.

        An urgent one may use all of the room. Returned is where it is, for `acknowledge` or `mark_unread`.

        Raises:
            SpoolFullError: It does not fit.
            SpoolWriteError: The disk does not take it.
            SpoolError: The spool is closed.
        """
        data = self._framed(record, urgent=urgent)
        try:
            return self._segments.append(data)
        except OSError as error:
            raise _write_error(error) from error

    def append_synced(self, record: bytes, *, urgent: bool = False) -> asyncio.Future[None]:
        """Add a record at the end, to be read from there.

        An urgent one may use all of the room. The future is done when the record is durable, or fails with
        `SpoolWriteError`.

        Raises:
            SpoolFullError: It does not fit.
            SpoolError: The spool is closed.
        """
        data = self._framed(record, urgent=urgent)
        written = asyncio.get_running_loop().create_future()
        self._to_sync.append((data, written))
        self._to_sync_bytes += len(data)
        self.sync()
        return written

    def sync(self) -> None:
        """Begin to sync everything that was appended."""
        if self._syncing is None and (self._to_sync or not self._segments.synced):
            self._syncing = asyncio.create_task(self._sync_all())  # noqa: TID251 - whoever appends waits for what it writes

    async def synced(self) -> None:
        """Wait while anything is `syncing`."""
        if self._syncing is not None:
            await asyncio.wait([self._syncing])

    def acknowledge(self, position: Position) -> None:
        """Note that a record that was appended is in the database."""
        self._segments.release(position.segment)

    def mark_unread(self, position: Position) -> None:
        """Note that a record that was appended, and all after it, are no longer in memory: they have to be read."""
        position.segment.mark_unread(Boundary(position.offset, position.records))
        self._segments.release(position.segment)

    async def read(self, limit: int) -> list[bytes]:
        """Read the oldest records that are in the log alone, at most `limit`: the same again until `acknowledge_read`.

        Raises:
            OSError: They cannot be read; they stay.
        """
        self.revert_read()
        while self.records:
            segment = self._segments.first_unread()
            if segment is None:
                await self.synced()
                continue
            start = segment.start
            records, damaged = await self._in_thread(segment.read, start, limit)
            end = start.after(records)
            if damaged:
                await self.synced()
                self._segments.cut(segment, end)
            if segment.start == start:  # else more records became unread meanwhile, and all are read again
                segment.start = end
            if records:
                segment.references += 1
                self._read = Position(segment, *start), len(records)
                return records
            self._segments.drop_unless_needed(segment)
        return []

    def acknowledge_read(self) -> None:
        """Note that the last batch that was read is in the database."""
        if self._read is not None:
            (position, _), self._read = self._read, None
            self.acknowledge(position)

    def revert_read(self) -> None:
        """Note that the last batch that was read is not in the database: it and all after it have to be read again."""
        if self._read is not None:
            (position, _), self._read = self._read, None
            self.mark_unread(position)

    async def close(self) -> None:
        """Sync what was appended, then close files and lock. Records that the database does not have stay."""
        self._closed = True
        self.sync()
        await self.synced()
        self._thread.shutdown()
        self._segments.close()

    def _framed(self, record: bytes, *, urgent: bool) -> bytes:
        if self._closed:
            raise SpoolError("the spool is closed")
        data = frame(record)
        size = self.size
        if size + len(data) > (self._max_urgent if urgent else self._max_not_urgent):
            raise SpoolFullError(f"the spool is full: {size} of {self._max_bytes} bytes are taken")
        return data

    async def _sync_all(self) -> None:
        while True:
            group = list(self._to_sync)
            data = b"".join([data for data, _ in group])
            failure = await self._write_and_sync(data, len(group))
            self._to_sync_bytes -= len(data)
            del self._to_sync[: len(group)]
            if failure is not None and not group:
                _log.error("records may not outlive a loss of power: %s", failure)
            for written in [written for _, written in group if not written.done()]:
                if failure is None:
                    written.set_result(None)
                else:
                    written.set_exception(failure)
            if not self._to_sync:
                break
        self._syncing = None

    async def _write_and_sync(self, data: bytes, records: int) -> SpoolWriteError | None:
        """Write these records, if any, and sync everything; return the error, if there was one."""
        segment = None
        try:
            if records:
                segment = self._segments.acquire_current()
                segment.synced = True
            await self._in_thread(self._segments.sync_paths, self._segments.pop_unsynced())
            if segment is not None:
                await self._in_thread(self._segments.write_and_sync, segment, data)
        except OSError as error:
            self._segments.abandon()
            return _write_error(error)
        else:
            if segment is not None:
                since = segment.length
                self._segments.grow(segment, len(data), records)
                segment.mark_unread(since)
            return None
        finally:
            if segment is not None:
                self._segments.release(segment)

    async def _in_thread(self, work: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments, **keywords))


def _write_error(error: OSError) -> SpoolWriteError:
    return SpoolWriteError(f"the spool cannot be written: {error.strerror}")
