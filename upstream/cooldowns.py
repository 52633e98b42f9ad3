"""Cooldowns of a bounded number of things: keys (`upstream.credentials.keys`), or models that lack something.

One more replaces the one begun first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Cooldowns(Generic[Key]):
    """When the cooldown of each thing ends. So many as `max_keys`, at least 1, are remembered."""

    def __init__(self, max_keys: int, monotonic: Callable[[], float]) -> None:
        self._max_keys = max_keys
        self._monotonic = monotonic
        self._ends: dict[Key, float] = {}

    def __bool__(self) -> bool:
        """Whether any is remembered; it may be over."""
        return bool(self._ends)

    def begin(self, key: Key, seconds: float) -> None:
        """Start a cooldown, which replaces a running one."""
        self._ends.pop(key, None)
        if len(self._ends) >= self._max_keys:
            del self._ends[next(iter(self._ends))]
        self._ends[key] = self._monotonic() + seconds

    def end(self, key: Key) -> None:
        """End it, if there is one."""
        self._ends.pop(key, None)

    def left(self, key: Key) -> float:
        """The remaining seconds; 0 without one."""
        return max(0.0, self._ends[key] - self._monotonic()) if key in self._ends else 0.0

    def running(self) -> list[Key]:
        """Those that are not over, the one begun first first."""
        now = self._monotonic()
        return [key for key, end in self._ends.items() if end > now]
