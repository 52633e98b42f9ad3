"""Long work of the processor, done in pieces, so that the event loop is held up for a few milliseconds at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

PIECE_SECONDS = 0.005


class Pieces:
    """Does one piece of all such work in each iteration of the loop: several would hold it up one behind the other.

    Works take turns, so that a short one is not held up by a long one.

    Args:
        monotonic: Counts seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = asyncio.Lock()

    async def finish(self, steps: Generator[None, None, T]) -> T:
        """Do all steps, of a few milliseconds each at most; return what the generator returns.

        Raises:
            Exception: what a step raises.
        """
        while True:
            async with self._lock:
                until = self._monotonic() + PIECE_SECONDS
                while self._monotonic() < until:
                    try:
                        next(steps)
                    except StopIteration as ended:
                        return ended.value  # type: ignore[no-any-return]
                await asyncio.sleep(0)
