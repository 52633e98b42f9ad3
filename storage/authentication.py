"""Whose token it is, from memory where that was found out lately, and across an outage of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from weakref import WeakValueDictionary

import pymongo

from storage.database import Database, DatabaseUnavailableError, database_errors
from storage.tokens import (
    FRESH_SECONDS,
    STALE_SECONDS,
    Memory,
    VerifiedTokens,
    digest,
    is_over,
    is_secret,
    split_token,
)
from storage.users import Identity, read_token, read_user

VERIFY_SECONDS = 2.0
"""How long the database may take to verify a token."""

AWAY_SECONDS = 1.0
"""How long, after the database was found away, nobody waits for it again to verify a token."""

AHEAD_SECONDS = FRESH_SECONDS / 2
"""A token that is used this long after it was verified is verified anew, while nobody waits for that."""

_NEVER = float("-inf")


class Reason(StrEnum):
    """Why a request is not authenticated."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a word
    EXPIRED = "expired"
    REVOKED = "revoked"
    USER_REMOVED = "user_removed"
    BLOCKED = "blocked"


class InvalidTokenError(Exception):
    """The token is not valid. The text does not say why: that would help to guess one.

    Attributes:
        reason: Why, for the operator alone.
        token_id: The public part of the token where there is one with it, else None.
    """

    def __init__(self, reason: Reason, token_id: str | None = None) -> None:
        super().__init__("the token is not valid")
        self.reason = reason
        self.token_id = token_id


class IdentitiesUnavailableError(Exception):
    """The database is away and the token was not verified lately."""


class Authentication:
    """Verifies the tokens of a database.

    Args:
        database: Where they are kept.
        now: The wall clock, in UTC.
        monotonic: A clock that never jumps, in seconds.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._monotonic = monotonic
        self._verified = VerifiedTokens()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._away_until = _NEVER
        self._asking_again = 0
        self._refreshing: set[asyncio.Task[None]] = set()

    async def authenticate(self, token: str) -> Identity:
        """Say whose token it is, from memory for `FRESH_SECONDS`, and for `STALE_SECONDS` while the database is away.

        Raises:
            InvalidTokenError: It is malformed, unknown, expired or revoked, or its user was removed.
            IdentitiesUnavailableError: The database is away, and the token not remembered.
        """
        parts = split_token(token)
        if parts is None:
            raise InvalidTokenError(Reason.MALFORMED)
        key = digest(token)
        if (memory := self._remembered(key)) is None:
            # Of those that come together, one asks the database.
            async with self._turns.setdefault(key, asyncio.Lock()):
                if (memory := self._remembered(key)) is None:
                    return await self._verified_now(key, *parts)
        elif self._monotonic() >= memory.verified_at + AHEAD_SECONDS:
            self._refresh_ahead(key, *parts)
        return memory.identity

    async def authenticate_anew(self, token: str) -> Identity:
        """The same without memory: what was revoked a moment ago must not change anything.

        Raises:
            InvalidTokenError: As above.
            IdentitiesUnavailableError: The database is away.
        """
        parts = split_token(token)
        if parts is None:
            raise InvalidTokenError(Reason.MALFORMED)
        try:
            return await self._verify(*parts)
        except DatabaseUnavailableError as error:
            raise IdentitiesUnavailableError(str(error)) from error

    def forget(self, user_id: UUID) -> None:
        """Verify the tokens of a user anew from now on, in this process."""
        self._verified.forget_user(user_id)

    def _remembered(self, key: bytes) -> Memory | None:
        away = self._monotonic() < self._away_until
        remembered = self._verified_within(STALE_SECONDS if away or self._asking_again else FRESH_SECONDS, key)
        if remembered is None and away:
            raise IdentitiesUnavailableError("MongoDB was unavailable a moment ago")
        return remembered

    def _refresh_ahead(self, key: bytes, token_id: str, secret: str) -> None:
        if key in self._turns or self._away_until > _NEVER:
            return
        refreshing = asyncio.create_task(
            self._refresh(key, self._turns.setdefault(key, asyncio.Lock()), token_id, secret)
        )
        self._refreshing.add(refreshing)
        refreshing.add_done_callback(self._refreshing.discard)

    async def _refresh(self, key: bytes, turn: asyncio.Lock, token_id: str, secret: str) -> None:
        with suppress(InvalidTokenError, IdentitiesUnavailableError):  # who comes next is told
            async with turn:
                await self._verified_now(key, token_id, secret)

    async def _verified_now(self, key: bytes, token_id: str, secret: str) -> Identity:
        # Whether the database is back, one request finds out; those whose tokens are remembered need not wait for that.
        asks_again = self._away_until > _NEVER
        self._asking_again += asks_again
        try:
            identity = await self._verify(token_id, secret)
        except InvalidTokenError:
            self._away_until = _NEVER
            self._verified.forget(key)
            raise
        except DatabaseUnavailableError as error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            if memory := self._verified_within(STALE_SECONDS, key):
                return memory.identity
            raise IdentitiesUnavailableError(str(error)) from error
        finally:
            self._asking_again -= asks_again
        self._away_until = _NEVER
        self._verified.add(key, identity, at=self._monotonic())
        return identity

    def _verified_within(self, seconds: float, key: bytes) -> Memory | None:
        return self._verified.get(key, now=self._now(), at=self._monotonic(), within=seconds)

    async def _verify(self, token_id: str, secret: str) -> Identity:
        with database_errors(), pymongo.timeout(VERIFY_SECONDS):
            document = await self._database.tokens.find_one({"_id": token_id})
            genuine = is_secret(secret, document["secret_sha256"] if document else None)
            if document is None:
                raise InvalidTokenError(Reason.UNKNOWN)
            if not genuine:
                raise InvalidTokenError(Reason.WRONG_SECRET, token_id)
            token = read_token(document)
            if token.revoked_at is not None:
                raise InvalidTokenError(Reason.REVOKED, token_id)
            if is_over(token.expires_at, self._now()):
                raise InvalidTokenError(Reason.EXPIRED, token_id)
            user = await self._database.users.find_one({"_id": token.user_id, "removed_at": None})
        if user is None:
            raise InvalidTokenError(Reason.USER_REMOVED, token_id)
        return Identity(user=read_user(user), token_id=token.id, expires_at=token.expires_at)
