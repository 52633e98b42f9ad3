"""Waits for another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_SECONDS = 0.1


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Look again and again whether something is so.

    Raises:
        TimeoutError: it never was, for that long.
    """
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(LOOK_SECONDS)
