"""One file of the spool: records in a row, each checked when it is read.

A record stands in the file as its length (4 bytes), the CRC-32 of length and record (4 bytes, both little-endian), and
the record itself. Reading stops at the first record that is cut or damaged. Nothing is searched after it: a record may
hold bytes that a client chose, and those could be made to look like records.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple
from zlib import crc32

READ_BYTES = 4 * 1024**2
FRAME_BYTES = 8
SUFFIX = ".journal"
SEALED = -1

_HEADER = Struct("<II")
_LENGTH = Struct("<I")

_log = logging.getLogger(__name__)


def frame(record: bytes) -> bytes:
    """Return a record in the form it has in a file, `FRAME_BYTES` longer."""
    return _HEADER.pack(len(record), _checksum(record)) + record


def read_frames(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Read records from the next `size` bytes of a stream, up to their end or the first that is cut or damaged."""
    while size >= FRAME_BYTES and len(header := stream.read(FRAME_BYTES)) == FRAME_BYTES:
        length, checksum = _HEADER.unpack(header)
        size -= FRAME_BYTES + length
        if size < 0:
            return
        record = stream.read(length)
        if len(record) < length or _checksum(record) != checksum:
            return
        yield record


def _checksum(record: bytes) -> int:
    # The length is covered too: a file that ends in zeros would otherwise be full of valid empty records.
    return crc32(record, crc32(_LENGTH.pack(len(record))))


class Boundary(NamedTuple):
    """A point between two records of a file: how many bytes and how many records are before it."""

    offset: int
    records: int

    def after(self, records: list[bytes]) -> Boundary:
        """Return the boundary after these records, which begin here."""
        size = sum(FRAME_BYTES + len(record) for record in records)
        return Boundary(self.offset + size, self.records + len(records))


BEGINNING = Boundary(0, 0)


@dataclass(eq=False, slots=True)
class Segment:
    """A file, and how much of it is still needed.

    Attributes:
        descriptor: Where it is written; `SEALED` once it is not any more.
        size: Its bytes, all of them whole records.
        records: How many records these are.
        references: How many users keep it, besides records that have to be read: each record that is in memory too, the
            batch that was read last, a write that is under way.
        start, end: The records between these two are in the file alone, and have to be read.
        synced: Whether all of it is known to be on the disk.
    """

    path: Path
    descriptor: int = SEALED
    size: int = 0
    records: int = 0
    references: int = 0
    start: Boundary = BEGINNING
    end: Boundary = BEGINNING
    synced: bool = True

    @classmethod
    def found(cls, path: Path) -> Segment:
        """Scan a file that an earlier process left. All of its records have to be read."""
        segment = cls(path)
        with path.open("rb") as file:
            for record in read_frames(file, path.stat().st_size):
                segment.size += FRAME_BYTES + len(record)
                segment.records += 1
        segment.end = segment.length
        return segment

    @property
    def length(self) -> Boundary:
        """Its end."""
        return Boundary(self.size, self.records)

    @property
    def unread(self) -> int:
        """How many of its records are in the file alone."""
        return self.end.records - self.start.records

    @property
    def needed(self) -> bool:
        """Whether the database lacks some of it."""
        return self.references > 0 or self.unread > 0

    def mark_unread(self, since: Boundary) -> None:
        """Note that the records after `since` are in the file alone."""
        since = min(since, self.length)  # records after it may have been found damaged
        self.start = min(self.start, since) if self.unread else since
        self.end = self.length

    def cut(self, boundary: Boundary) -> None:
        """Note that nothing after that boundary can be read."""
        self.size, self.records = self.end = boundary
        self.start = min(self.start, boundary)

    def write(self, data: bytes) -> None:
        """Write at its end; for any thread.

        Raises:
            OSError: The content of its end is unknown now.
        """
        while (written := os.write(self.descriptor, data)) < len(data):
            data = data[written:]

    def clear(self) -> None:
        """Truncate the file. Nothing in it is needed.

        Raises:
            OSError: It stays as it is.
        """
        os.ftruncate(self.descriptor, 0)
        self.size = self.records = 0
        self.start = self.end = BEGINNING

    def abandon(self) -> None:
        """Stop writing to it, and cut off the bytes that are not known to be whole."""
        with suppress(OSError):
            os.ftruncate(self.descriptor, self.size)
        self.seal()

    def seal(self) -> None:
        """Stop writing to it."""
        if self.descriptor != SEALED:
            os.close(self.descriptor)
            self.descriptor = SEALED

    def read(self, start: Boundary, limit: int) -> tuple[list[bytes], bool]:
        """Read the next records up to `end`, at most `limit` and few bytes more than `READ_BYTES`; for any thread.

        Returns:
            The records, and whether what follows them is damaged.
        """
        records: list[bytes] = []
        end, size = self.end.offset, 0
        with self.path.open("rb") as file:
            file.seek(start.offset)
            for record in read_frames(file, end - start.offset):
                records.append(record)
                size += FRAME_BYTES + len(record)
                if len(records) == limit or size >= READ_BYTES:
                    return records, False
        return records, start.offset + size < end

    def remove(self) -> None:
        """Delete the file; if part of it cannot be read, set it aside as `.damaged` instead and log that."""
        self.seal()
        with suppress(OSError):  # A file that stays is read again by the next process, which does no harm.
            unreadable = self.path.stat().st_size - self.size
            if unreadable == 0:
                self.path.unlink()
                return
            damaged = self.path.rename(self.path.with_suffix(".damaged"))
            _log.error("unreadable bytes of the spool: %d, kept in %s from byte %d on", unreadable, damaged, self.size)
