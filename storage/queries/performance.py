"""Reading how providers fare, from the latest calls."""

from __future__ import annotations

from datetime import datetime

from storage.aggregation.performance import FIELDS, Performance, add_call
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.selection import ENDED

MAX_CALLS = 5_000
"""Calls that are looked at, the latest ones."""

_AT_ONCE = 500
"""Documents that are decoded in one iteration of the event loop."""


async def read_performance(database: Database, since: datetime) -> dict[str, Performance]:
    """Add up the latest calls that have ended, at most `MAX_CALLS`, by the provider that was asked.

    Args:
        database: Where they are recorded.
        since: When the first of them started.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took too long.
    """
    found: dict[str, Performance] = {}
    async with database.query():
        ended = {"started_at": {"$gte": since}, "status": {"$in": list(ENDED)}}
        calls = database.interceptions.find(ended, dict.fromkeys(FIELDS, 1), batch_size=_AT_ONCE)
        async for call in calls.sort(list(BY_TIME[:2])).hint("by_time").limit(MAX_CALLS):
            add_call(found, call)
    return found
