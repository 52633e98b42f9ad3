"""What is kept of keys for one window of time, until they are idle. The times are those of a clock that never goes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from limits.limit import Limit, LimitState

FORGETS = 16
"""How often in a window idle keys are searched for, at most."""

MIN_GONE = 64
"""How many times that left the window are kept at least before the arrays are shortened."""


class Times:
    """The times of one key in ascending order; those before `first` have left the window. Never without one in it."""

    __slots__ = ("first", "limit", "times")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.times = array("q")
        self.first = 0


T = TypeVar("T", bound=Times)


class Windows(ABC, Generic[T]):
    """The times of all keys in half-open windows of `window_ns` nanoseconds."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._keys: OrderedDict[str, T] = OrderedDict()  # in the order of their newest times
        self._forget_at = 0

    @abstractmethod
    def state(self, limit: Limit, need: int, now: int) -> LimitState:
        """The state of a limit for a request that is to reserve `need`."""

    def forget(self, now: int) -> None:
        """Forget the keys that are idle for a window."""
        gone = now - self._window_ns
        self._forget_at = now + self._window_ns // FORGETS
        idle = []
        for key, kept in self._keys.items():
            if kept.times[-1] > gone:
                break
            idle.append(key)
        for key in idle:
            del self._keys[key]

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the one used last first."""
        self.forget(now)
        for kept in reversed(self._keys.values()):
            yield self.state(kept.limit, 0, now)
