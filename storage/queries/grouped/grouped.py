"""The groups of a database: what calls, refusals and sessions add up to."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from pymongo.errors import OperationFailure

from storage.derived.rollup import Bucket
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.queries.filters.grouped.dimensions import Subject
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import GroupResult, TooMuchError, UnsupportedOrderError
from storage.queries.grouped.reading import Reading, other_source
from storage.queries.grouped.row_reader import MAX_MS, OnProgress, Progress, RowReader
from storage.queries.grouped.slices import calls_in
from storage.queries.grouped.sources.found import CallFinder

SECONDS: Final = 20.0
"""How long the database may take for one result."""

SCANS: Final = 2
"""How many slices of records a process reads at a time. Others wait for their turn, and their time goes on."""

STREAM_SECONDS: Final = 240.0
"""How long a result with progress may take. MongoDB keeps a moment to read in for five minutes."""

_SLACK_SECONDS: Final = 2.0
_TOO_LONG: Final = 50
"""MaxTimeMSExpired"""
_TOO_LARGE: Final = frozenset({10334, 17419, 17420, 16945, 146, 292})
"""A document that grows too large, or too much for memory."""


async def ignore_progress(_progress: Progress) -> None:
    """Do nothing."""


class Grouped:
    """The groups of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._scans = asyncio.Semaphore(SCANS)

    async def read(
        self,
        query: GroupQuery,
        on_progress: OnProgress = ignore_progress,
        *,
        seconds: float | None = None,
        finder: CallFinder | None = None,
    ) -> GroupResult:
        """Read the result of a query.

        Args:
            query: What is read.
            on_progress: Called with how far that is while records are read; what it raises ends the reading.
            seconds: How long it may take; None is `SECONDS`.
            finder: Finds the calls that are meant, among those that match; None means all of these.

        Raises:
            UnsupportedOrderError: The subject does not have the order or the value that the query names.
            TooMuchError: It takes too long.
            DatabaseUnavailableError: The database is unavailable.
        """
        if query.of is not Subject.CALLS and not other_source(query).can_sort_by(query.order):
            raise UnsupportedOrderError(f"{query.of} cannot be sorted by {query.order}")
        self._database.require_available()
        seconds = SECONDS if seconds is None else seconds
        until = monotonic() + seconds
        try:
            async with (
                asyncio.timeout(seconds + _SLACK_SECONDS),
                self._database.within(None),
                self._database.snapshot() as session,
            ):
                rows = RowReader(self._database, session, self._scans, until, on_progress)
                return await Reading(rows, finder).result(query)
        except (TimeoutError, TooMuchError) as error:
            raise TooMuchError(await self.counted(query), seconds) from error
        except OperationFailure as error:
            if error.code not in _TOO_LARGE:
                raise
            raise TooMuchError(await self.counted(query), seconds) from error
        except DatabaseUnavailableError as error:
            cause = error.__cause__
            if not isinstance(cause, OperationFailure) or cause.code != _TOO_LONG:
                raise
            # The bound of one query is over before that of all, unless there was less left.
            bound = seconds if monotonic() >= until else min(seconds, MAX_MS / 1000)
            raise TooMuchError(await self.counted(query), bound) from error

    async def counted(self, query: GroupQuery) -> int:
        """Count the calls of the time range, in whole days.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
        """
        async with self._database.query():
            days = await calls_in(self._database, None, (query.start, query.end), Bucket.DAY, "interceptions")
        return sum(calls for _, calls in days)
