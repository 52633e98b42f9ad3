"""A log on local disk of what is under way to the database, for the case that this process dies before it is there.

Records are written and not synced: from then on they are the operating system's, which keeps them when the process dies,
however it does, and loses those of the last seconds when the machine loses its power. A record is removed as soon as it
is safe elsewhere. What is left, the next journal in the same folder reads behind its own records.

Files have the form of the journal's segments. One is closed at `SEGMENT_BYTES`, and deleted when nothing in it is needed.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.recording.segment import SUFFIX, frame

SEGMENT_BYTES = 4 * 1024**2

_PREFIX = "ahead-"
NAMES = f"{_PREFIX}{'[0-9]' * 16}{SUFFIX}"
"""Matches the names of the files."""


@dataclass(eq=False, slots=True)
class LogFile:
    """A file, with how many bytes were written to it and how many of its records are needed."""

    path: Path
    descriptor: int
    size: int = 0
    records: int = 0


class WriteAheadLog:
    """The log of one process, in a folder that is locked for it. Never waits.

    Args:
        folder: Where the files are.
        segment_bytes: At this size a file is closed and the next one begun.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        left = [int(path.stem.removeprefix(_PREFIX)) for path in folder.glob(NAMES)]
        self._next_number = 1 + max(left, default=0)
        self._current: LogFile | None = None

    def add(self, record: bytes) -> LogFile:
        """Write a record; return where it is, for `remove`.

        Raises:
            OSError: The disk does not take it.
        """
        file = self._current = self._current or self._open()
        data = frame(record)
        try:
            _write(file.descriptor, data)
        except OSError:
            self._give_up(file)
            raise
        file.size += len(data)
        file.records += 1
        if file.size >= self._segment_bytes:
            self._current = None
        return file

    def remove(self, file: LogFile) -> None:
        """A record of that file is safe elsewhere."""
        file.records -= 1
        if file.records:
            return
        with suppress(OSError):  # what stays is read again by the next process, which does no harm
            if file is self._current:
                os.ftruncate(file.descriptor, 0)
                file.size = 0
            else:
                self._delete(file)

    def close(self) -> None:
        """Let go of the current file. What is still needed stays on disk; nothing may be removed any more."""
        file, self._current = self._current, None
        if file is None:
            return
        if file.records == 0:
            self._delete(file)
        else:
            os.close(file.descriptor)

    def _open(self) -> LogFile:
        path = self._folder / f"{_PREFIX}{self._next_number:016d}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._next_number += 1
        return LogFile(path, descriptor)

    def _give_up(self, file: LogFile) -> None:
        """Never write to a file again whose end is anyone's guess."""
        self._current = None
        with suppress(OSError):
            os.ftruncate(file.descriptor, file.size)
        if file.records == 0:
            self._delete(file)

    def _delete(self, file: LogFile) -> None:
        os.close(file.descriptor)
        with suppress(OSError):
            file.path.unlink()


def _write(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
