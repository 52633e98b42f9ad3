"""The metrics of several processes, each in files of its own in one folder, read as if they were those of one.

It is the multiprocess mode of prometheus_client, which a process is in when `VARIABLE` names the folder before that
library is first imported. What processes that have ended counted is kept in one more set of files: otherwise counters
would go back, or the folder would grow with every process that ever was.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Counters stay when their process has ended; its gauges do not.
COUNTED = ("counter", "histogram")
# The process id in the names of the files for all that have ended; no process has it.
ENDED = 0


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
                if dead.exists():
                    _add(dead, self.path / f"{kind}_{ENDED}.db")
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


def _add(dead: Path, ended: Path) -> None:
    with closing(MmapedDict(str(ended))) as total:  # type: ignore[no-untyped-call]
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(dead)):  # type: ignore[no-untyped-call]
            before, _ = total.read_value(key)  # type: ignore[no-untyped-call]
            total.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
