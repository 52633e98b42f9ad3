"""Whose token or session it is, from memory where that was found out lately, and across an outage of the database.

Guesses are refused without a query for each: the digests of all active tokens and sessions are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self
from uuid import UUID
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from storage.accounts.events import Reason
from storage.accounts.sign_in.sessions import DEFAULT_TIMES, SessionTimes, SignInSession
from storage.accounts.subjects import service_of
from storage.accounts.token_texts import (
    FRESH_SECONDS,
    STALE_SECONDS,
    VerifiedTokens,
    digest,
    has_ended,
    is_secret,
    split_token,
)
from storage.accounts.users import Group, Identity, Token, User
from storage.mongo.clocks import Monotonic, Now
from storage.mongo.database import Database, DatabaseUnavailableError

VERIFY_SECONDS = 2.0
"""How long the database may take to verify a token."""


class Kind(StrEnum):
    """What somebody identifies themselves with."""

    TOKEN = "token"  # noqa: S105 - a word
    SESSION = "session"


class _Credential(Struct, frozen=True):
    """The parts of a token or session from a request. `key` is that of the cache, different for tokens and sessions."""

    kind: Kind
    id: str
    secret: str
    key: bytes

    @classmethod
    def read(cls, text: str, kind: Kind) -> Self:
        parts = split_token(text)
        if parts is None:
            raise InvalidTokenError(Reason.MALFORMED)
        return cls(kind, *parts, digest(f"{kind}:{text}"))


class InvalidTokenError(Exception):
    """The token or session is not valid. The text does not say why: that would help to guess one.

    Attributes:
        reason: Why, for the operator alone.
        token_id: The public part of the token where there is one with it, also of the session's; else None.
    """

    def __init__(self, reason: Reason, token_id: str | None = None) -> None:
        super().__init__("the token is not valid")
        self.reason = reason
        self.token_id = token_id


class IdentitiesUnavailableError(Exception):
    """The database is unavailable and the token was not verified lately."""


class Authentication:
    """Verifies the tokens and sessions of a database."""

    def __init__(
        self,
        database: Database,
        *,
        now: Now,
        monotonic: Monotonic,
        session_times: SessionTimes = DEFAULT_TIMES,
    ) -> None:
        self._database = database
        self._session_times = session_times
        self._forgotten = 0
        self._now = now
        self._monotonic = monotonic
        self._verified = VerifiedTokens()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def authenticate(self, text: str, kind: Kind = Kind.TOKEN) -> Identity:
        """Say whose token it is, from memory for `FRESH_SECONDS`, and for `STALE_SECONDS` while the database is unavailable.

        Raises:
            InvalidTokenError: It is malformed, unknown, expired or revoked, or its user was removed.
            IdentitiesUnavailableError: The database is unavailable, and the token not remembered.
        """
        credential = _Credential.read(text, kind)
        if identity := self._remembered(credential.key):
            return identity
        # Of several at the same time, one reads the database.
        async with self._locks.setdefault(credential.key, asyncio.Lock()):
            if identity := self._remembered(credential.key):
                return identity
            return await self._verify_and_remember(credential)

    async def authenticate_afresh(self, text: str, kind: Kind = Kind.TOKEN) -> Identity:
        """Say whose token it is without the cache, for changes: a token that was just revoked must not make any.

        Raises:
            InvalidTokenError: As above.
            IdentitiesUnavailableError: The database is unavailable.
        """
        try:
            return await self._verify(_Credential.read(text, kind))
        except DatabaseUnavailableError as error:
            raise IdentitiesUnavailableError(str(error)) from error

    async def owner_of_token(self, token_id: str) -> Identity:
        """Return the owner of a token by its public part. The caller has proved it in another way.

        Raises:
            InvalidTokenError: There is none, it is expired or revoked, or its user was removed.
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._database.within(VERIFY_SECONDS):
            document = await self._database.tokens.find_one({"_id": token_id})
            if document is None:
                raise InvalidTokenError(Reason.UNKNOWN)
            return await self._owner_of(document)

    def forget(self, *user_ids: UUID) -> None:
        """Verify the tokens and sessions of these users again from now on, in this process."""
        self._forgotten += 1
        ids = set(user_ids)
        self._verified.forget_of(lambda user: user.id in ids)

    def forget_group(self, group_id: UUID) -> None:
        """Verify the tokens and sessions of all that were in a group again from now on, in this process."""
        self._forgotten += 1
        self._verified.forget_of(lambda user: group_id in user.group_ids)

    def _remembered(self, key: bytes) -> Identity | None:
        available = self._database.health.available
        remembered = self._from_memory(FRESH_SECONDS if available else STALE_SECONDS, key)
        if remembered is None and not available:
            raise IdentitiesUnavailableError("MongoDB was unavailable a moment ago")
        return remembered

    async def _verify_and_remember(self, credential: _Credential) -> Identity:
        key, forgotten = credential.key, self._forgotten
        asked_at = self._monotonic()  # what is revoked from then on may be missing in what is read
        try:
            identity = await self._verify(credential)
        except InvalidTokenError:
            self._verified.forget(key)
            raise
        except DatabaseUnavailableError as error:
            self._database.health.lose(str(error))  # also if it was there, so that nobody else waits as long
            if known := self._from_memory(STALE_SECONDS, key):
                return known
            raise IdentitiesUnavailableError(str(error)) from error
        if forgotten == self._forgotten:  # else it may have been revoked since the query
            self._verified.add(key, identity, at=asked_at)
        return identity

    def _from_memory(self, seconds: float, key: bytes) -> Identity | None:
        return self._verified.get(key, now=self._now(), at=self._monotonic(), within=seconds)

    async def _verify(self, credential: _Credential) -> Identity:
        async with self._database.within(VERIFY_SECONDS):
            if credential.kind is Kind.SESSION:
                return await self._verify_session(credential.id, credential.secret)
            document = await self._database.tokens.find_one({"_id": credential.id})
            genuine = is_secret(credential.secret, document["secret_sha256"] if document else None)
            if document is None:
                raise InvalidTokenError(Reason.UNKNOWN)
            if not genuine:
                raise InvalidTokenError(Reason.WRONG_SECRET, credential.id)
            return await self._owner_of(document)

    async def _verify_session(self, session_id: str, secret: str) -> Identity:
        document = await self._database.sign_in_sessions.find_one({"_id": session_id})
        genuine = is_secret(secret, document["secret_sha256"] if document else None)
        now, times = self._now(), self._session_times
        if document is None or not genuine:
            raise InvalidTokenError(Reason.SESSION_ENDED)
        session = SignInSession.of(document)
        if has_ended(times.end_of(session), now):
            raise InvalidTokenError(Reason.SESSION_ENDED, session.token_id)
        if session.token_id is None:
            identity = await self.user_with_id(session.user_id)
        else:
            identity = await self.owner_of_token(session.token_id)
        used = times.used(session, now) if times.is_use_due(session, now) else session
        ends_at = min(times.end_of(used), identity.expires_at or used.expires_at)
        if used is not session:
            fields = {"last_used_at": used.last_used_at, "expires_at": ends_at}
            await self._database.sign_in_sessions.update_one({"_id": session_id}, {"$set": fields})
        return replace(identity, session_id=session_id, session_expires_at=ends_at)

    async def user_with_id(self, user_id: UUID) -> Identity:
        """Return a user by id. The caller has proved it without a token.

        Raises:
            InvalidTokenError: There is none, or they were removed.
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._database.within(VERIFY_SECONDS):
            user = await self._database.users.find_one({"_id": user_id, "removed_at": None})
        if user is None:
            raise InvalidTokenError(Reason.USER_REMOVED)
        return Identity(user=User.of(user))

    async def _owner_of(self, document: Mapping[str, Any]) -> Identity:
        """Say whose a genuine token is."""
        token = Token.of(document)
        if token.revoked_at is not None:
            raise InvalidTokenError(Reason.REVOKED, token.id)
        if has_ended(token.expires_at, self._now()):
            raise InvalidTokenError(Reason.EXPIRED, token.id)
        owner = await self._database.users.find_one({"_id": token.user_id, "removed_at": None})
        if owner is not None:
            user = User.of(owner)
        elif group := await self._database.groups.find_one({"_id": token.user_id, "removed_at": None}):
            user = service_of(Group.of(group))
        else:
            raise InvalidTokenError(Reason.USER_REMOVED, token.id)
        return Identity(
            user=user, token_id=token.id, bound_by=token.bound_by, at_desk=token.at_desk, expires_at=token.expires_at
        )


MAX_TOKENS = 100_000
"""How many are held of each. Of more, those that are not among them count as guesses."""

LIST_SECONDS = 5.0
"""How long they are believed to be all: a token that was created since then counts as a guess."""

READ_SECONDS = 2.0
"""How long the database may take to read them."""

_NEVER = float("-inf")


class ActiveTokens:
    """The active tokens and sessions of a database, read on demand, at most once in `LIST_SECONDS`.

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
            if self._monotonic() - self._read_at >= LIST_SECONDS:
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
