"""Calls to the database that requests wait for. They end in bounded time.

Only the time counts in which this process runs: its own pause is no failure of the other side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError

from storage.mongo.clocks import Monotonic
from storage.mongo.database import database_errors
from storage.mongo.errors import DatabaseUnavailableError

FAILURES = 2
"""The database counts as unavailable when so many responses in a row are missing."""

OWN_PAUSES = 10
"""So many responses in a row may be missing because this process was paused or busy. The next one is a failure."""

RETRY_SECONDS = 0.1
"""The pause in seconds after a call without a response, while the server may not decide alone yet."""

SLICES = 8
"""A wait is divided into so many parts. A pause costs at most one of them, however long it is."""

PAUSE_SECONDS = 0.1
"""This process was paused if a part of a wait takes so many seconds longer than it should."""

BUSY = 0.8
"""This process was busy if it computed for such a part of a wait. The driver's thread may then have the response already."""

T = TypeVar("T")


class OwnPauseError(Exception):
    """There is no response, but this process was paused or busy while it waited. So it says nothing about the other side."""


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


async def result_within(seconds: float, operation: Coroutine[Any, Any, T], clock: Monotonic = time.monotonic) -> T:
    """Wait for a result, for so many seconds in which this process runs.

    Raises:
        TimeoutError: There is none.
        OwnPauseError: There is none, or an error, and the process was paused; or there is none, and it was busy.
    """
    started, computed = clock(), time.process_time()
    task = asyncio.create_task(operation)  # noqa: TID251 - waited for below
    paused = False
    try:
        for _ in range(SLICES):
            began = clock()
            await asyncio.wait({task}, timeout=seconds / SLICES)
            paused = paused or clock() - began > seconds / SLICES + PAUSE_SECONDS
            if task.done():
                break
        else:
            if paused or time.process_time() - computed > BUSY * (clock() - started):
                raise OwnPauseError
            raise TimeoutError
    finally:
        task.cancel()
    if paused and task.exception() is not None:
        raise OwnPauseError from task.exception()
    return task.result()
