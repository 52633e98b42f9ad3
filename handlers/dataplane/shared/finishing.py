"""Work that is done to its end, whatever becomes of its request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def finish(work: Coroutine[None, None, None]) -> None:
    """Do some work to its end, also where the request is stopped meanwhile: until then it holds what the work is charged to.

    Raises:
        CancelledError: The request was stopped. The work is done.
    """
    task = asyncio.create_task(work)  # noqa: TID251 - waited for below
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is not None:
        raise stopped
    task.result()
