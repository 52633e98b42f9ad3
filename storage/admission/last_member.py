"""Which server used a data folder last. A server that starts there can then report that the other one has ended."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from uuid import UUID

MAX_BYTES = 1_000

_log = logging.getLogger(__name__)


class LastMember:
    """The note in a folder. It is locked while its server runs. A second server with the same folder writes no note.

    Args:
        folder: The data folder of this server. Without one there is no note.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "limits-member"
        self._file: int | None = None

    def take_over(self, server: UUID) -> UUID | None:
        """Note that this server uses the folder now. Return the server that used it before, if that certainly ended."""
        if self._path is None:
            return None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note = os.pread(self._file, MAX_BYTES, 0)
            os.pwrite(self._file, str(server).encode(), 0)
            os.ftruncate(self._file, len(str(server)))
        except BlockingIOError:
            self.close()
            return None
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)
            self.close()
            return None
        try:
            return UUID(note.decode())
        except ValueError:  # there was none, or it ended while it wrote
            return None

    def close(self) -> None:
        """Release the folder for another server."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
