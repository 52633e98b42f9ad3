"""Requests that hold a slot while their body is on its way, and which of them gives it to another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from limits.held import Held

SLOW_SECONDS = 5.0
"""How long the body of a request may be on its way before its slot can be taken from it."""


class Arriving(Protocol):
    """A request whose body is on its way."""

    def give_way(self) -> Held | None:
        """Give its slot of the server to the caller, if it has one, and be refused."""


class ArrivingBodies:
    """Knows whose bodies are on their way.

    A body may take minutes, and costs its client nothing. So that nobody keeps others out with that, a request that finds no
    slot takes that of a slow one: of the user who has most bodies on their way, if those are more than its own user has.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._users: dict[str, dict[Arriving, int]] = {}

    def enter(self, user_key: str, request: Arriving) -> None:
        """Note that a request waits for its body."""
        self._users.setdefault(user_key, {})[request] = self._now_ns()

    def leave(self, user_key: str, request: Arriving) -> None:
        """Note that it waits no more; harmless when it never did."""
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
