"""A journal on local disk for records that the database cannot take yet.

Records are opaque bytes, appended to numbered segment files and read back oldest first. Behind those that a process left
comes what its write-ahead log has, should it have died. A segment is deleted when all of its records were discarded. Where the reader stands is not kept: after a crash a segment is read again from its
beginning, so that whoever takes the records must be idempotent.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from storage.recording import write_ahead_log
from storage.recording.segment import FRAME_BYTES, SUFFIX, Segment, frame

DEFAULT_MAX_BYTES = 1024**3
SEGMENT_BYTES = 16 * 1024**2
URGENT_SHARE = 8
"""One part in this many of the room is for urgent records only."""

_SEGMENT_NAMES = "[0-9]" * 16 + ".*"

_P = ParamSpec("_P")
_T = TypeVar("_T")


class JournalError(Exception):
    """The journal cannot do what was asked of it."""


class JournalFullError(JournalError):
    """The record does not fit below the journal's bound."""


class JournalWriteError(JournalError):
    """The disk did not take the record."""


class JournalLockedError(JournalError):
    """Another process has this journal open."""


class Journal:
    """An open journal, for one event loop and one reader.

    Files are touched by one thread of its own; what is appended while it is busy is written and synced together.

    Args:
        folder: Where the segments are; made if missing. Locked, so that no two processes share it.
        max_bytes: What all segments together may take.
        segment_bytes: At this size a segment is closed and the next one begun.
        sync: Makes what was written to a file descriptor durable.

    Raises:
        JournalLockedError: Another process has the folder.
        OSError: The folder cannot be made, read or locked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._lock = _locked(folder)
        paths = sorted(folder.glob(_SEGMENT_NAMES))
        self._next_number = 1 + max((int(path.stem) for path in paths), default=0)
        ahead = sorted(folder.glob(write_ahead_log.NAMES))
        self._segments = deque(Segment.found(path) for path in [*paths, *ahead] if path.suffix == SUFFIX)
        self._descriptor: int | None = None
        self._drop_finished()
        self._bytes = sum(segment.end for segment in self._segments)
        self._records = sum(segment.records for segment in self._segments)
        self._last_read: list[bytes] = []
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    @property
    def records(self) -> int:
        """How many records were appended, durably already or about to be, and not discarded yet."""
        return self._records

    def has_room(self, size: int = 0, *, urgent: bool = False) -> bool:
        """Whether a record of `size` bytes would be taken now."""
        limit = self._max_bytes if urgent else self._max_bytes - self._max_bytes // URGENT_SHARE
        return self._bytes + FRAME_BYTES + size <= limit

    def append(self, record: bytes, *, urgent: bool = False) -> asyncio.Future[None]:
        """Add a record at the end.

        Args:
            record: The bytes.
            urgent: It may use the last part of the room, which is kept for such records.

        Returns:
            A future that is done when the record is durable, or fails with `JournalWriteError`.

        Raises:
            JournalFullError: It does not fit.
            JournalError: The journal is closed.
        """
        if self._closed:
            raise JournalError("the spool is closed")
        if not self.has_room(len(record), urgent=urgent):
            raise JournalFullError(f"the spool is full: {self._bytes} of {self._max_bytes} bytes are taken")
        data = frame(record)
        self._bytes += len(data)
        self._records += 1
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((data, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())  # noqa: TID251 - whoever appends waits for what it writes
        return written

    async def read(self, limit: int) -> list[bytes]:
        """Return the oldest durable records, at most `limit`; the same ones until they are discarded."""
        self._last_read, lost_records, lost_bytes = await self._in_thread(self._read, limit)
        self._records -= lost_records
        self._bytes -= lost_bytes
        return self._last_read

    async def discard(self) -> None:
        """Forget the records that the last `read` returned."""
        records, self._last_read = self._last_read, []
        if records:
            self._records -= len(records)
            self._bytes -= await self._in_thread(self._discard, records)

    async def close(self) -> None:
        """Write what was appended, then let go of files and lock."""
        self._closed = True
        if self._writing is not None:
            await self._writing
        await self._in_thread(self._seal)
        self._thread.shutdown()
        os.close(self._lock)

    async def _write_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            data = b"".join(data for data, _ in group)
            failure = None
            try:
                await self._in_thread(self._write, data, len(group))
            except OSError as error:
                self._bytes -= len(data)
                self._records -= len(group)
                failure = JournalWriteError(f"the spool cannot be written: {error.strerror}")
            for written in (written for _, written in group if not written.done()):
                if failure:
                    written.set_exception(failure)
                else:
                    written.set_result(None)
        self._writing = None

    async def _in_thread(self, work: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments, **keywords))

    # What follows touches segments and files, and runs in the journal's thread.

    def _write(self, data: bytes, records: int) -> None:
        try:
            descriptor = self._open_segment()
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            self._sync(descriptor)
        except OSError:
            self._give_up_segment()
            raise
        segment = self._segments[-1]
        segment.end += len(data)
        segment.records += records
        if segment.end >= self._segment_bytes:
            self._seal()

    def _open_segment(self) -> int:
        if self._descriptor is None:
            path = self._folder / f"{self._next_number:016d}{SUFFIX}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._next_number += 1
            self._segments.append(Segment(path))
            self._sync_folder()
        return self._descriptor

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _give_up_segment(self) -> None:
        # What is on disk after a failed write or sync is anyone's guess: cut that off, never write to the file again.
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._segments[-1].end)
            self._seal()
            self._drop_finished()

    def _seal(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self, limit: int) -> tuple[list[bytes], int, int]:
        lost_records = lost_bytes = 0
        while self._segments:
            segment = self._segments[0]
            lost_records += segment.records
            lost_bytes += segment.end
            records = segment.read(limit)
            lost_records -= segment.records
            lost_bytes -= segment.end
            if records:
                return records, lost_records, lost_bytes
            lost_bytes += self._drop_finished()
        return [], lost_records, lost_bytes

    def _discard(self, records: list[bytes]) -> int:
        self._segments[0].skip(records)
        return self._drop_finished()

    def _drop_finished(self) -> int:
        freed = 0
        for segment in [segment for segment in self._segments if segment.records == 0]:
            if segment is self._segments[-1]:
                self._seal()
            self._segments.remove(segment)
            segment.remove()
            freed += segment.end
        return freed


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalLockedError(f"another process uses the spool in {folder}: give each its own data-dir") from None
    return descriptor
