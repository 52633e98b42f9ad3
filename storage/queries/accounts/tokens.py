"""Tokens with what there is of them: whose they are, and when each was used last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from pymongo import DESCENDING

from storage.accounts.identities import Identities
from storage.accounts.token_texts import is_secret, split_token
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Token, TokenUse, UnknownIdentityError, User
from storage.mongo.database import Database

MAX_NAMED = 10
"""How many tokens of one name are found at most."""

MAX_USERS = 1_000
"""How many users a search means at most whose names it matches."""

NOT_A_TOKEN = "no token of this bridge: it is unknown, or not complete"  # noqa: S105 - a sentence


class TokenDetails(Struct, frozen=True, kw_only=True):
    """A token with what there is of it. `last_use` is None while it was never used."""

    token: Token
    user: User
    last_use: TokenUse | None


class Tokens:
    """The tokens of a database. Every method raises `DatabaseUnavailableError`."""

    def __init__(self, database: Database, identities: Identities, uses: TokenUses) -> None:
        self._database = database
        self._identities = identities
        self._uses = uses

    async def search(self, text: str, *, limit: int, offset: int) -> tuple[int, list[TokenDetails]]:
        """Return how many tokens match, and some of them, newest first, expired and revoked ones too.

        The text is the id of a token, or a part of its name or of the name of its user, in any case; "" is all.
        """
        async with self._database.query():
            meant = await self._filter(text) if text else {}
            count = await self._database.tokens.count_documents(meant)
            newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
            cursor = self._database.tokens.find(meant).sort(newest).skip(offset).limit(limit)
            tokens = [Token.of(document) async for document in cursor]
        return count, await self._details(tokens)

    async def of_user(self, username: str, *, limit: int, offset: int) -> tuple[int, list[TokenDetails]]:
        """Return how many tokens a user has, and some of them, newest first. A limit of 0 is none.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        count, tokens = await self._identities.tokens_page(username, limit=limit, offset=offset)
        return count, await self._details(tokens)

    async def by_id(self, ids: Iterable[str]) -> dict[str, Token]:
        """Return tokens by the public part, expired and revoked ones too; what is unknown is left out."""
        async with self._database.query():
            cursor = self._database.tokens.find({"_id": {"$in": list(ids)}})
            return {document["_id"]: Token.of(document) async for document in cursor}

    async def named(self, text: str, *, of: UUID | None) -> list[str]:
        """Return the ids of the tokens with this id or, if there is none, this name, expired and revoked ones too.

        With `of`, only tokens of this user are meant.
        """
        own: dict[str, Any] = {} if of is None else {"user_id": of}
        async with self._database.query():
            for named in ({"_id": text}, {"name": text}):
                cursor = self._database.tokens.find({**named, **own}, {"_id": True}).sort("created_at", DESCENDING)
                if found := [one["_id"] async for one in cursor.limit(MAX_NAMED)]:
                    return found
        return []

    async def lookup(self, text: str) -> TokenDetails:
        """Return what there is of a token by the token itself.

        Raises:
            UnknownIdentityError: It is none, or its secret is another one.
        """
        parts = split_token(text)
        if parts is None:
            raise UnknownIdentityError(NOT_A_TOKEN)
        token_id, secret = parts
        async with self._database.query():
            document = await self._database.tokens.find_one({"_id": token_id})
        genuine = is_secret(secret, document["secret_sha256"] if document else None)
        if document is None or not genuine:
            raise UnknownIdentityError(NOT_A_TOKEN)
        for details in await self._details([Token.of(document)]):
            return details
        raise UnknownIdentityError(NOT_A_TOKEN)

    async def _filter(self, text: str) -> dict[str, Any]:
        if "\0" in text:  # no name has it, and no pattern may
            return {"_id": text}
        part = {"$regex": re.escape(text), "$options": "i"}
        users = self._database.users.find({"username": part}, {"_id": True}).limit(MAX_USERS)
        groups = self._database.groups.find({"name": part}, {"_id": True}).limit(MAX_USERS)
        owners = [one["_id"] async for one in users] + [one["_id"] async for one in groups]
        return {"$or": [{"_id": text}, {"name": part}, {"user_id": {"$in": owners}}]}

    async def _details(self, tokens: Sequence[Token]) -> list[TokenDetails]:
        users = await self._identities.users_by_id(token.user_id for token in tokens)
        uses = await self._uses.of_tokens(token.id for token in tokens)
        return [TokenDetails(token=token, user=users[token.user_id], last_use=uses.get(token.id)) for token in tokens]
