"""A deadline that is moved often and reached rarely, for the price of at most one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls back when it is reached. To move it to a later time, or to lift it, costs no timer. `close` it at the end.

    It bounds each wait inside a `with`, one at a time. The callback has to end that wait, or to `renew` it.

    Args:
        loop: The event loop.
        reached: The callback.
        seconds: How long a wait inside a `with` may take.
    """

    __slots__ = ("_loop", "_reached", "_seconds", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, reached: Callable[[], None], seconds: float = inf) -> None:
        self._loop = loop
        self._reached: Callable[[], None] | None = reached
        self._seconds = seconds
        self._when = inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is one: it was moved, and not lifted since."""
        return self._when != inf

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

    def lift(self) -> None:
        """Do not call back, until it is moved. May be called twice."""
        self._when = inf

    def renew(self) -> None:
        """Restart the current wait inside a `with`."""
        if self.is_set:
            self.move(self._loop.time() + self._seconds)

    def close(self) -> None:
        """Never call back again, and forget the callback, which may refer back to the owner. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reached = None

    def __enter__(self) -> None:
        self.move(self._loop.time() + self._seconds)

    def __exit__(self, *_: object) -> None:
        self.lift()

    def _check(self) -> None:
        self._timer = None
        if self._reached is None or not self.is_set:
            return
        if self._loop.time() < self._when:
            self._timer = self._loop.call_at(self._when, self._check)
        else:
            self._reached()
