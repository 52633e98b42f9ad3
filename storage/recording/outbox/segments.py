"""The segment files of one spool, in a folder that is locked for it. Only the last one is written to.

A segment is deleted when nothing in it is needed. Which of its records the database has is known in memory only: after a
crash it is read again from its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from storage.locked_folder import FolderInUseError, LockedFolder
from storage.recording.outbox.segment import SUFFIX, Boundary, Segment

_NUMBER = "[0-9]" * 16


class SpoolOpenError(Exception):
    """The spool cannot be opened."""


class SpoolLockedError(SpoolOpenError):
    """Another process has it open."""


class Position(Struct, frozen=True):
    """Where a record is."""

    segment: Segment
    offset: int
    records: int


class Segments:
    """The files of a `Spool`, oldest first; its arguments are described there. What an earlier process left is among them.

    Raises:
        SpoolLockedError: Another process has the folder.
        OSError: The folder cannot be made, read or locked.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, sync: Callable[[int], None]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._lock = _locked(folder)
        self._current: Segment | None = None
        self._folder_synced = True
        try:
            self._find_segments()
        except OSError:
            self._lock.close()  # whoever looks at the folder next may be able to read it
            raise

    def _find_segments(self) -> None:
        folder = self._folder
        numbered = sorted(folder.glob(f"{_NUMBER}.*"))
        self._next_number = 1 + max((int(path.stem) for path in numbered), default=0)
        self._segments = [Segment.found(path) for path in numbered if path.suffix == SUFFIX]
        for segment in list(self._segments):
            self.drop_unless_needed(segment)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum([segment.size for segment in self._segments])

    @property
    def unread(self) -> int:
        """How many records are in the files alone, and have to be read."""
        return sum([segment.unread for segment in self._segments])

    @property
    def synced(self) -> bool:
        """Whether all that was written is on the disk, or was given up."""
        return all(segment.synced for segment in self._segments)

    def first_unread(self) -> Segment | None:
        """Return the oldest segment with records that have to be read."""
        return next((segment for segment in self._segments if segment.unread), None)

    def append(self, data: bytes) -> Position:
        """Write a record, in its frame, and do not sync it. The segment is kept until the caller releases it.

        Raises:
            OSError: The disk does not take it.
        """
        segment = self.acquire_current()
        try:
            segment.write(data)
        except OSError:
            self.abandon()
            self.release(segment)
            raise
        position = Position(segment, segment.size, segment.records)
        segment.synced = False
        self.grow(segment, len(data), 1)
        return position

    def acquire_current(self) -> Segment:
        """Return the segment that is written to, referenced once more. It is kept until it is released.

        Raises:
            OSError: None can be made.
        """
        if self._current is None:
            path = self._folder / f"{self._next_number:016d}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._next_number += 1
            self._folder_synced = False
            self._current = Segment(path, descriptor)
            self._segments.append(self._current)
        self._current.references += 1
        return self._current

    def grow(self, segment: Segment, size: int, records: int) -> None:
        """Note how much was added to the current segment."""
        segment.size += size
        segment.records += records
        if segment.size >= self._segment_bytes:
            self.seal()

    def release(self, segment: Segment) -> None:
        """Remove a reference to a segment."""
        segment.references -= 1
        if not segment.references:
            self.drop_unless_needed(segment)

    def cut(self, segment: Segment, boundary: Boundary) -> None:
        """Nothing after that boundary can be read: stop writing to the segment."""
        if segment is self._current:
            self.seal()
        segment.cut(boundary)

    def seal(self) -> None:
        """Write the next record to another file."""
        if self._current is not None:
            self._current.seal()
            self._current = None

    def abandon(self) -> None:
        """After a failed write or sync, stop writing to the current segment."""
        # The content of the disk is unknown now: bytes that are not known to be whole are cut off.
        segment, self._current = self._current, None
        if segment is not None:
            segment.abandon()
            self.drop_unless_needed(segment)

    def drop_unless_needed(self, segment: Segment) -> None:
        """Delete a file that is not needed; clear it if it is the current one."""
        if segment.needed:
            return
        if segment is self._current:
            if segment.size:
                with suppress(OSError):  # what stays is read again by the next process, which does no harm
                    segment.clear()
        else:
            self._segments.remove(segment)
            segment.remove()

    def pop_unsynced(self) -> list[Path]:
        """Return the paths that have to be synced, for `sync_paths`. From now on they count as synced."""
        paths = [] if self._folder_synced else [self._folder]
        paths += [segment.path for segment in self._segments if not segment.synced]
        for segment in self._segments:
            segment.synced = True
        self._folder_synced = True
        return paths

    def sync_paths(self, paths: Iterable[Path]) -> None:
        """Sync folder and files, except deleted files; for any thread.

        Raises:
            OSError: The content of the disk is unknown now.
        """
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if path == self._folder:
                    raise
                continue  # it is not needed any more
            try:
                self._sync(descriptor)
            finally:
                os.close(descriptor)

    def write_and_sync(self, segment: Segment, data: bytes) -> None:
        """Write records, in their frames, and sync them; for any thread. `grow` takes note of them.

        Raises:
            OSError: The content of the end of the segment is unknown now.
        """
        segment.write(data)
        self._sync(segment.descriptor)

    def close(self) -> None:
        """Close files and lock. Files that are needed stay."""
        segment = self._current
        self.seal()
        if segment is not None:
            self.drop_unless_needed(segment)
        self._lock.close()


def _locked(folder: Path) -> LockedFolder:
    try:
        return LockedFolder(folder)
    except FolderInUseError:
        raise SpoolLockedError(f"another process uses the spool in {folder}: give each its own data-dir") from None
