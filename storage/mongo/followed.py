"""What changes seldom, in the memory of a process: policies, own prices, providers, and names of groups.

A process knows a change by any server within `POLL_SECONDS` and the time of a query. A change stream would take a thread of
the driver's in each process, for what changes some times a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from datetime import datetime
from typing import Final, Generic, TypeVar

from storage.mongo.clocks import Now
from storage.mongo.database import Database, DatabaseUnavailableError, Session

T = TypeVar("T")

POLL_SECONDS: Final = 1.0
"""How often a process looks for changes."""


class Followed(Generic[T]):
    """Something of the database in memory. Reading `value` never waits.

    Args:
        read: Reads all of it.
        version: Reads what differs after each change. Without it all is read at each look, and compared.
        on_change: Called with all of it after each change, also after `put`.
        now: The wall clock.
        seconds: The time between two looks.

    Attributes:
        value: All of it, as it was read last; None before that. It stays while the database is unavailable.
        behind_since: Since when changes are not followed; None while they are.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        on_change: Callable[[T], None] = lambda _: None,
        *,
        version: Callable[[], Awaitable[Hashable]] | None = None,
        now: Now,
        seconds: float = POLL_SECONDS,
    ) -> None:
        self._read = read
        self._on_change = on_change
        self._version = version
        self._now = now
        self._seconds = seconds
        self._known: Hashable = object()
        self._puts = 0
        self._looking = asyncio.Lock()
        self.value: T | None = None
        self.behind_since: datetime | None = None

    def put(self, value: T) -> None:
        """Have this be the value from now on, as this process has changed it itself."""
        self._puts += 1
        self.value = value
        self._on_change(value)

    async def refresh(self) -> None:
        """Read it if it has changed. Raises `DatabaseUnavailableError`."""
        async with self._looking:
            try:
                while not await self._look():
                    pass
            except Exception:
                self.behind_since = self.behind_since or self._now()
                raise
            self.behind_since = None

    async def try_refresh(self) -> None:
        """Read it if it has changed and the database is available."""
        with suppress(DatabaseUnavailableError):
            await self.refresh()

    async def run(self) -> None:
        """Follow changes until cancelled."""
        while True:
            await self.try_refresh()
            await asyncio.sleep(self._seconds)

    async def _look(self) -> bool:
        """Read it if it has changed; return False if this process has changed it meanwhile, which may be newer."""
        version = None
        if self._version is not None and (version := await self._version()) == self._known:
            return True
        puts = self._puts
        found = await self._read()
        if puts != self._puts:
            return False
        if found != self.value:
            self.value = found
            self._on_change(found)
        self._known = version
        return True


async def read_version(database: Database, name: str) -> int:
    """Read how often something was changed. Errors of the driver pass."""
    found = await database.versions.find_one({"_id": name})
    return int(found["number"]) if found else 0


async def count_change(database: Database, name: str, session: Session) -> None:
    """Say that something was changed, in the transaction that changes it."""
    await database.versions.update_one({"_id": name}, {"$inc": {"number": 1}}, upsert=True, session=session)
