"""The log of one process on local disk: files with the records that the database does not have yet.

A record is opaque bytes. Whoever reads records must be idempotent, as a file is acknowledged as a whole: either the
database has all of it, or it is read again from its beginning.

- Records are appended to the newest file. It is closed at `FILE_BYTES`, before it is read, and when a write or a sync of it
  failed.
- A file is deleted when the database has all of its records (the newest one is truncated, until it is closed). Which it has is
  known in memory only, so a process that finds files of an earlier one reads all of them.
- A record is the operating system's once it is appended: it outlives the process, however that dies, and with `sync` also
  a loss of power.
- In a file a record is its length (4 bytes), the CRC-32 of length and record (4 bytes, both little-endian), and itself.
  Reading stops at the first that is cut or damaged. Nothing is searched after it: a record may hold bytes that a client
  chose, and those could be made to look like records. A file with such bytes is set aside, not deleted.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from zlib import crc32

from storage.locked_folder import FolderInUseError, LockedFolder

MAX_BYTES = 1024**3
RESERVE_BYTES = 160 * 1024**2
"""What urgent records may take beyond `MAX_BYTES`."""

FILE_BYTES = 4 * 1024**2

FRAME_BYTES = 8
SUFFIX = ".journal"
CLOSED = -1

_HEADER = Struct("<II")
_LENGTH = Struct("<I")
_NUMBER = "[0-9]" * 16

_log = logging.getLogger(__name__)


class SpoolError(Exception):
    """The spool does not take a record."""


class SpoolOpenError(Exception):
    """The spool cannot be opened: another process has it open, or its folder is unusable."""


def frame(record: bytes) -> bytes:
    """Return a record in the form it has in a file, `FRAME_BYTES` longer."""
    return _HEADER.pack(len(record), _checksum(record)) + record


def read_frames(data: bytes) -> Iterator[bytes]:
    """Find the records in a file, up to its end or the first that is cut or damaged."""
    end = 0
    while len(data) - end >= FRAME_BYTES:
        length, checksum = _HEADER.unpack_from(data, end)
        start = end + FRAME_BYTES
        end = start + length
        record = data[start:end]
        if len(record) < length or _checksum(record) != checksum:
            return
        yield record


def _checksum(record: bytes) -> int:
    # The length is covered too: a file that ends in zeros would otherwise be full of valid empty records.
    return crc32(record, crc32(_LENGTH.pack(len(record))))


def _read_file(path: Path) -> list[bytes]:
    return list(read_frames(path.read_bytes()))


def _size_of(records: Iterable[bytes]) -> int:
    return sum([FRAME_BYTES + len(record) for record in records])


@dataclass(eq=False, slots=True)
class SpoolFile:
    """A file, and who needs it.

    Attributes:
        descriptor: Where it is written; `CLOSED` once it is not any more.
        size: The bytes of its whole records.
        held: How many of its records are in memory too.
        left: How many of its records are in the file alone. If there are any, it has to be read.
        synced: Whether all of it is on the disk, or was given up.
    """

    path: Path
    descriptor: int = CLOSED
    size: int = 0
    held: int = 0
    left: int = 0
    synced: bool = True

    def write(self, data: bytes) -> None:
        """Write at its end, all or nothing.

        Raises:
            OSError: The disk does not take it.
        """
        rest = data
        try:
            while (written := os.write(self.descriptor, rest)) < len(rest):
                rest = rest[written:]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(data)
        self.synced = False

    def close(self) -> None:
        """Stop writing to it."""
        if self.descriptor != CLOSED:
            os.close(self.descriptor)
            self.descriptor = CLOSED

    def remove(self) -> None:
        """Delete the file; if part of it cannot be read, set it aside as `.damaged` instead and log that."""
        self.close()
        with suppress(OSError):  # A file that stays is read again by the next process, which does no harm.
            unreadable = self.path.stat().st_size - self.size
            if unreadable == 0:
                self.path.unlink()
                return
            damaged = self.path.rename(self.path.with_suffix(".damaged"))
            _log.error("unreadable bytes of the spool: %d, kept in %s from byte %d on", unreadable, damaged, self.size)


class Spool:
    """An open log, for one event loop. A record in it is held in memory too, or left to the log alone.

    Args:
        folder: Where the files are; made if missing. Locked, so that no two processes share it.
        max_bytes: What all files together may take for records that are not urgent.
        reserve_bytes: What they may take beyond it for urgent records.
        file_bytes: At this size a file is closed and the next one begun.
        fsync: Makes what was written to a file descriptor durable.

    Attributes:
        size: The bytes of all records in the files.
        records: How many of them are in the log alone.

    Raises:
        SpoolOpenError: Another process has the folder.
        OSError: The folder cannot be made, read or locked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        file_bytes: int = FILE_BYTES,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.size = 0
        self.records = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_urgent = max_bytes + reserve_bytes
        self._file_bytes = file_bytes
        self._fsync = fsync
        self._files: list[SpoolFile] = []
        self._newest: SpoolFile | None = None
        self._folder_synced = True
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        try:
            self._lock = LockedFolder(folder)
        except FolderInUseError:
            text = f"another process uses the spool in {folder}: give each its own data-dir"
            raise SpoolOpenError(text) from None
        try:
            self._find_files()
        except OSError:
            self._lock.close()  # whoever looks at the folder next may be able to read it
            raise

    def _find_files(self) -> None:
        numbered = sorted(self._folder.glob(f"{_NUMBER}.*"))
        self._next_number = 1 + max((int(path.stem) for path in numbered), default=0)
        for path in [path for path in numbered if path.suffix == SUFFIX]:
            records = _read_file(path)
            file = SpoolFile(path, size=_size_of(records), left=len(records))
            self._files.append(file)
            self.size += file.size
            self.records += file.left
            self._drop_unless_needed(file)

    def has_room(self, size: int = 0) -> bool:
        """Whether a record of `size` bytes that is not urgent would be accepted now."""
        return self.size + FRAME_BYTES + size <= self._max_bytes

    def append(self, record: bytes, *, urgent: bool = False) -> SpoolFile:
        """Write a record at the end, and return its file, which holds it until `release` or `leave`.

        An urgent one may use all of the room.

        Raises:
            SpoolError: It does not fit, or the disk does not take it, or the spool is closed.
        """
        if self._closed:
            raise SpoolError("the spool is closed")
        data = frame(record)
        if self.size + len(data) > (self._max_urgent if urgent else self._max_bytes):
            raise SpoolError(f"the spool is full: {self.size} of {self._max_bytes} bytes are taken")
        try:
            file = self._newest or self._begin_file()
            file.write(data)
        except OSError as error:
            self._close_newest()
            raise _write_error(error) from error
        file.held += 1
        self.size += len(data)
        if file.size >= self._file_bytes:
            self._close_newest()
        return file

    def release(self, file: SpoolFile) -> None:
        """Note that the database has a record of a file that was in memory too."""
        file.held -= 1
        if not file.held:
            self._drop_unless_needed(file)

    def leave(self, file: SpoolFile) -> None:
        """Note that a record of a file is no longer in memory: the file has to be read."""
        file.held -= 1
        file.left += 1
        self.records += 1

    async def sync(self) -> None:
        """Wait until all that was appended before is on the disk.

        Raises:
            SpoolError: Some of it may not be, and no later call tries it again.
        """
        paths = [file.path for file in self._files if not file.synced]
        if not self._folder_synced:
            paths.append(self._folder)
        for file in self._files:
            file.synced = True
        self._folder_synced = True
        if not paths:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._sync_paths, paths)
        except OSError as error:
            self._close_newest()
            raise _write_error(error) from error

    async def read(self) -> tuple[SpoolFile, list[bytes]] | None:
        """Read the oldest file that has to be, and close it; None if there is none. It stays until `finish`.

        Raises:
            OSError: It cannot be read.
        """
        file = next((file for file in self._files if file.left), None)
        if file is None:
            return None
        if file is self._newest:
            self._close_newest()
        records = await asyncio.get_running_loop().run_in_executor(self._thread, _read_file, file.path)
        self.size -= file.size
        file.size = _size_of(records)
        self.size += file.size
        return file, records

    def finish(self, file: SpoolFile) -> None:
        """Note that the database has what was read of a file."""
        self.records -= file.left
        file.left = 0
        self._drop_unless_needed(file)

    def close(self) -> None:
        """Close files and lock. Files that are needed stay."""
        self._closed = True
        self._thread.shutdown()
        self._close_newest()
        self._lock.close()

    def _begin_file(self) -> SpoolFile:
        path = self._folder / f"{self._next_number:016d}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._next_number += 1
        self._folder_synced = False
        self._newest = SpoolFile(path, descriptor)
        self._files.append(self._newest)
        return self._newest

    def _close_newest(self) -> None:
        """Write the next record to another file."""
        file, self._newest = self._newest, None
        if file is not None:
            file.close()
            self._drop_unless_needed(file)

    def _drop_unless_needed(self, file: SpoolFile) -> None:
        if file.held or file.left:
            return
        if file is not self._newest:
            self._files.remove(file)
            file.remove()
            self.size -= file.size
        elif file.size:
            with suppress(OSError):  # what stays is read again by the next process, which does no harm
                os.ftruncate(file.descriptor, 0)
                self.size -= file.size
                file.size = 0

    def _sync_paths(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if path == self._folder:
                    raise
                continue  # it is not needed any more
            try:
                self._fsync(descriptor)
            finally:
                os.close(descriptor)


def claim_numbered(folder: Path) -> Spool:
    """Open the first spool below a folder that no other process has.

    Raises:
        OSError: The folder is unusable.
    """
    number = 1
    while True:
        try:
            return Spool(folder / str(number))
        except SpoolOpenError:
            number += 1


def _write_error(error: OSError) -> SpoolError:
    return SpoolError(f"the spool cannot be written: {error.strerror}")
