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


MAX_SOCKETS = 16
"""WebSockets of one user at the same time."""

MAX_EXPORTS = 1
"""Exports of one user at the same time."""

DEFAULT_REQUESTS = 16
"""Other requests of one user at the same time, where `user-max-concurrency` is off."""

MIN_REQUESTS = 8
"""At least so many, where `user-max-concurrency` is on. A dashboard sends six at once, as many as browsers open to a server."""


class UserShares:
    """The shares of all users. A key of each limit is a user.

    Each is counted apart: an export takes nothing from the requests of the dashboard beside it.

    With `user_max_concurrency`, the calls of one user that may run at the same time, 0 is any number. `requests` are all
    other requests, until the client has taken the response.
    """

    def __init__(self, user_max_concurrency: int = 0) -> None:
        self.exports = ConcurrencyLimit(MAX_EXPORTS)
        self.sockets = ConcurrencyLimit(MAX_SOCKETS)
        self.requests = ConcurrencyLimit(max(user_max_concurrency or DEFAULT_REQUESTS, MIN_REQUESTS))
