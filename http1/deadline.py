"""A deadline that is moved often and reached rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls back when it is reached. Moving it to a later time costs no timer."""

    __slots__ = ("_loop", "_reached", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, reached: Callable[[], None]) -> None:
        self._loop = loop
        self._reached: Callable[[], None] | None = reached
        self._when = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def move(self, when: float) -> None:
        """Set it to a time of the loop's clock, in seconds."""
        if self._reached is None:
            return
        self._when = when
        if self._timer is not None and when < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(when, self._check)

    def cancel(self) -> None:
        """Do not call back, until it is moved. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Never call back again, and forget the callback, which may refer back to the owner."""
        self.cancel()
        self._reached = None

    def _check(self) -> None:
        self._timer = None
        if self._loop.time() < self._when:
            self.move(self._when)
        elif self._reached is not None:
            self._reached()
