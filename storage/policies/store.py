"""Policies in the database: read and changed, each change with an entry in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from intercept.ids import format_id
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import AnyPolicy
from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.groups import Groups
from storage.accounts.subjects import witness
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import ChangedMeanwhileError, Token, UnknownIdentityError, User
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session, page_of
from storage.mongo.followed import count_change
from storage.policies.documents import KeptPolicy, document_of, kind_of, path_of, read_document

NO_VERSION: Final = "0"
"""The version of a policy that was never set."""

_CHANGED: Final = "the policy of {} was changed meanwhile; read it again"
_NO_TOKEN: Final = 'no token with the id "{}" (the part before the hyphen)'  # noqa: S105 - it is no password


class PolicyStore(Changes):
    """The policies of a database. A user or group is meant by name or id, a token by the public part of it.

    `on_change` is called for every policy that was changed here.

    Every method raises `DatabaseUnavailableError`.
    """

    def __init__(
        self,
        database: Database,
        accounts: UserAccounts,
        groups: Groups,
        *,
        now: Now,
        on_change: Callable[[KeptPolicy], None] = lambda _: None,
    ) -> None:
        super().__init__(database, now=now)
        self._accounts = accounts
        self._groups = groups
        self._on_change = on_change

    async def get(self, level: Level, reference: str = "") -> KeptPolicy:
        """Read a policy; one that was never set is empty, and has the version `NO_VERSION`.

        Raises:
            UnknownIdentityError: There is no such group, user or token.
        """
        source, _ = await self._find_subject(level, reference)
        async with self._database.within(ANSWER_SECONDS):
            return await self._find(source, None)

    async def page(self, *, limit: int, offset: int) -> tuple[int, list[KeptPolicy]]:
        """Return the number of policies that are not empty, and some of them, in order of their subjects."""
        saying: dict[str, Any] = {"policy": {"$ne": {}}}
        async with self._database.within(ANSWER_SECONDS):
            count, found = await page_of(self._database.policies, saying, [("_id", 1)], limit, offset)
            return count, list(map(read_document, found))

    async def with_budgets(
        self, levels: Collection[Level], *, limit: int, after: str = "", before: str = ""
    ) -> list[KeptPolicy]:
        """Return policies of users, groups and everyone with a budget that each person has, in order of their paths.

        `after` and `before` are paths; with `before` they are the last ones before it.
        """
        places: list[dict[str, Any]] = [
            {f"{place}.budget": {"$exists": True}, f"{place}.budget.shadow": {"$ne": True}}
            for place in ("policy.limits", "policy.limits.each_member")
        ]
        wanted: dict[str, Any] = {"level": {"$in": [level.value for level in levels]}, "$or": places}
        if after or before:
            wanted["_id"] = {"$lt": before} if before else {"$gt": after}
        async with self._database.within(ANSWER_SECONDS):
            cursor = self._database.policies.find(wanted).sort("_id", -1 if before else 1).limit(limit)
            found = [read_document(document) async for document in cursor]
        return found[::-1] if before else found

    async def change(
        self,
        level: Level,
        reference: str,
        make: Callable[[AnyPolicy], AnyPolicy],
        *,
        versions: Collection[str] | None = None,
        author: Author = COMMAND_LINE,
    ) -> KeptPolicy:
        """Replace the policy of a subject by what `make` returns of the current one. If it raises, nothing is changed.

        Raises:
            UnknownIdentityError: There is no such group, user or token.
            ChangedMeanwhileError: It has another version.
        """
        source, subject = await self._find_subject(level, reference)

        async def change(session: Session) -> KeptPolicy:
            before = await self._find(source, session)
            if versions is not None and before.version not in versions:
                raise ChangedMeanwhileError(_CHANGED.format(source))
            policy = make(before.policy)
            if policy == before.policy:
                return before
            kept = KeptPolicy(source, policy, uuid4().hex[:16], self._now())
            # Whose it is cannot be removed at the same moment and leave a policy.
            subjects = {Level.USER: self._database.users, Level.GROUP: self._database.groups}.get(source.level)
            if subjects is not None and not await witness(subjects, {"_id": UUID(source.key)}, session):
                raise UnknownIdentityError(f"the {source} was removed")
            document = document_of(kept)
            same = {"_id": document["_id"]}
            await self._database.policies.replace_one(same, document, upsert=True, session=session)
            await count_change(self._database, "policies", session)
            detail: dict[str, Any] = {
                "policy": str(source),
                "policy_before": _text(before.policy),
                "policy_after": _text(policy),
            }
            if source.level is Level.GROUP:
                detail["group_id"] = UUID(source.key)
            action = Action.POLICY_REMOVED if policy == type(policy)() else Action.POLICY_CHANGED
            await self._audit(session, author, action, subject, **detail)
            return kept

        kept = await self._change(change)
        self._on_change(kept)
        return kept

    async def _find(self, source: PolicyHolder, session: Session | None) -> KeptPolicy:
        path = path_of(source.level, source.key)
        document = await self._database.policies.find_one({"_id": path}, session=session)
        if document is None:
            return KeptPolicy(source, kind_of(source.level)(), NO_VERSION)
        return msgspec.structs.replace(read_document(document), source=source)

    async def _find_subject(self, level: Level, reference: str) -> tuple[PolicyHolder, User | None]:
        """The subject of a policy, and the user if it has only one."""
        async with self._database.within(ANSWER_SECONDS):
            match level:
                case Level.EVERYONE:
                    return PolicyHolder(level), None
                case Level.GROUP:
                    group, _ = await self._groups.existing(reference)
                    return PolicyHolder(level, format_id(group.id), group.name), None
                case Level.USER:
                    user = await self._accounts.existing_user(reference, None)
                    return PolicyHolder(level, format_id(user.id), user.username), user
            document: dict[str, Any] | None = await self._database.tokens.find_one({"_id": reference})
            if document is None or (document["revoked_at"] is not None and not await self._is_kept(level, reference)):
                raise UnknownIdentityError(_NO_TOKEN.format(reference))
            token = Token.of(document)
            owners = await self._accounts.users_by_id([token.user_id])
            return PolicyHolder(level, token.id, token.id), owners.get(token.user_id)

    async def _is_kept(self, level: Level, key: str) -> bool:
        """Whether there is a policy: that of a revoked token stays, as processes may remember the token for some seconds."""
        saying: dict[str, Any] = {"_id": path_of(level, key), "policy": {"$ne": {}}}
        return await self._database.policies.find_one(saying, {"_id": True}) is not None


def _text(policy: AnyPolicy) -> str:
    return msgspec.json.encode(policy).decode()
