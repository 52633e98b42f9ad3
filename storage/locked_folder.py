"""The lock of a process on a folder, with a note of who has it: so the next one knows who has certainly ended."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

MAX_BYTES = 1_000
"""The most bytes of a note."""


class FolderInUseError(Exception):
    """Another process has the folder. Its text is the note of that process."""


class LockedFolder:
    """A folder that this process has until `close`.

    Args:
        folder: The folder, which exists.
        note: What the file `lock` in it says from now on.

    Attributes:
        before: The note of the process that had it before, which has ended; empty if there was none.

    Raises:
        FolderInUseError: Another process has it.
        OSError: It cannot be used.
    """

    def __init__(self, folder: Path, note: str = "") -> None:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.before = _note(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)
        except BlockingIOError:
            holder = _note(descriptor)
            os.close(descriptor)
            raise FolderInUseError(holder) from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def close(self) -> None:
        """Release the folder for another process."""
        os.close(self._descriptor)


def _note(descriptor: int) -> str:
    return os.pread(descriptor, MAX_BYTES, 0).decode(errors="replace").strip()
