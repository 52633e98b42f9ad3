"""Whether the server is stopping, and what is still under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from intercept.records import EndReason

SHUTTING_DOWN = "AI Bridge is shutting down. Please try again."
# What a request that was told to end may take for it before the server goes on without it.
STOP_SECONDS = 5.0


class ActiveRequest(Struct, frozen=True, kw_only=True):
    """A request that holds slots, as far as it is known by now, for those who look at the limits."""

    request_id: str
    since: datetime
    user_id: UUID | None = None
    username: str | None = None
    provider: str | None = None
    route: str | None = None
    model: str | None = None
    interception_id: UUID | None = None


class Stoppable(Protocol):
    """A request under way that can be told to end, and asked what it is."""

    def stop(self, reason: EndReason) -> None:
        """End soon, for that reason. May be called more than once; the first reason counts."""

    def holding(self) -> ActiveRequest | None:
        """Say who holds slots; None when it holds none."""


class Lifecycle:
    """Knows every data-plane request, and every other that lasts, from its first header to its end.

    Args:
        began: When this process began to serve; now unless given.
    """

    def __init__(self, began: datetime | None = None) -> None:
        self.began = began or datetime.now(UTC)
        self.draining = False
        self.streams_closed = False
        self._under_way: dict[Stoppable, None] = {}
        self._endless: dict[Stoppable, None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._under_way)

    def holders(self) -> Iterator[ActiveRequest]:
        """Those that hold slots, the first that came first."""
        return (holder for request in self._under_way if (holder := request.holding()))

    def enter(self, request: Stoppable, *, endless: bool = False) -> None:
        """Note that a request began; an endless one is not waited for when the server stops."""
        self._under_way[request] = None
        if endless:
            self._endless[request] = None
        self._idle.clear()

    def leave(self, request: Stoppable) -> None:
        """Note that a request is over; harmless when it never began or is already gone."""
        self._under_way.pop(request, None)
        self._endless.pop(request, None)
        if not self._under_way:
            self._idle.set()

    def close_streams(self) -> None:
        """End what would never end by itself; take no more of it."""
        self.streams_closed = True
        for request in tuple(self._endless):
            request.stop(EndReason.SERVER_SHUTDOWN)

    async def drain(self, timeout_s: float) -> int:
        """Refuse what is new, let what is under way finish for `timeout_s` seconds, then end the rest.

        Returns how many had to be ended.
        """
        self.draining = True
        self.close_streams()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            rest = list(self._under_way)
            for request in rest:
                request.stop(EndReason.SERVER_SHUTDOWN)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), STOP_SECONDS)
            return len(rest)
        return 0
