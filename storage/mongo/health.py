"""Whether the database is available. All code that uses it reports to one object, and checks it.

A loss counts at once: from then on, code that can do without the database does not wait for it.
Only a probe or an acknowledged write ends it, as a database that can be read may still not take writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from storage.mongo.clocks import Monotonic, Pause
from storage.mongo.errors import DatabaseRefusalError, DatabaseUnavailableError

PROBE_PAUSE_SECONDS = 1.0
"""Between two probes of an unavailable database."""

RETRY_SECONDS = 2.0
"""After work of a background job that the database did not do in time."""

_log = logging.getLogger(__name__)


class DatabaseHealth:
    """The state of one database, on one event loop.

    Args:
        probe: Writes, waits until that is acknowledged, and raises `DatabaseUnavailableError` if it is not.

    Attributes:
        lost_at: Since when it is unavailable, by the clock; None while it is available.
        reason: Why it is unavailable, in one sentence; empty while it is available.
    """

    def __init__(self, probe: Callable[[], Awaitable[None]], *, clock: Monotonic = time.monotonic) -> None:
        self._probe = probe
        self._clock = clock
        self._loss = asyncio.Event()
        self._probing = asyncio.Lock()
        self._slow: set[str] = set()
        self.lost_at: float | None = None
        self.reason = ""

    @property
    def available(self) -> bool:
        """Whether it answers, as far as is known."""
        return self.lost_at is None

    def lose(self, reason: str) -> None:
        """Report that it did not answer."""
        if self.lost_at is None:
            self.lost_at, self.reason = self._clock(), reason
            self._loss.set()

    def find(self) -> None:
        """Report that it has acknowledged a write."""
        self.lost_at, self.reason = None, ""
        self._loss.clear()

    async def check(self) -> bool:
        """Probe it now, within `PING_SECONDS`; say whether it takes writes."""
        try:
            await self._probe()
        except DatabaseUnavailableError as error:
            self.lose(str(error))
        else:
            self.find()
        return self.available

    async def wait_until_back(self) -> None:
        """Return once it is available. Those who wait probe in turn, together every `PROBE_PAUSE_SECONDS`."""
        while not self.available:
            async with self._probing:
                if not self.available and not await self.check():
                    await asyncio.sleep(PROBE_PAUSE_SECONDS)

    @contextlib.contextmanager
    def tolerate(self, consequence: str) -> Iterator[None]:
        """End the block of a background job where the database does not answer: it tries again later.

        One that is available and takes too long is logged with the `consequence`, once until the block succeeds.

        Raises:
            DatabaseRefusalError: Trying again will not help.
        """
        try:
            yield
        except DatabaseRefusalError:
            raise
        except DatabaseUnavailableError as error:
            if self.available and consequence not in self._slow:
                self._slow.add(consequence)
                _log.warning("%s for now: %s", consequence, error)
        else:
            self._slow.discard(consequence)

    async def repeat(
        self,
        work: Callable[[], Awaitable[Any]],
        consequence: str,
        seconds: float | None = None,
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Do the work of a background job again and again, until cancelled. It waits while the database is unavailable.

        Args:
            work: Does some of it, see `tolerate`.
            consequence: See `tolerate`.
            seconds: The pause after it; None is as long as `work` returns.
            pause: Waits for so many seconds.

        Raises:
            DatabaseRefusalError: Trying again will not help.
        """
        while True:
            after: float = RETRY_SECONDS if seconds is None else seconds
            with self.tolerate(consequence):
                done = await work()
                after = done if seconds is None else seconds
            await pause(after)
            await self.wait_until_back()

    async def watch(self) -> None:
        """Probe while it is lost, and log once that it is lost and once that it is back, until cancelled.

        A loss that the first probe does not confirm is not logged.
        """
        while True:
            await self._loss.wait()
            lost_at, reason = self.lost_at, self.reason
            if lost_at is None or await self.check():
                continue
            _log.warning("the database is unavailable: %s", reason)
            await self.wait_until_back()
            _log.info("the database is available again, after %.0f s", self._clock() - lost_at)
