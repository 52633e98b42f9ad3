"""A value that ends, such as a credential or a document of another server: fetched once for all who want it, and ahead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

RETRY_SECONDS = 5.0
"""After a fetch that failed, none begins for this time."""

_NEVER = float("-inf")
T = TypeVar("T")
logger = logging.getLogger(__name__)


class Refreshed(Generic[T]):
    """Belongs to one event loop. While a value lasts, nobody waits: it is fetched anew in the background, and kept meanwhile.

    Args:
        fetch: Fetches it, and may raise anything.
        now: Tells the time, in seconds. Its clock may be set back.
        lasts: Returns when a value that was fetched now is to be fetched anew, and when it ends.
        lacking: What is logged before the reason when a fetch fails; empty logs nothing.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        now: Callable[[], float],
        lasts: Callable[[T, float], tuple[float, float]],
        lacking: str = "",
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._lasts = lasts
        self._lacking = lacking
        self._value: T | None = None
        self._refresh_at = self._ends_at = _NEVER
        self._renewed_at = self._failed_at = _NEVER
        self._error: BaseException = LookupError("what was fetched has already ended")
        self._fetching: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """Return the value; wait for it only where there is none.

        Raises:
            Exception: There is none: what the last fetch raised.
        """
        if self._now() >= self._refresh_at and not self._has_just_failed():
            fetching = self._begin()
            if self._now() >= self._ends_at:
                await asyncio.wait([fetching])
        if self._value is None or self._now() >= self._ends_at:
            raise self._error.with_traceback(None)
        return self._value

    async def renewed(self, pause: float) -> T:
        """Return the value fetched anew, because something is not in it; as it is if this was done within `pause` seconds.

        Raises:
            Exception: As above.
        """
        if not 0 <= self._now() - self._renewed_at < pause and not self._has_just_failed():
            fetching = self._begin()
            await asyncio.wait([fetching])
            if not fetching.cancelled() and fetching.exception() is None:
                self._renewed_at = self._now()
        return await self.get()

    def _has_just_failed(self) -> bool:
        return 0 <= self._now() - self._failed_at < RETRY_SECONDS

    def _begin(self) -> asyncio.Future[T]:
        """Start fetching, unless that is running."""
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch())  # noqa: TID251 - its callback sees what it raised
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, fetching: asyncio.Future[T]) -> None:
        self._fetching = None
        if fetching.cancelled():
            return
        error = fetching.exception()
        if error is None:
            self._value, self._failed_at = fetching.result(), _NEVER
            self._refresh_at, self._ends_at = self._lasts(self._value, self._now())
            return
        self._error, self._failed_at = error, self._now()
        if self._lacking:
            logger.warning("%s: %s", self._lacking, describe(error))


def describe(error: BaseException) -> str:
    """Say in a line what went wrong."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:500]
