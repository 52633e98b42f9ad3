"""A bound on each of many waits for the price of at most one timer: a stream waits for each of its chunks, twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def _do_nothing() -> None:
    """Do nothing when a wait takes too long."""


class IdleTimer:
    """Bounds the wait inside each `with`, on one event loop and one at a time. `close` it at the end.

    Args:
        seconds: How long a wait may take.
        on_timeout: Called once a wait takes longer; has to end it, or to `renew` it.
    """

    def __init__(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        self._seconds = seconds
        self._on_timeout = on_timeout
        self._loop = asyncio.get_running_loop()
        self._began: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._began = self._loop.time()
        # Most waits are over before the timer is, which then serves the next ones; many never come to one.
        if self._timer is None and self._on_timeout is not _do_nothing:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def __exit__(self, *_: object) -> None:
        self._began = None

    def renew(self) -> None:
        """Restart the current wait."""
        if self._began is not None:
            self._began = self._loop.time()

    def close(self) -> None:
        """Stop watching, and drop the callback. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        self._on_timeout = _do_nothing

    def _check(self) -> None:
        self._timer = None
        if self._began is None:
            return
        waited = self._loop.time() - self._began
        if waited >= self._seconds:
            self._on_timeout()
            waited = self._seconds if self._began is None else self._loop.time() - self._began
        if waited < self._seconds:
            self._timer = self._loop.call_later(self._seconds - waited, self._check)
