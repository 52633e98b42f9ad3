"""Whether the server is stopping, and which requests still run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from intercept.records import EndReason

SHUTTING_DOWN = "AI Bridge is shutting down. Please try again."
# How long a stopped request may take before the server exits without it.
STOP_SECONDS = 5.0


class ActiveRequest(Struct, frozen=True, kw_only=True):
    """What is known of a request so far."""

    user_id: UUID | None = None
    provider: str | None = None
    route: str | None = None
    model: str | None = None
    interception_id: UUID | None = None


class Stoppable(Protocol):
    """A running request that can be stopped."""

    def stop(self, reason: EndReason) -> None:
        """End soon, for that reason. May be called more than once; the first reason counts."""


class Lifecycle:
    """Knows every data-plane request and every other long-lived one, from its first header to its end."""

    def __init__(self) -> None:
        self.draining = False
        self.streams_closed = False
        self._under_way: dict[Stoppable, None] = {}
        self._long_lived: dict[Stoppable, None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """How many requests are running."""
        return len(self._under_way)

    def enter(self, request: Stoppable, *, long_lived: bool = False) -> None:
        """Add a request. A stop of the server does not wait for a long-lived one."""
        self._under_way[request] = None
        if long_lived:
            self._long_lived[request] = None
        self._idle.clear()

    def leave(self, request: Stoppable) -> None:
        """Remove a request; harmless if it is not there."""
        self._under_way.pop(request, None)
        self._long_lived.pop(request, None)
        if not self._under_way:
            self._idle.set()

    def close_streams(self) -> None:
        """End all long-lived requests and accept no more of them."""
        self.streams_closed = True
        for request in tuple(self._long_lived):
            request.stop(EndReason.SERVER_SHUTDOWN)

    async def drain(self, timeout_s: float) -> int:
        """Refuse new requests, wait `timeout_s` seconds for the running ones, then end the rest.

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
