"""Runs after a start the queries that people run first, so that the totals of past days are in memory by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from storage.aggregation.rollup import Bucket
from storage.mongo.clocks import Now, Pause
from storage.mongo.errors import DatabaseUnavailableError
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import TooMuchError
from storage.queries.grouped.grouped import Grouped

DAYS: Final = 30
"""How far back the longest view goes that people open without choosing a time range of their own."""

MIN_CALLS: Final = 50_000
"""With fewer calls in these days nothing takes long."""

SECONDS: Final = 5.0
"""How long the database may take for one query."""

FIRST_SECONDS: Final = 3.0
"""The pause before all queries: whoever opens the page at once after a start comes first."""

PAUSE_SECONDS, BUSY_SECONDS = 0.5, 2.0
"""The pause before each query, and how long to wait while calls are under way."""

MAX_WAITS: Final = 30
"""How often it waits so at most: then it goes on all the same."""


class WarmUp:
    """Fills the memory of groups, once, while the server is not `busy`."""

    def __init__(self, grouped: Grouped, *, now: Now, busy: Callable[[], bool], pause: Pause = asyncio.sleep) -> None:
        self._grouped = grouped
        self._now = now
        self._busy = busy
        self._pause = pause

    async def run(self) -> None:
        """Run one query after the other; give up where the database is unavailable or takes long."""
        await self._pause(FIRST_SECONDS)
        waits = 0
        try:
            if await self._grouped.counted(next(first_queries(self._now()))) < MIN_CALLS:
                return
            for query in first_queries(self._now()):
                while self._busy() and waits < MAX_WAITS:
                    waits += 1
                    await self._pause(BUSY_SECONDS)
                await self._pause(PAUSE_SECONDS)
                await self._grouped.read(query, seconds=SECONDS)
        except (DatabaseUnavailableError, TooMuchError):
            return


def first_queries(now: datetime) -> Iterator[GroupQuery]:
    """The queries of *Explore* when it is opened: its table and its chart. Pure."""
    hour = Bucket.HOUR.floor(now)
    end = hour if hour == now else hour + timedelta(hours=1)
    by = (By(Dimension.USER), By(Dimension.MODEL))
    table = GroupQuery(end - timedelta(days=DAYS), end, by=by, order=Order.COST, limit=50, compare=True)
    yield table
    yield GroupQuery(table.start, end, by=by, order=Order.COST, limit=7, period=Period.DAY)
