"""Long work of the processor, done in pieces, so that the event loop is held up for a few milliseconds at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Hashable
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

PIECE_SECONDS = 0.005


class Pieces:
    """Does one piece of all such work in each iteration of the loop: several in one iteration would block it for their sum.

    Users take turns, and so do the works of one user: a short one is not held up by a long one, nor by many of others.

    Args:
        monotonic: Counts seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        # Of each user one work at most waits for the other lock. Both are given in the order of waiting.
        self._of_users: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def finish(self, steps: Generator[None, None, T], user: Hashable) -> T:
        """Do all steps, of a few milliseconds each at most; return what the generator returns.

        Args:
            steps: The work.
            user: Whose work it is.

        Raises:
            Exception: what a step raises.
        """
        of_user = self._of_users.setdefault(user, asyncio.Lock())
        while True:
            async with of_user, self._lock:
                until = self._monotonic() + PIECE_SECONDS
                while self._monotonic() < until:
                    try:
                        next(steps)
                    except StopIteration as ended:
                        return ended.value  # type: ignore[no-any-return]
                await asyncio.sleep(0)
