"""Asking the database for what requests wait for: in bounded time, and without taking a pause of this process for silence."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError

from storage.admission.own_pauses import answer_within
from storage.mongo.database import database_errors
from storage.mongo.errors import DatabaseUnavailableError

T = TypeVar("T")


async def ask_database(seconds: float, ask: Coroutine[Any, Any, T]) -> T:
    """Ask the database, which has to answer in so many seconds of this process.

    Raises:
        DatabaseUnavailableError: It did not.
        OwnPauseError: It did not, and this process was paused.
    """

    async def bounded() -> T:
        # The driver goes on in a thread of its own. It has longer, so that its time is never up before ours.
        with database_errors(), pymongo.timeout(2 * seconds):
            return await ask

    try:
        return await answer_within(seconds, bounded())
    except (DatabaseUnavailableError, PyMongoError, TimeoutError) as error:
        reason = str(error) if isinstance(error, DatabaseUnavailableError) else type(error).__name__
        raise DatabaseUnavailableError(reason) from error
