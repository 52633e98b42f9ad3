"""Follows the providers of the database: each process knows a change within `POLL_SECONDS` and the time of a query.

It polls, on every kind of MongoDB alike: a change stream would take a thread of the driver's in each process, for a
collection of a few documents that changes once a month.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

from storage.mongo.clocks import Pause
from storage.mongo.database import DatabaseUnavailableError
from storage.providers.documents import StoredProvider

POLL_SECONDS = 1.0
"""How often the providers are read."""

_log = logging.getLogger(__name__)


class Following(StrEnum):
    """What a process knows of the providers of the database: nothing yet, the current ones, or earlier ones."""

    UNKNOWN = "unknown"
    CURRENT = "current"
    BEHIND = "behind"


_IN_WORDS = {
    Following.UNKNOWN: "those in the database are not known yet",
    Following.CURRENT: "",
    Following.BEHIND: "those in the database are not followed at the moment; what is known of them stays",
}


class ProviderFollower:
    """Polls the providers by `read`, and calls `on_change` with all of them after each change."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[StoredProvider]]],
        on_change: Callable[[Sequence[StoredProvider]], None],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._read = read
        self._on_change = on_change
        self._pause = pause
        self._known: Sequence[StoredProvider] | None = None
        self._reading = asyncio.Lock()
        self.state = Following.UNKNOWN

    def describe(self) -> str:
        """The problem, in words; empty without one."""
        return _IN_WORDS[self.state]

    async def refresh(self) -> None:
        """Read them, and report changes. The known ones stay while the database is unavailable."""
        async with self._reading:
            try:
                found = list(await self._read())
            except DatabaseUnavailableError:
                self._fall_behind()
                return
            if self.state is Following.BEHIND:
                _log.info("the providers in the database are followed again")
            self.state = Following.CURRENT
            if found != self._known:
                self._known = found
                self._on_change(found)

    async def run(self) -> None:
        """Follow them, until cancelled."""
        while True:
            await self._pause(POLL_SECONDS)
            await self.refresh()

    def _fall_behind(self) -> None:
        if self.state is Following.CURRENT:
            _log.info("the providers in the database cannot be followed, as it is unavailable; what is known stays")
        self.state = Following.UNKNOWN if self._known is None else Following.BEHIND
