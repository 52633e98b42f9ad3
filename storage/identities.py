"""Users and their tokens: who may call, and what they may see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import pymongo
from pymongo.errors import DuplicateKeyError

from storage.database import Database, DatabaseUnavailableError, database_errors
from storage.tokens import (
    FRESH_SECONDS,
    STALE_SECONDS,
    VerifiedTokens,
    digest,
    is_over,
    is_secret,
    new_token,
    split_token,
)
from storage.users import (
    Identity,
    IdentityError,
    Role,
    Token,
    User,
    checked_name,
    checked_username,
    milliseconds,
    read_token,
    read_user,
)

__all__ = [
    "Identities",
    "IdentitiesUnavailableError",
    "Identity",
    "IdentityError",
    "InvalidTokenError",
    "Role",
    "Token",
    "User",
]

VERIFY_SECONDS = 2.0
"""How long the database may take to verify a token."""

AWAY_SECONDS = 1.0
"""How long, after the database was found away, nobody waits for it again to verify a token."""

_NEVER = float("-inf")


class InvalidTokenError(Exception):
    """The token does not let anyone in. It does not say why: that would help to guess one."""

    def __init__(self) -> None:
        super().__init__("the token is not valid")


class IdentitiesUnavailableError(Exception):
    """The database is away and the token was not verified lately."""


class Identities:
    """The users and tokens of a database. Every method but `authenticate` raises `DatabaseUnavailableError`.

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

    async def authenticate(self, token: str) -> Identity:
        """Say whose token it is, from memory for `FRESH_SECONDS`, and for `STALE_SECONDS` while the database is away.

        Raises:
            InvalidTokenError: It is malformed, unknown, expired or revoked, or its user was removed.
            IdentitiesUnavailableError: The database is away, and the token not remembered.
        """
        parts = split_token(token)
        if parts is None:
            raise InvalidTokenError
        key = digest(token)
        if remembered := self._remembered(key):
            return remembered
        async with self._turns.setdefault(key, asyncio.Lock()):  # of those that come together, one asks the database
            return self._remembered(key) or await self._verified_now(key, *parts)

    def _remembered(self, key: bytes) -> Identity | None:
        away = self._monotonic() < self._away_until
        remembered = self._verified_within(STALE_SECONDS if away or self._asking_again else FRESH_SECONDS, key)
        if remembered is None and away:
            raise IdentitiesUnavailableError("MongoDB was unavailable a moment ago")
        return remembered

    async def _verified_now(self, key: bytes, token_id: str, secret: str) -> Identity:
        # Whether the database is back, one request finds out; those whose tokens are remembered need not wait for that.
        asks_again = self._away_until > _NEVER
        self._asking_again += asks_again
        try:
            identity, expires_at = await self._verify(token_id, secret)
        except InvalidTokenError:
            self._away_until = _NEVER
            self._verified.forget(key)
            raise
        except DatabaseUnavailableError as error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            if identity_then := self._verified_within(STALE_SECONDS, key):
                return identity_then
            raise IdentitiesUnavailableError(str(error)) from error
        finally:
            self._asking_again -= asks_again
        self._away_until = _NEVER
        self._verified.add(key, identity, expires_at=expires_at, at=self._monotonic())
        return identity

    def _verified_within(self, seconds: float, key: bytes) -> Identity | None:
        return self._verified.get(key, now=self._now(), at=self._monotonic(), within=seconds)

    async def _verify(self, token_id: str, secret: str) -> tuple[Identity, datetime | None]:
        with database_errors(), pymongo.timeout(VERIFY_SECONDS):
            document = await self._database.tokens.find_one({"_id": token_id})
            genuine = is_secret(secret, document["secret_sha256"] if document else None)
            if document is None or not genuine:
                raise InvalidTokenError
            token = read_token(document)
            if token.revoked_at is not None or is_over(token.expires_at, self._now()):
                raise InvalidTokenError
            user = await self._database.users.find_one({"_id": token.user_id, "removed_at": None})
        if user is None:
            raise InvalidTokenError
        return Identity(user=read_user(user), token_id=token.id), token.expires_at

    async def add_user(self, username: str, *, role: Role, display_name: str | None = None) -> User:
        """Add a user; `display_name` is the username unless given.

        Raises:
            IdentityError: The username or display name is not allowed, or the username taken.
        """
        user = User(
            id=uuid4(),
            username=checked_username(username),
            display_name=checked_name("display name", display_name or username),
            role=role,
            created_at=self._moment(),
        )
        document = {
            "_id": user.id,
            "schema_version": 1,
            "username": username,
            "display_name": user.display_name,
            "role": role.value,
            "created_at": user.created_at,
            "removed_at": None,
        }
        try:
            with database_errors():
                await self._database.users.insert_one(document)
        except DuplicateKeyError:
            raise IdentityError(f'a user named "{username}" exists already') from None
        return user

    async def list_users(self) -> list[User]:
        """List the users that were not removed, by name."""
        with database_errors():
            return [
                read_user(document)
                async for document in self._database.users.find({"removed_at": None}).sort("username")
            ]

    async def find_user(self, username: str) -> User | None:
        """Find a user that was not removed."""
        with database_errors():
            document = await self._database.users.find_one({"username": username, "removed_at": None})
        return read_user(document) if document else None

    async def users_by_id(self, ids: Iterable[UUID]) -> dict[UUID, User]:
        """Find users, removed ones too, so that history keeps its names."""
        with database_errors():
            cursor = self._database.users.find({"_id": {"$in": list(set(ids))}})
            return {document["_id"]: read_user(document) async for document in cursor}

    async def remove_user(self, username: str) -> None:
        """Remove a user: all tokens die, the name becomes free, history keeps it.

        Raises:
            IdentityError: There is no such user.
        """
        user = await self._existing_user(username)
        with database_errors():
            await self._database.users.update_one({"_id": user.id}, {"$set": {"removed_at": self._moment()}})
            await self._database.tokens.update_many(
                {"user_id": user.id, "revoked_at": None}, {"$set": {"revoked_at": self._moment()}}
            )
        self._verified.clear()

    async def create_token(
        self, username: str, *, name: str = "", expires_at: datetime | None = None
    ) -> tuple[Token, str]:
        """Make a token for a user. Returns what is known of it and the token, which nobody can ask for again.

        Raises:
            IdentityError: There is no such user, the name is not allowed, or `expires_at` is past.
        """
        user = await self._existing_user(username)
        if is_over(expires_at, self._now()):
            raise IdentityError("a token cannot expire in the past")
        text = new_token()
        token_id, _, secret = text.partition("-")
        document = {
            "_id": token_id,
            "schema_version": 1,
            "user_id": user.id,
            "name": checked_name("token's name", name),
            "secret_sha256": digest(secret),
            "created_at": self._moment(),
            "expires_at": expires_at and milliseconds(expires_at),
            "revoked_at": None,
        }
        with database_errors():
            await self._database.tokens.insert_one(document)
        return read_token(document), text

    async def list_tokens(self, username: str) -> list[Token]:
        """List a user's tokens, oldest first, expired and revoked ones too.

        Raises:
            IdentityError: There is no such user.
        """
        user = await self._existing_user(username)
        with database_errors():
            cursor = self._database.tokens.find({"user_id": user.id}).sort("created_at")
            return [read_token(document) async for document in cursor]

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token. One that was revoked stays so.

        Raises:
            IdentityError: There is no such token.
        """
        with database_errors():
            if await self._database.tokens.find_one({"_id": token_id}) is None:
                raise IdentityError(f'there is no token with the id "{token_id}": it is the part before the hyphen')
            await self._database.tokens.update_one(
                {"_id": token_id, "revoked_at": None}, {"$set": {"revoked_at": self._moment()}}
            )
        self._verified.clear()

    async def _existing_user(self, username: str) -> User:
        user = await self.find_user(username)
        if user is None:
            raise IdentityError(f'there is no user named "{username}"')
        return user

    def _moment(self) -> datetime:
        return milliseconds(self._now())
