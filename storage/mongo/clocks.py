"""Clocks and pauses, which are given from outside, so that tests need not wait; and the database's clock."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, TypeAlias

Now: TypeAlias = Callable[[], datetime]
"""The wall clock, in UTC, in the whole milliseconds that MongoDB keeps."""

Monotonic: TypeAlias = Callable[[], float]
"""A clock that never goes back, in seconds."""

MonotonicNs: TypeAlias = Callable[[], int]
"""A clock that never goes back, in nanoseconds."""

Pause: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime_ns() -> int:
    """A clock in nanoseconds that never goes back, and goes on while the machine sleeps."""
    return time.clock_gettime_ns(_UPTIME)


class DatabaseTime(NamedTuple):
    """The database's time in milliseconds, by the clock of one member, and when that was read by this process's clock."""

    now: int
    clock: str
    read_at: int

    def at(self, now_ns: int) -> int:
        """The database's time at another time of this process's clock."""
        return self.now + (now_ns - self.read_at) // 1_000_000
