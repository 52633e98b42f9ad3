"""Waiting for an answer in time as this process lives through it: a pause of its own is no silence of the other side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SLICES = 8
"""Into how many parts a wait is divided. A pause costs one of them at most, however long it is."""

PAUSE_SECONDS = 0.1
"""By how much a part of a wait lasts longer than it should where this process was paused."""


BUSY = 0.8
"""A process that computes for so much of a wait may not have come to read the answer: the driver's thread waits for it."""


class OwnPauseError(Exception):
    """There is no answer, and this process was paused or busy while it waited: that says nothing of the other side."""


async def result_within(
    seconds: float, operation: Coroutine[Any, Any, T], clock: Callable[[], float] = time.monotonic
) -> T:
    """Wait for an answer, in seconds that this process was running.

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
