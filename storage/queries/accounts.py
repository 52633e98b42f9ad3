"""Users and tokens with what there is of them, and the audit trail, as lists show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from pymongo import DESCENDING

from limits.calendar import bounds_of, from_ns, to_ns
from limits.limit import BudgetPeriod
from storage.accounts.audit import ANSWER_SECONDS
from storage.accounts.events import Action
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.token_texts import is_secret, split_token
from storage.accounts.token_uses import TokenUses
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import Group, Person, Token, TokenUse, UnknownIdentityError, User, read_id
from storage.mongo.clocks import Now
from storage.mongo.database import Database, page_of
from storage.mongo.indexes import ANY_CASE, AUDIT_BY_TIME
from storage.queries.money import spend_by_user
from storage.queries.paging import Paging
from storage.queries.questions.questions import Questions

MAX_NAMED = 10
"""How many tokens of one name are found at most."""

MAX_USERS = 1_000
"""How many users a search means at most whose names it matches."""

NOT_A_TOKEN = "no token of this bridge: it is unknown, or not complete"  # noqa: S105 - a sentence

_ENTRIES = Paging("entry", "at")


class People:
    """The users of a database. Every method raises `DatabaseUnavailableError`."""

    def __init__(
        self,
        database: Database,
        accounts: UserAccounts,
        groups: Groups,
        uses: TokenUses,
        *,
        now: Now,
    ) -> None:
        self._database = database
        self._questions = Questions(database)
        self._accounts = accounts
        self._groups = groups
        self._uses = uses
        self._now = now

    async def page(self, *, limit: int, offset: int) -> tuple[int, list[Person]]:
        """Return how many users there are, and some of them, by name. A limit of 0 is none."""
        async with self._database.query():
            order = [("username", 1)]
            count, found = await page_of(
                self._database.users, {"removed_at": None}, order, limit, offset, collation=ANY_CASE
            )
        return count, await self._persons(list(map(User.of, found)))

    async def find(self, user: str) -> Person:
        """Find a user by name or id.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        (person,) = await self._persons([await self._accounts.existing(user)])
        return person

    async def spend_of(self, user: User, period: BudgetPeriod = BudgetPeriod.MONTH) -> Decimal:
        """What the calls of a user, or of the service tokens of a group, cost since the period began in UTC, in US dollars."""
        return (await self._spend([user.id], period)).get(user.id, Decimal(0))

    async def _spend(self, ids: Sequence[UUID], period: BudgetPeriod = BudgetPeriod.MONTH) -> dict[UUID, Decimal]:
        begin, end = map(from_ns, bounds_of(period, "UTC", to_ns(self._now())))
        return await spend_by_user(self._questions, ids, begin, end)

    async def _persons(self, users: Sequence[User]) -> list[Person]:
        ids = [user.id for user in users]
        active: dict[str, Any] = {"user_id": {"$in": ids}, **self._accounts.active()}
        by_user = {"$group": {"_id": "$user_id", "tokens": {"$sum": 1}}}
        async with self._database.query():
            counted = await self._database.tokens.aggregate([{"$match": active}, by_user]).to_list(None)
        tokens = {one["_id"]: one["tokens"] for one in counted}
        groups = await self._groups.by_id(id_ for user in users for id_ in user.group_ids)
        seen = await self._uses.last_seen(ids)
        spend = await self._spend(ids)
        return [
            Person(
                user=user,
                groups=_by_name(groups[id_] for id_ in user.group_ids if id_ in groups),
                active_tokens=tokens.get(user.id, 0),
                last_seen_at=seen.get(user.id),
                spend_usd=spend.get(user.id, Decimal(0)),
            )
            for user in users
        ]


def _by_name(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: group.name.lower()))


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
            return await self._page(await self._filter(text) if text else {}, limit, offset)

    async def of_user(self, username: str, *, limit: int, offset: int) -> tuple[int, list[TokenDetails]]:
        """Return how many tokens a user has, and some of them, newest first. A limit of 0 is none.

        Raises:
            UnknownIdentityError: There is no such user.
        """
        async with self._database.query():
            user = await self._identities.existing_holder(username, None)
            return await self._page({"user_id": user.id}, limit, offset)

    async def _page(self, meant: Mapping[str, Any], limit: int, offset: int) -> tuple[int, list[TokenDetails]]:
        newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
        count, found = await page_of(self._database.tokens, meant, newest, limit, offset)
        return count, await self._details(list(map(Token.of, found)))

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


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which entries are requested; None and nothing are all.

    Attributes:
        start: From then on.
        end: Until before then.
        actions: One of these things was done.
        user: Who did it or whom it concerned: a username in any case, or an id.
        subject: Whom it concerned, by username.
    """

    start: datetime | None = None
    end: datetime | None = None
    actions: Sequence[Action] = ()
    user: str = ""
    subject: str = ""

    def filter(self, usernames: Sequence[str]) -> dict[str, Any]:
        """What MongoDB finds them by. `usernames` are `user` as users are called."""
        times = {operator: time for operator, time in (("$gte", self.start), ("$lt", self.end)) if time is not None}
        found: dict[str, Any] = {"at": times} if times else {}
        if self.actions:
            found["action"] = {"$in": [action.value for action in self.actions]}
        if self.subject:
            found["subject.username"] = self.subject
        if self.user:
            id_ = read_id(self.user)
            wanted: dict[str, Any] = {} if id_ is None else {"id": id_}
            if names := [*usernames, *(() if id_ else (self.user,))]:
                wanted["username"] = {"$in": names}  # of which there are indexes
            found["$or"] = [{f"{who}.{name}": value for name, value in wanted.items()} for who in ("actor", "subject")]
        return found


ALL_ENTRIES: Final = AuditQuery()


async def audit_page(
    database: Database, query: AuditQuery = ALL_ENTRIES, *, limit: int, after_id: UUID | None = None
) -> list[dict[str, Any]]:
    """List the documents of entries, newest first; see `storage.queries.paging`.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    async with database.within(ANSWER_SECONDS):
        every = [query.filter(await _usernames(database, query.user) if query.user else ())]
        if after_id is not None:
            every.append(_ENTRIES.behind(await _ENTRIES.locate(database.audit, after_id, {})))
        cursor = database.audit.find({"$and": every}).sort(AUDIT_BY_TIME).limit(limit)
        return [document async for document in cursor]


async def _usernames(database: Database, user: str) -> list[str]:
    """What users of this name, in any case, or of this id are called. Removed ones are among them."""
    wanted = {"username": user} if (id_ := read_id(user)) is None else {"_id": id_}
    found = database.users.find(wanted, {"username": True}, collation=ANY_CASE)
    return [one["username"] async for one in found]
