"""Reading how providers fare, from the latest calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from storage.aggregation.performance import FIELDS, ModelUse, Performance, add_call, add_call_of
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.selection import ENDED

MAX_CALLS = 5_000
"""Calls that are looked at, the latest ones."""

_AT_ONCE = 500
"""Documents that are decoded in one iteration of the event loop."""


async def read_performance(database: Database, start: datetime, end: datetime) -> dict[str, Performance]:
    """Add up the latest calls that have ended, at most `MAX_CALLS`, by the provider that was asked.

    Args:
        database: Where they are recorded.
        start: When the first of them started, at the earliest.
        end: When they all had started.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took too long.
    """
    found: dict[str, Performance] = {}
    async with database.query():
        async for call in _latest(database, start, end):
            add_call(found, call)
    return found


async def read_provider(
    database: Database, name: str, start: datetime, end: datetime
) -> tuple[dict[str, ModelUse], datetime]:
    """The same of one provider, by model; and since when all calls were looked at: later than `start` where they are too many.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took too long.
    """
    found: dict[str, ModelUse] = {}
    number, since = 0, start
    async with database.query():
        async for call in _latest(database, start, end):
            add_call_of(name, found, call)
            number, since = number + 1, call["started_at"]
    return found, since if number == MAX_CALLS else start


def _latest(database: Database, start: datetime, end: datetime) -> AsyncIterator[Mapping[str, Any]]:
    ended = {"started_at": {"$gte": start, "$lt": end}, "status": {"$in": list(ENDED)}}
    calls = database.interceptions.find(ended, dict.fromkeys(FIELDS, 1), batch_size=_AT_ONCE)
    latest: AsyncIterator[Mapping[str, Any]] = calls.sort(list(BY_TIME[:2])).hint("by_time").limit(MAX_CALLS)
    return latest
