"""How much of one user, or of another key, may run at the same time."""

from __future__ import annotations


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
    """Gives out at most `limit` slots of each key."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_use: dict[str, int] = {}

    def __len__(self) -> int:
        """How many keys hold a slot."""
        return len(self._in_use)

    def acquire(self, key: str) -> Slot | None:
        """Take a slot; None when all are taken."""
        in_use = self._in_use.get(key, 0)
        if in_use >= self.limit:
            return None
        self._in_use[key] = in_use + 1
        return Slot(self, key)

    def _give_back(self, key: str) -> None:
        self._in_use[key] -= 1
        if not self._in_use[key]:
            del self._in_use[key]
