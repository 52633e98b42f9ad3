"""Digests of all active tokens and sessions in memory, to reject guesses without a query for each."""

from __future__ import annotations

import asyncio

from storage.accounts.authentication import Kind
from storage.accounts.tokens.text import is_secret, split_token
from storage.mongo.clocks import Monotonic, Now
from storage.mongo.database import Database, DatabaseUnavailableError

MAX_TOKENS = 100_000
"""How many are held of each. Of more, those that are not among them count as guesses."""

FRESH_SECONDS = 5.0
"""How long they are believed to be all: a token that was created since then counts as a guess."""

READ_SECONDS = 2.0
"""How long the database may take to read them."""

_NEVER = float("-inf")


class ActiveTokens:
    """The active tokens and sessions of a database, read on demand, at most once in `FRESH_SECONDS`.

    This does not authenticate: everything that passes is verified as usual.
    """

    def __init__(self, database: Database, *, now: Now, monotonic: Monotonic) -> None:
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
        """Whether a token or session has to be verified: it is known, or the database is unavailable.

        True also for a text that cannot be a token, which is never looked up.
        """
        parts = split_token(token)
        if parts is None:
            return True
        async with self._reading:
            if self._monotonic() - self._read_at >= FRESH_SECONDS:
                self._read_at = self._monotonic()  # before they are read, so that `forget` counts meanwhile
                try:
                    self._digests = await self._read() if self._database.health.available else None
                except BaseException:  # whoever waited for them has left
                    self.forget()
                    raise
        token_id, secret = parts
        return self._digests is None or is_secret(secret, self._digests.get((kind, token_id)))

    async def _read(self) -> dict[tuple[Kind, str], bytes] | None:
        # Sessions have no such time: an ended one is removed.
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
