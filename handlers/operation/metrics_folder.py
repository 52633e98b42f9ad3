"""The metrics of several processes, each in files of its own in one folder, read as if they were those of one.

It is the multiprocess mode of prometheus_client, which a process is in when `VARIABLE` names the folder before that
library is first imported. What processes that have ended counted is kept in one more set of files: otherwise counters
would go back, or the folder would grow with every process that ever was.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, Metric, generate_latest, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Counters stay when their process has ended; its gauges do not.
COUNTED = ("counter", "histogram")
# The process id in the names of the files for all that have ended; no process has it.
ENDED = 0
# The size of a new file; it doubles when it is full.
FILE_BYTES = 1 << 16
NO_ROOM = "%s has no room, or no folder: new metrics of its process are not shown"

_log = logging.getLogger(__name__)


class MetricsFile(MmapedDict):
    """The numbers of a process, in a file whose room on the disk is reserved before anything is written to it.

    The library only sets its size. On a full disk the first number on a new page would then end the process (SIGBUS).
    Where there is no room, numbers are counted in memory alone.

    Attributes:
        is_kept: Whether all numbers are in the file.
    """

    def __init__(self, path: str) -> None:
        self.is_kept = False
        with suppress(OSError), Path(path).open("ab") as file:  # its folder may have been cleaned away
            self.is_kept = _reserve(file.fileno(), max(file.tell(), FILE_BYTES))
        if self.is_kept:
            super().__init__(path)  # type: ignore[no-untyped-call]
            return
        _log.warning(NO_ROOM, path)
        self._f, self._capacity, self._used = None, FILE_BYTES, 8  # type: ignore[assignment]
        self._m = mmap.mmap(-1, FILE_BYTES)
        self._positions: dict[str, int] = {}

    def _init_value(self, key: str) -> None:
        capacity, needed = self._capacity, self._used + len(key.encode()) + 28  # its length, padding, and two numbers
        while capacity < needed:
            capacity *= 2
        if capacity > self._capacity and not (self.is_kept and _reserve(self._f.fileno(), capacity)):
            if self.is_kept:
                _log.warning(NO_ROOM, self._fname)
            memory = mmap.mmap(-1, capacity)
            memory[: self._used] = self._m[: self._used]
            self._m, self._capacity, self.is_kept = memory, capacity, False
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(descriptor: int, size: int) -> bool:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:  # not on every system
        return True
    except OSError:
        return False
    return True


values.MmapedDict = MetricsFile  # type: ignore[assignment, attr-defined]


class _Collector(MultiProcessCollector):
    """Leaves out files without content: a process that begins makes one before it gives it a size."""

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in Path(self._path).glob("*.db") if file.stat().st_size]
        metrics: Iterable[Metric] = self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return metrics


class MetricsFolder:
    """A folder that no one else writes to. It exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def kept(self) -> Iterator[Self]:
        """Lock the folder during the block. See tmpfiles.d(5): what is locked, and all in it, is not cleaned away as old.

        Numbers that are written through memory do not make a file any newer on every system.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield self
        finally:
            os.close(descriptor)

    def exposition(self) -> bytes:
        """Every metric of every process, in Prometheus' text format."""
        registry = CollectorRegistry()
        _Collector(registry, str(self.path))  # type: ignore[no-untyped-call]
        with self._locked(fcntl.LOCK_SH):
            return generate_latest(registry)

    def reap(self, pid: int) -> None:
        """A process has ended: keep its counters, remove its gauges."""
        with self._locked(fcntl.LOCK_EX):
            mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]
            for kind in COUNTED:
                dead = self.path / f"{kind}_{pid}.db"
                if dead.exists() and (not dead.stat().st_size or _add(dead, self.path / f"{kind}_{ENDED}.db")):
                    dead.unlink()

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Between adding a count to those of the ended and removing it from its own place, nobody may look."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


def _add(dead: Path, ended: Path) -> bool:
    """Add the numbers of a process to those of the ended; return whether there is room. Else they count where they are."""
    counted = list(MmapedDict.read_all_values_from_file(str(dead)))  # type: ignore[no-untyped-call]
    with closing(MetricsFile(str(ended))) as total:
        before = [total.read_value(key)[0] for key, *_ in counted]  # type: ignore[no-untyped-call]
        if total.is_kept:
            for (key, value, *_), number in zip(counted, before, strict=True):
                total.write_value(key, number + value, 0.0)  # type: ignore[no-untyped-call]
        return total.is_kept
