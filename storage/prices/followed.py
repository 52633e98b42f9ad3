"""Own prices in a process: a change by any server takes effect within `POLL_SECONDS` and the time of a query.

Each process reads the version of one document once a second. A change stream would take a thread of the driver's in
each, for a document that changes some times a year.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from storage.costs.own_prices import OwnPrice
from storage.mongo.clocks import Pause
from storage.mongo.database import DatabaseUnavailableError
from storage.prices.documents import KeptPrices
from storage.prices.store import PriceStore

POLL_SECONDS = 1.0
"""How often the version is read."""

_log = logging.getLogger(__name__)


class FollowedPrices:
    """Polls the prices, and calls `on_prices` with all of them after each change.

    While the database is unavailable, the last known prices are used.
    """

    def __init__(
        self,
        store: PriceStore,
        on_prices: Callable[[Iterable[OwnPrice]], None],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._store = store
        self._on_prices = on_prices
        self._pause = pause
        self._known = KeptPrices()

    @property
    def version(self) -> str:
        """Which version holds in this process."""
        return self._known.version

    def put(self, kept: KeptPrices) -> None:
        """Have these prices hold from now on."""
        if kept.version != self._known.version:
            self._known = kept
            self._on_prices(kept.prices)
            _log.info("own prices hold: number=%d version=%s", len(kept.prices), kept.version)

    async def refresh(self) -> None:
        """Read the prices if they have changed. Raises `DatabaseUnavailableError`."""
        while await self._store.version() != (known := self._known).version:
            kept = await self._store.read()
            if self._known is known:  # else a change of this process was put meanwhile, which may be the newer one
                self.put(kept)

    async def newest(self) -> str:
        """Have the newest prices hold, and return their version. Raises `DatabaseUnavailableError`."""
        await self.refresh()
        return self.version

    async def run(self) -> None:
        """Follow them, until cancelled."""
        while True:
            await self._pause(POLL_SECONDS)
            try:
                await self.refresh()
            except DatabaseUnavailableError:
                continue
