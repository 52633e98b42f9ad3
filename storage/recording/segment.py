"""One file of the journal: records in a row, each checked when it is read.

A record stands in the file as its length (4 bytes), the CRC-32 of length and record (4 bytes, both little-endian), and
the record itself. Reading stops at the first record that is cut or damaged. Nothing is searched behind it: a record may
hold bytes that a client chose, and those could be made to look like records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from zlib import crc32

READ_BYTES = 4 * 1024**2
FRAME_BYTES = 8
SUFFIX = ".journal"

_HEADER = Struct("<II")
_LENGTH = Struct("<I")

_log = logging.getLogger(__name__)


def frame(record: bytes) -> bytes:
    """Put a record into the form it has in a file, `FRAME_BYTES` longer."""
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


@dataclass
class Segment:
    """A file and what is still to be read of it: `records` records, in the bytes from `start` to `end`."""

    path: Path
    start: int = 0
    end: int = 0
    records: int = 0

    @classmethod
    def found(cls, path: Path) -> Segment:
        """Take stock of a file that an earlier process left."""
        segment = cls(path)
        with path.open("rb") as file:
            for record in read_frames(file, path.stat().st_size):
                segment.end += FRAME_BYTES + len(record)
                segment.records += 1
        return segment

    def read(self, limit: int) -> list[bytes]:
        """Read the next records, at most `limit` and few bytes more than `READ_BYTES`.

        Records that turn out to be damaged now are given up: `end` and `records` shrink to what can be read.
        """
        records: list[bytes] = []
        size = 0
        with self.path.open("rb") as file:
            file.seek(self.start)
            for record in read_frames(file, self.end - self.start):
                records.append(record)
                size += FRAME_BYTES + len(record)
                if len(records) == limit or size >= READ_BYTES:
                    return records
        self.end, self.records = self.start + size, len(records)
        return records

    def skip(self, records: list[bytes]) -> None:
        """Go past records that were read."""
        self.start += sum(FRAME_BYTES + len(record) for record in records)
        self.records -= len(records)

    def remove(self) -> None:
        """Delete the file; if part of it cannot be read, set it aside as `.damaged` instead and log that."""
        with suppress(OSError):  # A file that stays is read again by the next process, which does no harm.
            unread = self.path.stat().st_size - self.end
            if unread == 0:
                self.path.unlink()
                return
            aside = self.path.rename(self.path.with_suffix(".damaged"))
            _log.error("unreadable bytes of the spool: %d, kept in %s from byte %d on", unread, aside, self.end)
