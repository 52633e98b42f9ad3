"""A process that is measured: started on its own cores, ended whatever happens, with its processor time and memory."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Cores(NamedTuple):
    """The core of this machine that the gateway has, and those that everything else has."""

    gateway: int
    others: set[int]

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Divide the cores of this process. If there is one, the gateway shares it with the load."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(first, set(others or [first]))


class ProcessUse(NamedTuple):
    """What a process and its children have used: seconds of processor time, and bytes of memory resident now."""

    cpu_seconds: float
    resident_bytes: int


class StandProcess:
    """A running program and its children, in a session of its own. It does not outlive this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        cores: AbstractSet[int],
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.log = log
        prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

        def follow() -> None:
            os.sched_setaffinity(0, cores)
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
                preexec_fn=follow,  # noqa: PLW1509 - three system calls, no lock taken
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process.poll() is None

    def use(self) -> ProcessUse:
        """What it and its children have used so far."""
        seconds, resident = 0.0, 0
        for pid in family(self.pid):
            with suppress(OSError, IndexError):  # it has just ended
                seconds += cpu_seconds(pid)
                resident += _PAGE_BYTES * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return ProcessUse(seconds, resident)

    def last_words(self) -> str:
        """The end of what it printed."""
        return self.log.read_bytes()[-600:].decode(errors="replace").strip()

    def stop(self) -> None:
        """Ask it to end; kill what is left of its session after `STOP_SECONDS`."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """Processor time of a process with all its threads, to the nanosecond.

    Each process has a clock for it, whose number clock_getcpuclockid(3) makes of the process id in this way.
    """
    return time.clock_gettime(~pid << 3 | 2)


@contextmanager
def running_upstream(folder: Path, cores: AbstractSet[int]) -> Iterator[int]:
    """A running upstream; yields its port."""
    log = folder / "upstream"
    command = [sys.executable, "-m", "benchmarks.stand.upstream"]
    process = StandProcess(command, log=log, cores=cores, folder=Path(__file__).parents[2])
    try:
        while not (said := log.read_text()).endswith("\n"):
            time.sleep(_POLL_SECONDS)
        yield int(said)
    finally:
        process.stop()
