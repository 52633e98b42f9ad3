"""Databases of test runs in memory, and what is left there of runs that were killed."""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import suppress
from pathlib import Path

from tests.server_process import remove_sockets

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 2 << 30
PREFIX = "aibridge-tests-"
STARTING_SECONDS = 60
"""How long a run may take from making its folder to holding the lock in it."""


def has_room(memory: Path = MEMORY) -> bool:
    """Whether the database of a run fits."""
    return memory.is_dir() and shutil.disk_usage(memory).free > NEEDED_BYTES


def remove_left(memory: Path = MEMORY) -> None:
    """Remove the databases whose run is gone: nobody holds their lock."""
    for folder in memory.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / "lock").stat().st_mtime < time.time() - STARTING_SECONDS:
                remove_sockets(folder)
                shutil.rmtree(folder, ignore_errors=True)
