"""Background jobs: each has a name, is restarted when it fails, and says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

FIRST_PAUSE_SECONDS = 1.0
"""From a job's failure to its restart; twice as long after each further one in a row."""

MAX_PAUSE_SECONDS = 10.0
"""The longest such pause. A heartbeat must come every 30 s, and each restart begins with one."""

STEADY_SECONDS = 60.0
"""A job that ran for this long since its restart is well again."""

_log = logging.getLogger(__name__)


class Job:
    """A job that runs until it is stopped. `Jobs` makes it.

    Attributes:
        name: For log, metrics and people.
    """

    def __init__(self, name: str, run: Callable[[], Awaitable[None]], jobs: Jobs) -> None:
        self.name = name
        self._run = run
        self._jobs = jobs
        self._failures = 0
        self._steady_at = 0.0
        self._task = asyncio.create_task(self._keep(), name=name)  # noqa: TID251 - this is where jobs are kept

    @property
    def has_failed(self) -> bool:
        """Whether it failed and has not yet run for `STEADY_SECONDS` since."""
        return self._failures > 0 and self._jobs.clock() < self._steady_at

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep(self) -> None:
        while True:
            try:
                await self._run()
            except asyncio.CancelledError:
                if self._task.cancelling():
                    raise
                self._fail()
            except Exception:  # noqa: BLE001 - whatever it is, the job has to go on
                self._fail()
            else:
                return
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), MAX_PAUSE_SECONDS)
            self._steady_at = self._jobs.clock() + pause + STEADY_SECONDS
            await self._jobs.pause(pause)

    def _fail(self) -> None:
        """Count a failure, and log the first in a row."""
        self._failures = self._failures + 1 if self.has_failed else 1
        self._jobs.on_failure(self.name)
        if self._failures == 1:
            _log.exception("the background job %s failed and is restarted", self.name)


class Jobs:
    """The background jobs of a process.

    Args:
        clock: Seconds that never go back.
        pause: Waits for seconds.
        on_failure: Called with the name of a job whenever it fails.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.clock = clock
        self.pause = pause
        self.on_failure = on_failure
        self._jobs: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        """Return every job that was started."""
        return iter(self._jobs)

    @property
    def failed(self) -> list[str]:
        """The names of those that failed and are not well again."""
        return [job.name for job in self._jobs if job.has_failed]

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> Job:
        """Start a job. It ends when `run` returns, and begins again when that raises."""
        job = Job(name, run, self)
        self._jobs.append(job)
        return job
