"""Clocks and pauses, which are given from outside, so that tests need not wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

Now: TypeAlias = Callable[[], datetime]
"""The wall clock, in UTC, in the whole milliseconds that MongoDB keeps."""

Monotonic: TypeAlias = Callable[[], float]
"""A clock that never goes back, in seconds."""

MonotonicNs: TypeAlias = Callable[[], int]
"""A clock that never goes back, in nanoseconds."""

Pause: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""
