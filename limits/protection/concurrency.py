"""How many requests may run at the same time, per key or, with a single key, altogether."""

from __future__ import annotations

from collections import Counter


class Slot:
    """The right of one request to run. Giving it back twice gives it back once."""

    __slots__ = ("_key", "_slots")

    def __init__(self, slots: ConcurrencyLimit, key: str) -> None:
        self._slots: ConcurrencyLimit | None = slots
        self._key = key

    def release(self) -> None:
        """Give the slot back."""
        if self._slots is not None:
            self._slots._give_back(self._key)  # noqa: SLF001 - a slot is the only way to give one back
            self._slots = None


class ConcurrencyLimit:
    """Gives out at most `limit` slots per key; 0 is unlimited, but still counted."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"a limit of at least 0 is needed, not {limit}")
        self.limit = limit
        self._in_use: Counter[str] = Counter()

    def acquire(self, key: str = "") -> Slot | None:
        """Take a slot; None when all are taken."""
        if self.is_full(key):
            return None
        self._in_use[key] = self._in_use.get(key, 0) + 1  # what is missing takes a Counter much longer
        return Slot(self, key)

    def is_full(self, key: str = "") -> bool:
        """Whether all slots are taken."""
        return bool(self.limit) and self._in_use[key] >= self.limit

    def in_use(self, key: str = "") -> int:
        """How many slots are taken."""
        return self._in_use[key]

    def __len__(self) -> int:
        """How many keys hold a slot."""
        return len(self._in_use)

    def _give_back(self, key: str) -> None:
        left = self._in_use[key] - 1
        if left:
            self._in_use[key] = left
        else:
            del self._in_use[key]
