"""Concurrency: how many requests of a key are running."""

from __future__ import annotations

from collections.abc import Iterator

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState


class Slots:
    """Counts the slots in use of each key, and forgets a key with its last slot."""

    def __init__(self) -> None:
        self._in_use: dict[str, int] = {}
        self._limits: dict[str, Limit] = {}

    def __len__(self) -> int:
        """How many keys hold a slot."""
        return len(self._in_use)

    def state(self, limit: Limit, _need: int, _now: int) -> LimitState:
        """The state of a limit."""
        used = self._in_use.get(limit.key, 0)
        remaining = limit.maximum - used
        if remaining > 0:
            return LimitState(limit, used, remaining, 0, 0)
        return LimitState(limit, used, 0, SLOT_RETRY_NS if limit.maximum > 0 else NEVER_NS, 0)

    def start(self, limit: Limit, _reserve: int, _now: int) -> None:
        """Take a slot."""
        key = limit.key
        self._in_use[key] = self._in_use.get(key, 0) + 1
        self._limits[key] = limit

    def end(self, limit: Limit, _reserved: int) -> None:
        """Give a slot back."""
        key = limit.key
        left = self._in_use[key] - 1
        if left:
            self._in_use[key] = left
        else:
            del self._in_use[key], self._limits[key]

    def charge(self, limit: Limit, amount: int, now: int) -> None:
        """Slots cost nothing."""

    def reserve(self, limit: Limit, change: int) -> None:
        """Slots are not reserved."""

    def forget(self, now: int) -> None:
        """A key is forgotten with its last slot, not by time."""

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the newest key first."""
        for limit in reversed(self._limits.values()):
            yield self.state(limit, 0, now)
