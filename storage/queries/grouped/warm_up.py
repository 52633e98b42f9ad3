"""Runs after a start the queries that people run first, so that the totals of past days are in memory by then."""

from __future__ import annotations

import asyncio
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


async def warm_up(grouped: Grouped, *, now: Now, pause: Pause = asyncio.sleep) -> None:
    """Run one query after the other; give up where the database is unavailable or takes long."""
    await pause(FIRST_SECONDS)
    queries = first_queries(now())
    try:
        if await grouped.counted(queries[0]) < MIN_CALLS:
            return
        for query in queries:
            await grouped.read(query, seconds=SECONDS)
    except (DatabaseUnavailableError, TooMuchError):
        return


def first_queries(now: datetime) -> list[GroupQuery]:
    """The queries of *Explore* when it is opened: its table and its chart. Pure."""
    hour = Bucket.HOUR.floor(now)
    end = hour if hour == now else hour + timedelta(hours=1)
    by = (By(Dimension.USER), By(Dimension.MODEL))
    table = GroupQuery(end - timedelta(days=DAYS), end, by=by, order=Order.COST, limit=50, compare=True)
    return [table, GroupQuery(table.start, end, by=by, order=Order.COST, limit=7, period=Period.DAY)]
