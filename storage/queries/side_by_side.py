"""Does several things at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def side_by_side(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of it, and return what each returns. If one fails, its error is raised once the others are cancelled."""
    tasks = [asyncio.create_task(one) for one in work]  # noqa: TID251 - waited for below
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
