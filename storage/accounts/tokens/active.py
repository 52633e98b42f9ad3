"""All active tokens and sessions as digests in memory, to tell a guess from a token without asking the database for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from storage.accounts.authentication import Kind
from storage.accounts.tokens.text import is_secret, split_token
from storage.mongo.database import Database, DatabaseUnavailableError

MAX_TOKENS = 100_000
"""How many are held of each. Of more, those that are not among them count as guesses."""

FRESH_SECONDS = 5.0
"""How long they are believed to be all: a token that was created since then counts as a guess."""

READ_SECONDS = 2.0
"""How long the database may take to tell them."""

_NEVER = float("-inf")


class ActiveTokens:
    """The active tokens and sessions of a database, read when somebody asks, at most once in `FRESH_SECONDS`.

    This does not authenticate: who is let through here is verified as everybody is.

    Args:
        database: Where they are kept.
        now: The wall clock, in UTC.
        monotonic: A clock that never jumps, in seconds.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._collections = {Kind.TOKEN: database.tokens, Kind.SESSION: database.sign_in_sessions}
        self._now = now
        self._monotonic = monotonic
        self._reading = asyncio.Lock()
        self._digests: dict[tuple[Kind, str], bytes] | None = None  # None while they are not known
        self._read_at = _NEVER

    def forget(self) -> None:
        """Read them again for the next request."""
        self._read_at = _NEVER

    async def may_have(self, token: str, kind: Kind = Kind.TOKEN) -> bool:
        """Say whether a token, or a session, has to be looked up: it is one of them, or the database is unavailable and nobody can know.

        True also for a text that cannot be a token, which nobody looks up.
        """
        parts = split_token(token)
        if parts is None:
            return True
        async with self._reading:
            if self._monotonic() - self._read_at >= FRESH_SECONDS:
                self._digests = await self._read() if self._database.health.available else None
                self._read_at = self._monotonic()
        token_id, secret = parts
        return self._digests is None or is_secret(secret, self._digests.get((kind, token_id)))

    async def _read(self) -> dict[tuple[Kind, str], bytes] | None:
        # A session has none to be revoked at: one that is ended is not there any more.
        active = {"revoked_at": None, "$or": [{"expires_at": None}, {"expires_at": {"$gt": self._now()}}]}
        digests = {}
        try:
            async with self._database.within(READ_SECONDS):
                for kind, collection in self._collections.items():
                    found = collection.find(active, {"secret_sha256": True}).limit(MAX_TOKENS).batch_size(MAX_TOKENS)
                    async for document in found:
                        digests[kind, document["_id"]] = document["secret_sha256"]
        except DatabaseUnavailableError:
            return None
        return digests
