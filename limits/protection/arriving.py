"""Requests that hold a slot while their body is on its way, and which of them gives it to another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from limits.held import Held

SLOW_SECONDS = 5.0
"""How long a body may take to arrive before another request can get the slot."""


class Arriving(Protocol):
    """A request whose body is on its way."""

    def give_way(self) -> Held | None:
        """Give its slot of the server to the caller, if it has one, and be refused."""


class ArrivingBodies:
    """Knows which bodies are arriving, and of which users.

    A body may take minutes, and costs its client nothing. A request that finds no slot can therefore replace a slow one: of
    the user with the most arriving bodies, if those are more than its own user has.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._users: dict[str, dict[Arriving, int]] = {}

    def enter(self, user_key: str, request: Arriving) -> None:
        """Note that a request waits for its body."""
        self._users.setdefault(user_key, {})[request] = self._now_ns()

    def leave(self, user_key: str, request: Arriving) -> None:
        """Remove a request; harmless if it is not there."""
        requests = self._users.get(user_key)
        if requests is not None:
            requests.pop(request, None)
            if not requests:
                del self._users[user_key]

    def __len__(self) -> int:
        """How many users wait for bodies."""
        return len(self._users)

    def find_slow(self, user_key: str) -> Arriving | None:
        """The request that gives way to one of this user: the one that has waited longest; None when none has to."""
        most = max(self._users.values(), key=len, default=None)
        if most is None or len(most) <= len(self._users.get(user_key, ())):
            return None
        request, since = next(iter(most.items()))
        return request if self._now_ns() - since >= SLOW_SECONDS * 1e9 else None
