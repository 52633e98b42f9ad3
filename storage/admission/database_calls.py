"""Calls to the database that requests wait for. They end in bounded time; a pause of this process is not a failure."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError

from storage.admission.own_pauses import OwnPauseError, result_within
from storage.mongo.database import database_errors
from storage.mongo.errors import DatabaseUnavailableError

FAILURES = 2
"""The database counts as unavailable when so many responses in a row are missing."""

OWN_PAUSES = 10
"""So many responses in a row may be missing because this process was paused or busy. The next one is a failure."""

RETRY_SECONDS = 0.1
"""The pause in seconds after a call without a response, while the server may not decide alone yet."""

T = TypeVar("T")


class Silence:
    """How often in a row the database did not answer."""

    def __init__(self) -> None:
        self._failures = self._pauses = 0

    def note(self, error: Exception) -> bool:
        """Count one more missing response. Return whether the database counts as unavailable."""
        self._pauses += isinstance(error, OwnPauseError)
        self._failures += not isinstance(error, OwnPauseError) or self._pauses > OWN_PAUSES
        return self._failures >= FAILURES


async def call_database(seconds: float, operation: Coroutine[Any, Any, T]) -> T:
    """Call the database. It has to answer within so many seconds in which this process runs.

    Raises:
        DatabaseUnavailableError: It did not.
        OwnPauseError: It did not, and this process was paused.
    """

    async def bounded() -> T:
        # The driver goes on in a thread of its own. It has longer, so that its time is never up before ours.
        with database_errors(), pymongo.timeout(2 * seconds):
            return await operation

    try:
        return await result_within(seconds, bounded())
    except (DatabaseUnavailableError, PyMongoError, TimeoutError) as error:
        reason = str(error) if isinstance(error, DatabaseUnavailableError) else type(error).__name__
        raise DatabaseUnavailableError(reason) from error
