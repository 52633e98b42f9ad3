"""Users and their tokens: who may call, and what they may see. Each change leaves an entry in the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import pymongo
from msgspec.structs import replace
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from storage.audit import COMMAND_LINE, Action, Author, entry
from storage.authentication import (
    AWAY_SECONDS,
    Authentication,
    IdentitiesUnavailableError,
    InvalidTokenError,
    Kind,
)
from storage.database import Database, Session, database_errors
from storage.documents import shown_time
from storage.indexes import ANY_CASE
from storage.sign_in_sessions import DEFAULT_TIMES, SessionTimes
from storage.tokens import digest, is_over, new_token
from storage.users import (
    Identity,
    IdentityConflictError,
    IdentityError,
    Role,
    Token,
    UnknownIdentityError,
    User,
    checked_name,
    checked_username,
    is_same_name,
    milliseconds,
    read_token,
    read_user,
)

__all__ = [
    "AWAY_SECONDS",
    "Identities",
    "IdentitiesUnavailableError",
    "Identity",
    "IdentityConflictError",
    "IdentityError",
    "InvalidTokenError",
    "Kind",
    "Role",
    "Token",
    "UnknownIdentityError",
    "User",
]

T = TypeVar("T")

ANSWER_SECONDS = 2.0
"""How long the database may take for a list or a change of users or tokens."""

MAX_TOKENS_A_DAY = 100
"""How many tokens a user who is no owner creates in a day: each is kept, revoked or not, and so is the trail of it."""

LAST_OWNER = "is the last owner: make somebody else an owner first"
TOO_MANY_TOKENS = (
    '"{}" has as many active tokens as are allowed, {} (tokens-per-user): revoke one first, or ask an owner'
)
TOO_MANY_TODAY = '"{}" has got {} tokens within a day, which is the limit: come back tomorrow, or ask an owner'
OUTLIVES = "the token would outlive the one it is made with, which expires at {}: give a shorter `expires`, or none"
NOT_ONESELF = "you cannot remove yourself: another owner can"


class Identities(Authentication):
    """The users and tokens of a database. Every method that asks it raises `DatabaseUnavailableError`, but `authenticate`.

    Whoever changes something is its `author`. The command line may also remove the last owner; users may not.

    Args:
        database: Where they are kept.
        now: The wall clock, in UTC.
        monotonic: A clock that never jumps, in seconds.
        tokens_per_user: How many active tokens a user may have of whom no owner made them; 0 is any number.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        tokens_per_user: int = 0,
        session_times: SessionTimes = DEFAULT_TIMES,
    ) -> None:
        super().__init__(database, now=now, monotonic=monotonic, session_times=session_times)
        self._tokens_per_user = tokens_per_user
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def add_user(
        self, username: str, *, role: Role, display_name: str | None = None, author: Author = COMMAND_LINE
    ) -> User:
        """Add a user; `display_name` is the username unless given.

        Raises:
            IdentityError: The username or display name is not allowed.
            IdentityConflictError: The username is taken.
        """
        user = User(
            id=uuid4(),
            username=checked_username(username),
            display_name=checked_name("display name", display_name or username),
            role=role,
            created_at=self._moment(),
        )
        kept = {"username": username, "display_name": user.display_name, "role": role.value}
        document = {"_id": user.id, "schema_version": 1, **kept, "created_at": user.created_at, "removed_at": None}

        async def add(session: Session | None) -> None:
            if same := await self._users_named(username, session):
                raise IdentityConflictError(f'a user named "{same[0].username}" exists already')
            await self._database.users.insert_one(document, session=session)
            await self._note(session, author, Action.USER_ADDED, user, role=role.value, name=user.display_name)

        try:
            await self._change(add)
        except DuplicateKeyError:  # added at the same moment
            raise IdentityConflictError(f'a user named "{username}" exists already') from None
        return user

    async def list_users(self) -> list[User]:
        """List the users that were not removed, by name."""
        with database_errors():
            found = self._database.users.find({"removed_at": None}).sort("username").collation(ANY_CASE)
            return [read_user(document) async for document in found]

    async def users_page(self, *, limit: int, offset: int) -> tuple[int, list[tuple[User, int]]]:
        """Return how many users there are, and some of them, by name, each with the number of their living tokens."""
        living = {"removed_at": None}
        with database_errors(), pymongo.timeout(ANSWER_SECONDS):
            count = await self._database.users.count_documents(living)
            cursor = self._database.users.find(living).sort("username").collation(ANY_CASE).skip(offset).limit(limit)
            users = [read_user(document) async for document in cursor]
            tokens = await self._living_tokens([user.id for user in users])
        return count, [(user, tokens.get(user.id, 0)) for user in users]

    async def _living_tokens(self, user_ids: list[UUID]) -> dict[UUID, int]:
        living = {"user_id": {"$in": user_ids}, **self._active()}
        pipeline: list[dict[str, Any]] = [{"$match": living}, {"$group": {"_id": "$user_id", "tokens": {"$sum": 1}}}]
        return {found["_id"]: found["tokens"] async for found in self._database.tokens.aggregate(pipeline)}

    async def find_user(self, username: str) -> User | None:
        """Find a user that was not removed; case makes no difference."""
        with database_errors():
            return await self._find_user(username, None)

    async def users_by_id(self, ids: Iterable[UUID]) -> dict[UUID, User]:
        """Find users, removed ones too, so that history keeps its names."""
        with database_errors():
            cursor = self._database.users.find({"_id": {"$in": list(set(ids))}})
            return {document["_id"]: read_user(document) async for document in cursor}

    async def change_user(
        self, username: str, *, role: Role | None = None, display_name: str | None = None, author: Author = COMMAND_LINE
    ) -> User:
        """Change what is given; an empty display name stands for the username.

        Raises:
            UnknownIdentityError: There is no such user.
            IdentityConflictError: There would be no owner any more.
            IdentityError: The display name is not allowed.
        """
        name = None if display_name is None else checked_name("display name", display_name)

        async def change(session: Session | None) -> User:
            user = await self._existing_user(username, session)
            shown = user.display_name if name is None else name or user.username
            changed = replace(user, role=role or user.role, display_name=shown)
            if user.role is Role.OWNER and changed.role is not Role.OWNER:
                await self._leave_an_owner(user, author, session)
            detail: dict[str, str] = {}
            if changed.role is not user.role:
                detail |= {"role": changed.role.value, "role_before": user.role.value}
            if changed.display_name != user.display_name:
                detail |= {"name": changed.display_name, "name_before": user.display_name}
            if detail:
                fields = {"role": changed.role.value, "display_name": changed.display_name}
                await self._database.users.update_one({"_id": user.id}, {"$set": fields}, session=session)
                await self._note(session, author, Action.USER_CHANGED, user, **detail)
            return changed

        user = await self._change(change)
        self.forget(user.id)
        return user

    async def remove_user(self, username: str, *, author: Author = COMMAND_LINE) -> None:
        """Remove a user: all tokens die, the name becomes free, history keeps it.

        Raises:
            UnknownIdentityError: There is no such user.
            IdentityConflictError: It is the author, or the last owner.
        """
        at = self._moment()

        async def remove(session: Session | None) -> User:
            user = await self._existing_user(username, session)
            if author.user is not None and author.user.id == user.id:
                raise IdentityConflictError(NOT_ONESELF)
            if user.role is Role.OWNER:
                await self._leave_an_owner(user, author, session)
            await self._database.users.update_one({"_id": user.id}, {"$set": {"removed_at": at}}, session=session)
            revoked = await self._database.tokens.update_many(
                {"user_id": user.id, "revoked_at": None}, {"$set": {"revoked_at": at}}, session=session
            )
            await self._database.sign_in_sessions.delete_many({"user_id": user.id}, session=session)
            await self._note(session, author, Action.USER_REMOVED, user, revoked_tokens=revoked.modified_count)
            return user

        self.forget((await self._change(remove)).id)

    async def _leave_an_owner(self, user: User, author: Author, session: Session | None) -> None:
        """Raise if nobody else is an owner. Who is, is written to: so two owners cannot remove one another at once."""
        others = {"role": Role.OWNER.value, "removed_at": None, "_id": {"$ne": user.id}}
        witness = {"$inc": {"witnessed": 1}}
        found = await self._database.users.update_one(others, witness, session=session)
        if not found.matched_count and author.user is not None:
            raise IdentityConflictError(f'"{user.username}" {LAST_OWNER}')

    async def create_token(
        self, username: str, *, name: str = "", expires_at: datetime | None = None, author: Author = COMMAND_LINE
    ) -> tuple[Token, str]:
        """Make a token for a user. Returns what is known of it and the token, which nobody can ask for again.

        A token that is made with one that expires does not outlive it; unless `expires_at` is given, it expires with it.

        Raises:
            UnknownIdentityError: There is no such user.
            IdentityConflictError: The user has `tokens_per_user` active tokens already, and no owner makes this one.
            IdentityError: The name is not allowed, or `expires_at` is past or too late.
        """
        expires_at = _capped(expires_at, author.expires_at)
        text = new_token()
        token_id, _, secret = text.partition("-")
        document = {
            "_id": token_id,
            "schema_version": 1,
            "name": checked_name("token's name", name),
            "secret_sha256": digest(secret),
            "created_at": self._moment(),
            "expires_at": expires_at and milliseconds(expires_at),
            "revoked_at": None,
        }

        async def create(session: Session | None) -> Token:
            user = await self._existing_user(username, session)
            if is_over(expires_at, self._now()):
                raise IdentityError("a token cannot expire in the past")
            kept = document | {"user_id": user.id}
            await self._database.tokens.insert_one(kept, session=session)
            if author.user is not None and author.user.role is not Role.OWNER:
                await self._keep_to_the_limit(user, token_id, session)
            token = read_token(kept)
            detail = {"token_id": token.id, "name": token.name, "expires_at": token.expires_at}
            await self._note(session, author, Action.TOKEN_CREATED, user, **detail)
            return token

        async with self._making.setdefault(username.lower(), asyncio.Lock()):
            return await self._change(create), text

    async def _keep_to_the_limit(self, user: User, token_id: str, session: Session | None) -> None:
        """Raise if the new token is one too many. The user is written to: so two of them cannot both be the last."""
        await self._database.users.update_one({"_id": user.id}, {"$inc": {"witnessed": 1}}, session=session)
        own = {"user_id": user.id}
        today = own | {"created_at": {"$gt": self._now() - timedelta(days=1)}}
        for meant, limit, refusal in (
            (own | self._active(), self._tokens_per_user, TOO_MANY_TOKENS),
            (today, MAX_TOKENS_A_DAY, TOO_MANY_TODAY),
        ):
            if limit and await self._database.tokens.count_documents(meant, session=session) > limit:
                if session is None:  # nothing undoes what was written
                    await self._database.tokens.delete_one({"_id": token_id})
                raise IdentityConflictError(refusal.format(user.username, limit))

    def _active(self) -> dict[str, Any]:
        """What tokens are that are neither revoked nor expired."""
        return {"revoked_at": None, "$or": [{"expires_at": None}, {"expires_at": {"$gt": self._now()}}]}

    async def list_tokens(self, username: str) -> list[Token]:
        """List a user's tokens, oldest first, expired and revoked ones too.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        with database_errors():
            user = await self._existing_user(username, None)
            cursor = self._database.tokens.find({"user_id": user.id}).sort("created_at")
            return [read_token(document) async for document in cursor]

    async def tokens_page(self, username: str, *, limit: int, offset: int) -> tuple[int, list[Token]]:
        """Return how many tokens a user has, expired and revoked ones too, and some of them, newest first.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        with database_errors(), pymongo.timeout(ANSWER_SECONDS):
            own = {"user_id": (await self._existing_user(username, None)).id}
            count = await self._database.tokens.count_documents(own)
            cursor = self._database.tokens.find(own).sort("created_at", DESCENDING).skip(offset).limit(limit)
            return count, [read_token(document) async for document in cursor]

    async def revoke_token(self, token_id: str, *, of: str | None = None, author: Author = COMMAND_LINE) -> None:
        """Revoke a token. One that was revoked stays so.

        Args:
            token_id: The public part of it.
            of: The name of the user whose it must be, if any.
            author: Who revokes it.

        Raises:
            UnknownIdentityError: There is no such user or token.
        """

        async def revoke(session: Session | None) -> Token:
            own = {} if of is None else {"user_id": (await self._existing_user(of, session)).id}
            document = await self._database.tokens.find_one({"_id": token_id, **own}, session=session)
            if document is None:
                raise UnknownIdentityError(
                    f'there is no token with the id "{token_id}": it is the part before the hyphen'
                )
            token = read_token(document)
            living, revoked = {"_id": token.id, "revoked_at": None}, {"$set": {"revoked_at": self._moment()}}
            if (await self._database.tokens.update_one(living, revoked, session=session)).modified_count:
                made_with_it = {"user_id": token.user_id, "token_id": token.id}
                await self._database.sign_in_sessions.delete_many(made_with_it, session=session)
                users = await self.users_by_id([token.user_id])
                detail = {"token_id": token.id, "name": token.name}
                await self._note(session, author, Action.TOKEN_REVOKED, users[token.user_id], **detail)
            return token

        self.forget((await self._change(revoke)).user_id)

    async def _change(self, change: Callable[[Session | None], Awaitable[T]]) -> T:
        with database_errors(), pymongo.timeout(ANSWER_SECONDS):
            return await self._database.together(change)

    async def _note(
        self, session: Session | None, author: Author, action: Action, subject: User, **detail: Any
    ) -> None:
        document = entry(author, action, subject, at=self._moment(), **detail)
        await self._database.audit.insert_one(document, session=session)

    async def _find_user(self, username: str, session: Session | None) -> User | None:
        users = await self._users_named(username, session)
        # Only names that an earlier version gave can differ in case alone: then the exact one is meant.
        exact = [user for user in users if user.username == username]
        return next(iter(exact or (users if len(users) == 1 else ())), None)

    async def _users_named(self, username: str, session: Session | None) -> list[User]:
        living = {"username": username, "removed_at": None}
        found = self._database.users.find(living, session=session).collation(ANY_CASE)
        # The collation makes no difference between more than case.
        users = [read_user(document) async for document in found]
        return [user for user in users if is_same_name(user.username, username)]

    async def _existing_user(self, username: str, session: Session | None) -> User:
        user = await self._find_user(username, session)
        if user is None:
            raise UnknownIdentityError(f'there is no user named "{username}"')
        return user

    def _moment(self) -> datetime:
        return milliseconds(self._now())


def _capped(expires_at: datetime | None, latest: datetime | None) -> datetime | None:
    """When a token expires that is made with one that expires at `latest`; None is never.

    Raises:
        IdentityError: It would outlive that one.
    """
    if latest is None or expires_at is None:
        return expires_at or latest
    if expires_at > latest:
        raise IdentityError(OUTLIVES.format(shown_time(latest)))
    return expires_at
