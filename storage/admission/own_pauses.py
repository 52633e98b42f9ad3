"""Waits that count only the time in which this process runs: its own pause is not a failure of the other side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from storage.mongo.clocks import Monotonic

T = TypeVar("T")

SLICES = 8
"""A wait is divided into so many parts. A pause costs at most one of them, however long it is."""

PAUSE_SECONDS = 0.1
"""This process was paused if a part of a wait takes so many seconds longer than it should."""


BUSY = 0.8
"""This process was busy if it computed for such a part of a wait. The driver's thread may then have the response already."""


class OwnPauseError(Exception):
    """There is no response, but this process was paused or busy while it waited. So it says nothing about the other side."""


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
