"""Which past calls say the words of a search, a day at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from pymongo import ASCENDING

from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.questions.questions import CallFinder, FoundCalls
from storage.queries.questions.reading import RowReader, ignore_progress

SECONDS: Final = 60.0
"""How long the calls of a day may take to be found. Where the order of words matters, their texts are read."""

_DAY: Final = timedelta(days=1)


async def said_calls(
    database: Database, finder: CallFinder, start: datetime, end: datetime
) -> AsyncGenerator[tuple[datetime, datetime, FoundCalls], None]:
    """Find the calls that started in [start, end), the earliest day first: its start, its end, and what was found.

    A day begins at a call, so that no time is spent on a range in which nobody called, such as from the year 1 on.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took longer than `SECONDS` for a day.
    """
    scans = asyncio.Semaphore(1)
    while True:
        async with database.query(SECONDS), database.snapshot() as session:
            first = await database.interceptions.find_one(
                {"started_at": {"$gte": start, "$lt": end}},
                {"_id": False, "started_at": True},
                sort=[("started_at", ASCENDING)],
                hint=list(BY_TIME),
                session=session,
            )
            if first is None:
                return
            start = first["started_at"]
            until = min(start + _DAY, end)
            rows = RowReader(database, session, scans, monotonic() + SECONDS, ignore_progress)
            found = await finder(rows, session, start, until)
        yield start, until, found
        start = until
