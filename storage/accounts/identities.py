"""Users and their tokens. Each change leaves an entry in the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID
from weakref import WeakValueDictionary

from msgspec.structs import replace

from intercept.times import format_time
from storage.accounts.audit import COMMAND_LINE, Author
from storage.accounts.authentication import InvalidTokenError
from storage.accounts.events import Action, Reason
from storage.accounts.sign_in.sessions import DEFAULT_TIMES, SessionTimes
from storage.accounts.subjects import witness_holder
from storage.accounts.token_texts import derived_token, digest, has_ended, is_secret, new_token
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import (
    IdentityConflictError,
    IdentityError,
    Role,
    Token,
    UnknownIdentityError,
    User,
    checked_name,
    milliseconds,
)
from storage.mongo.clocks import Monotonic, Now
from storage.mongo.database import Database, Session

MAX_TOKENS_A_DAY = 100
"""Tokens that a user who is not an owner may create in a day: revoked ones and their audit entries are kept too."""

TOO_MANY_TOKENS = '"{}" has {} active tokens, the maximum (tokens-per-user): revoke one first, or ask an owner'
TOO_MANY_TODAY = '"{}" created {} tokens within a day, the maximum: try again tomorrow, or ask an owner'
OUTLIVES = "the token cannot expire later than the token that creates it, at {}: set a shorter `expires`, or none"


GRACE = timedelta(minutes=10)
"""How long what has refreshed a token gives the same answer again."""

KEPT_REFRESHABLE = timedelta(days=30)
"""How long after its end a token can still be refreshed."""


class RefreshedToken(NamedTuple):
    """A token that was refreshed, its text, and what refreshes it next."""

    token: Token
    text: str
    refresh: str


def _refreshed(token: Token, refresh: str, nonce: str) -> RefreshedToken:
    return RefreshedToken(token, *(derived_token(kind, token.id, refresh, nonce) for kind in ("token", "refresh")))


class _NewToken(NamedTuple):
    """A token to be, as text and as its document without its user."""

    text: str
    document: dict[str, Any]

    @classmethod
    def make(cls, name: str, expires_at: datetime | None, now: datetime) -> Self:
        text = new_token()
        token_id, _, secret = text.partition("-")
        kept = {"_id": token_id, "schema_version": 1, "name": name, "secret_sha256": digest(secret), "created_at": now}
        return cls(text, {**kept, "expires_at": expires_at and milliseconds(expires_at), "revoked_at": None})


class Identities(UserAccounts):
    """The users and tokens of a database.

    Every method with a query raises `DatabaseUnavailableError`, except `authenticate`.
    A user or token that is not there raises `UnknownIdentityError`, except where a method returns None or leaves it out.

    A token that somebody makes with a token of their own, or that replaces one, is bound by the policies of these: nobody
    gets past a policy, or begins its counts anew, by another token.

    Args:
        tokens_per_user: Active tokens that a user may have; owners may create more for them. 0 is unlimited.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Now,
        monotonic: Monotonic,
        tokens_per_user: int = 0,
        session_times: SessionTimes = DEFAULT_TIMES,
    ) -> None:
        super().__init__(database, now=now, monotonic=monotonic, session_times=session_times)
        self._tokens_per_user = tokens_per_user
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create_token(
        self,
        username: str,
        *,
        name: str = "",
        expires_at: datetime | None = None,
        author: Author = COMMAND_LINE,
        first: Callable[[Session], Awaitable[None]] | None = None,
        by_device: bool = False,
        at_desk: bool = False,
    ) -> tuple[Token, str]:
        """Create a token for a user. Return its metadata and the token, which cannot be read again.

        A token created with an expiring one expires no later; without `expires_at`, at the same time. What is to be
        done `first` is a part of the change: where either fails, neither is done. One that is made `by_device` takes the place
        of another one that was, used longest ago, where the user would have too many; `at_desk` says more of it.

        Raises:
            IdentityConflictError: The user has `tokens_per_user` active tokens already, and the author is not an owner.
            IdentityError: The name is not allowed, or `expires_at` is past or too late.
        """
        expires_at = capped_expiry(expires_at, author.expires_at)
        new = _NewToken.make(checked_name("token's name", name), expires_at, self._now())

        async def create(session: Session) -> Token:
            if first is not None:
                await first(session)
            user = await self.existing_holder(username, session)
            if by_device:
                new.document.update(by_device=True, at_desk=at_desk)
            if by_device and _is_limited(author):
                await self._make_room(user, author, session)
            return await self._add_token(new, user, author, session)

        async with self._making.setdefault(username.lower(), asyncio.Lock()):
            token = await self._change(create)
        if by_device:
            self.forget(token.user_id)
        return token, new.text

    async def replace_token(
        self,
        token_id: str,
        *,
        overlap: timedelta,
        expires_at: datetime | None = None,
        of: UUID | None = None,
        author: Author = COMMAND_LINE,
    ) -> tuple[Token, str]:
        """Create a token for the same user, with the same name. The old one works for `overlap` longer.

        Args:
            token_id: The public part of the token that is replaced.
            overlap: How long both work, at most.
            expires_at: When the new one expires. None is after as long a time as the other one had.
            of: The id of the user whose it must be, if any.
            author: Who replaces it. As with `create_token`, a token does not outlive the one it is made with.

        Raises:
            IdentityConflictError: It is not valid any more, or the user has too many.
            IdentityError: `expires_at` is past or too late.
        """
        expires_at = expires_at and capped_expiry(expires_at, author.expires_at)

        async def change(session: Session) -> tuple[Token, str]:
            old, now = await self._existing_token(token_id, of, session), self._now()
            if old.revoked_at is not None or has_ended(old.expires_at, now):
                raise IdentityConflictError(f'the token "{old.id}" is not valid any more: create another one')
            usual = None if old.expires_at is None else now + (old.expires_at - old.created_at)
            latest = [at for at in (expires_at or usual, author.expires_at) if at is not None]
            new = _NewToken.make(old.name, min(latest, default=None), now)
            user = (await self.users_by_id([old.user_id]))[old.user_id]
            token = await self._add_token(new, user, author, session, replaced=old)
            ends_at = milliseconds(min(now + overlap, old.expires_at or now + overlap))
            await self._database.tokens.update_one({"_id": old.id}, {"$set": {"expires_at": ends_at}}, session=session)
            detail = {"token_id": old.id, "name": old.name, "expires_at": ends_at, "replaced_by": token.id}
            await self._audit(session, author, Action.TOKEN_REPLACED, user, **detail)
            return token, new.text

        async with self._making.setdefault(token_id, asyncio.Lock()):
            token, text = await self._change(change)
        self.forget(token.user_id)
        return token, text

    async def make_refreshable(self, token: Token) -> str:
        """Return what refreshes a token from now on."""
        text = f"{token.id}-{new_token().partition('-')[2]}"
        async with self._database.query():
            await self._database.tokens.update_one(
                {"_id": token.id}, {"$set": {"refresh": {"sha256": digest(text), "nonce": new_token()}}}
            )
        return text

    async def refresh_token(self, refresh: str, *, lasts: timedelta, client_ip: str = "") -> RefreshedToken:
        """Give a token another secret, and another time to last, by what refreshes it; that is another text from then on.

        Several processes of a user have the same text and send it at the same time. So for `GRACE` the one before gives the
        same answer again: both new texts are derived from it and from what is kept, and nothing that is kept is a secret.

        Raises:
            InvalidTokenError: It refreshes no token, or not any more; or the user was removed.
        """
        token_id, nonce = refresh.partition("-")[0], new_token()

        async def renew(session: Session) -> RefreshedToken:
            now, found = self._now(), await self._database.tokens.find_one({"_id": token_id}, session=session)
            if found is None or "refresh" not in found:
                raise InvalidTokenError(Reason.UNKNOWN)
            kept: dict[str, Any] = found["refresh"]
            before: dict[str, Any] = kept.get("before", {})
            is_again = is_secret(refresh, before.get("sha256")) and now < before["until"]
            if not is_again and not is_secret(refresh, kept["sha256"]):
                raise InvalidTokenError(Reason.WRONG_SECRET, token_id)
            if found["revoked_at"] is not None or has_ended(found["expires_at"] + KEPT_REFRESHABLE, now):
                raise InvalidTokenError(Reason.REVOKED, token_id)
            if is_again:
                return _refreshed(Token.of(found), refresh, before["nonce"])
            user = (await self.users_by_id([found["user_id"]]))[found["user_id"]]
            if not await witness_holder(self._database, user, session):
                raise InvalidTokenError(Reason.USER_REMOVED, token_id)
            token = replace(Token.of(found), expires_at=milliseconds(now + lasts))
            answer = _refreshed(token, refresh, kept["nonce"])
            before = {"sha256": kept["sha256"], "nonce": kept["nonce"], "until": now + GRACE}
            fields = {
                "secret_sha256": digest(answer.text.partition("-")[2]),
                "expires_at": token.expires_at,
                "refresh": {"sha256": digest(answer.refresh), "nonce": nonce, "before": before},
            }
            await self._database.tokens.update_one({"_id": token_id}, {"$set": fields}, session=session)
            detail = {"token_id": token_id, "name": token.name, "expires_at": token.expires_at, "replaced_by": token_id}
            await self._audit(session, Author(user, client_ip, token_id), Action.TOKEN_REPLACED, user, **detail)
            return answer

        async with self._making.setdefault(token_id, asyncio.Lock()):
            answer = await self._change(renew)
        self.forget(answer.token.user_id)
        return answer

    async def _bound_by(self, user: User, author: Author, replaced: Token | None, session: Session) -> tuple[str, ...]:
        """The tokens with a policy that a new token of a user is made with or replaces, and those by which these are bound."""
        own = {author.token_id} if author.user is not None and author.user.id == user.id else set()
        made_of = [one for one in own | {replaced and replaced.id} if one is not None]
        found = await self._database.tokens.find({"_id": {"$in": made_of}}, session=session).to_list(None)
        binding = {*made_of, *(id_ for one in found for id_ in Token.of(one).bound_by)}
        saying: dict[str, Any] = {"level": "token", "key": {"$in": sorted(binding)}, "policy": {"$ne": {}}}
        policies = self._database.policies.find(saying, {"key": True}, session=session)
        return tuple(sorted([one["key"] async for one in policies]))

    async def binding_of(self, token_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The tokens by which others are bound, of those of these that are bound by any."""
        bound: dict[str, Any] = {"_id": {"$in": list(token_ids)}, "bound_by": {"$exists": True, "$ne": []}}
        async with self._database.query():
            return {one["_id"]: tuple(one["bound_by"]) async for one in self._database.tokens.find(bound)}

    async def _add_token(
        self, new: _NewToken, user: User, author: Author, session: Session, replaced: Token | None = None
    ) -> Token:
        """Write a new token of a user, who may have one more of them than usual where it replaces one."""
        if has_ended(new.document["expires_at"], self._now()):
            raise IdentityError("a token cannot expire in the past")
        # Two tokens cannot both be the last, and none is made while its owner is removed.
        if not await witness_holder(self._database, user, session):
            raise UnknownIdentityError(f'"{user.username}" was removed')
        bound_by = await self._bound_by(user, author, replaced, session)
        kept = new.document | {"user_id": user.id, "bound_by": bound_by}
        await self._database.tokens.insert_one(kept, session=session)
        if _is_limited(author):
            await self._keep_to_the_limit(user, session, int(replaced is not None))
        token = Token.of(kept)
        detail = {"token_id": token.id, "name": token.name, "expires_at": token.expires_at}
        await self._audit(session, author, Action.TOKEN_CREATED, user, **detail)
        return token

    async def _make_room(self, user: User, author: Author, session: Session) -> None:
        """Revoke the token that was used longest ago of those made by device, if the user has as many as they may."""
        active = {"user_id": user.id} | self.active()
        tokens, uses = self._database.tokens, self._database.token_uses
        if not self._tokens_per_user or await tokens.count_documents(active, session=session) < self._tokens_per_user:
            return
        replaceable = active | {"by_device": True, "_id": {"$ne": author.token_id}}
        found = [Token.of(one) async for one in tokens.find(replaceable, session=session)]
        ids = [one.id for one in found]
        used = {one["_id"]: one["at"] async for one in uses.find({"_id": {"$in": ids}}, session=session)}
        if found:
            await self._revoke(min(found, key=lambda one: used.get(one.id, one.created_at)), author, session)

    async def _existing_token(self, token_id: str, of: UUID | None, session: Session) -> Token:
        own = {} if of is None else {"user_id": of}
        document = await self._database.tokens.find_one({"_id": token_id, **own}, session=session)
        if document is None:
            raise UnknownIdentityError(f'no token with the id "{token_id}" (the part before the hyphen)')
        return Token.of(document)

    async def _keep_to_the_limit(self, user: User, session: Session, spare: int) -> None:
        """Raise if the new token is one too many."""
        own = {"user_id": user.id}
        today = own | {"created_at": {"$gt": self._now() - timedelta(days=1)}}
        for meant, limit, refusal, more in (
            (own | self.active(), self._tokens_per_user, TOO_MANY_TOKENS, spare),
            (today, MAX_TOKENS_A_DAY, TOO_MANY_TODAY, 0),
        ):
            if limit and await self._database.tokens.count_documents(meant, session=session) > limit + more:
                raise IdentityConflictError(refusal.format(user.username, limit))

    async def list_tokens(self, username: str) -> list[Token]:
        """List a user's tokens, oldest first, expired and revoked ones too."""
        async with self._database.query():
            user = await self.existing_holder(username, None)
            cursor = self._database.tokens.find({"user_id": user.id}).sort("created_at")
            return [Token.of(document) async for document in cursor]

    async def revoke_token(self, token_id: str, *, of: str | None = None, author: Author = COMMAND_LINE) -> None:
        """Revoke a token by its public part, of the user `of` if given; harmless if it is revoked already."""

        async def revoke(session: Session) -> Token:
            owner = None if of is None else (await self.existing_holder(of, session)).id
            token = await self._existing_token(token_id, owner, session)
            await self._revoke(token, author, session)
            return token

        self.forget((await self._change(revoke)).user_id)

    async def _revoke(self, token: Token, author: Author, session: Session) -> None:
        active, revoked = {"_id": token.id, "revoked_at": None}, {"$set": {"revoked_at": self._now()}}
        if (await self._database.tokens.update_one(active, revoked, session=session)).modified_count:
            made_with_it = {"user_id": token.user_id, "token_id": token.id}
            await self._database.sign_in_sessions.delete_many(made_with_it, session=session)
            users = await self.users_by_id([token.user_id])
            detail = {"token_id": token.id, "name": token.name}
            await self._audit(session, author, Action.TOKEN_REVOKED, users[token.user_id], **detail)


def _is_limited(author: Author) -> bool:
    """Whether who creates tokens may create only so many."""
    return author.user is not None and author.user.role is not Role.OWNER


def capped_expiry(expires_at: datetime | None, latest: datetime | None) -> datetime | None:
    """When a token expires that is made with one that expires at `latest`; None is never.

    Raises:
        IdentityError: It would outlive that one.
    """
    if latest is None or expires_at is None:
        return expires_at or latest
    if expires_at > latest:
        raise IdentityError(OUTLIVES.format(format_time(latest)))
    return expires_at
