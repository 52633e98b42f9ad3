"""Which past calls say the words of a search, a day at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, NamedTuple

from storage.mongo.database import Database
from storage.queries.filters.grouped.groups import NoFinderError
from storage.queries.grouped.grouped import ignore_progress
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.found import ID_BYTES, CallFinder

SECONDS: Final = 60.0
"""How long the calls of a day may take to be found. Where the order of words matters, their texts are read."""

_DAY: Final = timedelta(days=1)


class SaidOfDay(NamedTuple):
    """The calls of a part of a time range.

    Attributes:
        start: The begin of the part.
        end: Its end.
        ids: Those that say the words, 16 bytes each.
        indexed: Where the index does not go back to the first call: how many of about how many it has; None where it does.
        waiting: Calls that were not looked at, as they wait to be indexed.
    """

    start: datetime
    end: datetime
    ids: frozenset[bytes]
    indexed: tuple[int, int] | None
    waiting: int


async def said_calls(
    database: Database, finder: CallFinder, start: datetime, end: datetime
) -> AsyncGenerator[SaidOfDay, None]:
    """Find the calls that started in [start, end), the earliest day first.

    Raises:
        NoFinderError: This MongoDB does not read as of one moment.
        DatabaseUnavailableError: The database is unavailable, or took longer than `SECONDS` for a day.
    """
    scans = asyncio.Semaphore(1)
    while start < end:
        until = min(start + _DAY, end)
        async with database.within(SECONDS), database.snapshot() as session:
            if session is None:
                raise NoFinderError
            rows = RowReader(database, session, scans, monotonic() + SECONDS, ignore_progress)
            found = await finder(rows, session, start, until)
        ids = found.ids
        each = frozenset(ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
        yield SaidOfDay(start, until, each, found.indexed, found.waiting)
        start = until
