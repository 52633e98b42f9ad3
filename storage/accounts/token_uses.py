"""The last use and client of each token, written in the background.

A use is noted at most every `NOTE_SECONDS` for each token and process, so the last use is accurate to that. A process that is
killed loses what it has not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import structs
from pymongo import ReplaceOne

from storage.accounts.users import Identity, TokenUse
from storage.mongo.clocks import Monotonic, Now
from storage.mongo.database import Database
from storage.mongo.event_counts import BackgroundWriter

NOTE_SECONDS = 15.0
"""From one use of a token to the next that is noted."""

MAX_NOTED = 10_000
"""Tokens whose last uses a process remembers; of more, uses are noted more often or not at all."""

ANSWER_SECONDS = 2.0
"""How long the database may take to read uses."""


class TokenUses(BackgroundWriter[str, TokenUse]):
    """The last uses of the tokens of a database."""

    def __init__(self, database: Database, *, now: Now, monotonic: Monotonic) -> None:
        super().__init__(database, database.token_uses, "uses of tokens")
        self._now = now
        self._monotonic = monotonic
        self._due: dict[str, float] = {}

    def note(self, identity: Identity, client: Callable[[], tuple[str, str]]) -> None:
        """Note the use of a token, or of a session without one. Returns at once.

        `client` returns the name and the address of the client, and is called only if needed.
        """
        now, key = self._monotonic(), identity.token_id or f"user {identity.user.id}"
        if now < self._due.get(key, now):
            return
        if len(self._due) >= MAX_NOTED:
            self._due.clear()
        if len(self._pending) >= MAX_NOTED:
            return
        self._due[key] = now + NOTE_SECONDS
        name, address = client()
        self._pending[key] = TokenUse(user_id=identity.user.id, at=self._now(), client=name, client_ip=address)

    def _change(self, key: str, value: TokenUse) -> ReplaceOne[dict[str, Any]]:
        return ReplaceOne({"_id": key}, {"schema_version": 1, **structs.asdict(value)}, upsert=True)

    async def of_tokens(self, token_ids: Iterable[str]) -> dict[str, TokenUse]:
        """Return the last uses of tokens; one that was never used is left out."""
        wanted = {"_id": {"$in": list(token_ids)}}
        async with self.database.within(ANSWER_SECONDS):
            found = self.database.token_uses.find(wanted)
            return {document["_id"]: msgspec.convert(document, TokenUse) async for document in found}

    async def last_seen(self, user_ids: Iterable[UUID]) -> dict[UUID, datetime]:
        """Return when users were seen last; one who never was is left out."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"user_id": {"$in": list(user_ids)}}},
            {"$group": {"_id": "$user_id", "at": {"$max": "$at"}}},
        ]
        async with self.database.within(ANSWER_SECONDS):
            return {one["_id"]: one["at"] async for one in self.database.token_uses.aggregate(pipeline)}
