"""Reading how providers fare, from the latest calls. Every function raises `DatabaseUnavailableError`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from storage.derived.performance import ALIKE, ModelUse, Performance, add_calls, add_calls_of
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.selection import ENDED

MAX_CALLS = 5_000
"""Calls that are looked at, the latest ones."""


async def read_performance(database: Database, start: datetime, end: datetime) -> dict[str, Performance]:
    """Add up the latest calls that started in [start, end) and have ended, at most `MAX_CALLS`, by provider."""
    found: dict[str, Performance] = {}
    async with database.query():
        async for calls in _latest(database, start, end):
            add_calls(found, calls)
    return found


async def read_provider(
    database: Database, name: str, start: datetime, end: datetime
) -> tuple[dict[str, ModelUse], datetime]:
    """The same of one provider, by model; and since when calls were looked at: later than `start` if they are too many."""
    found: dict[str, ModelUse] = {}
    number, oldest = 0, end
    async with database.query():
        async for calls in _latest(database, start, end):
            add_calls_of(name, found, calls)
            number += calls["calls"]
            oldest = min(oldest, calls["first_at"])
    return found, oldest if number == MAX_CALLS else start


def _latest(database: Database, start: datetime, end: datetime) -> AsyncIterator[Mapping[str, Any]]:
    ended = {"started_at": {"$gte": start, "$lt": end}, "status": {"$in": list(ENDED)}}
    latest: list[dict[str, Any]] = [{"$match": ended}, {"$sort": dict(BY_TIME[:2])}, {"$limit": MAX_CALLS}]
    alike: AsyncIterator[Mapping[str, Any]] = database.interceptions.aggregate([*latest, *ALIKE], hint=dict(BY_TIME))
    return alike
