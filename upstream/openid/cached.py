"""A document of a provider that is fetched when it is needed, and kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from upstream.openid.errors import ProviderUnavailableError

FRESH_SECONDS = 3600.0
"""How long a document is used before it is fetched again."""

STALE_SECONDS = 86_400.0
"""How long it is used while it cannot be fetched."""

RETRY_SECONDS = 5.0
"""Pause after a failed fetch; sign-ins meanwhile fail at once."""

RENEWAL_SECONDS = 60.0
"""How often it is fetched before it is old, because something is not in it."""

_NEVER = float("-inf")
T = TypeVar("T")


class CachedDocument(Generic[T]):
    """One document; of those who want it at the same time, one fetches it. `fetch` may raise `ProviderUnavailableError`."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._document: T | None = None
        self._fetched_at = _NEVER
        self._renewed_at = _NEVER
        self._failed_at = _NEVER
        self._failure = ""

    async def get(self) -> T:
        """Return the document.

        Raises:
            ProviderUnavailableError: It cannot be fetched, and is not known from before.
        """
        async with self._lock:
            if self._document is not None and self._age < FRESH_SECONDS:
                return self._document
            return await self._fetched()

    async def renewed(self) -> T:
        """Return it fetched anew, or as it was if that was done a moment ago.

        Raises:
            ProviderUnavailableError: As above.
        """
        async with self._lock:
            now = self._monotonic()
            if self._document is not None and now - self._renewed_at < RENEWAL_SECONDS:
                return self._document
            document = await self._fetched()
            if self._failed_at == _NEVER:
                self._renewed_at = now
            return document

    @property
    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    async def _fetched(self) -> T:
        if self._monotonic() - self._failed_at >= RETRY_SECONDS:
            try:
                self._document = await self._fetch()
                self._fetched_at = self._monotonic()
            except ProviderUnavailableError as error:
                self._failure, self._failed_at = str(error), self._monotonic()
            else:
                self._failed_at = _NEVER
                return self._document
        if self._document is not None and self._age < STALE_SECONDS:
            return self._document
        raise ProviderUnavailableError(self._failure)
