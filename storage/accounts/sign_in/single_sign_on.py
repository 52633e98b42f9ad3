"""Users who sign in at an identity provider: created at the first sign-in, and updated from the provider's claims.

A user is recognised by issuer and subject, which are unique forever, and not by the name. A person with the name of an
existing user does not get that account, unless the operator allows it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct
from pymongo.errors import DuplicateKeyError

from storage.accounts.audit import SINGLE_SIGN_ON, Changes
from storage.accounts.events import Action
from storage.accounts.groups import MAX_GROUPS_OF_USER, Groups
from storage.accounts.subjects import witness
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import (
    Group,
    IdentityConflictError,
    IdentityError,
    Role,
    UnknownIdentityError,
    User,
    checked_name,
    checked_username,
    other_owners,
)
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session
from storage.mongo.indexes import ANY_CASE

ADMISSION_SECONDS = 5.0
"""How long the database may take for a sign-in."""

_log = logging.getLogger(__name__)


class Refused(StrEnum):
    """Why a person known to the provider may not sign in."""

    REMOVED = "removed"
    NAME_TAKEN = "name_taken"
    NAME_NOT_ALLOWED = "name_not_allowed"


class PersonRefusedError(Exception):
    """A person does not get in."""

    def __init__(self, why: Refused, message: str) -> None:
        super().__init__(message)
        self.why = why


class Claimed(Struct, frozen=True, kw_only=True):
    """A person, from the provider's claims. `role` and `groups` are None if no claim decides them."""

    issuer: str
    subject: str
    username: str
    name: str
    role: Role | None = None
    groups: tuple[str, ...] | None = None


class SingleSignOn(Changes):
    """Signs in people whom an identity provider knows. Every method raises `DatabaseUnavailableError`.

    Args:
        links_users: Whether a person is linked to an existing user of the same name.
        makes_groups: Whether missing groups that the provider names are created.
    """

    def __init__(
        self,
        database: Database,
        accounts: UserAccounts,
        groups: Groups,
        *,
        now: Now,
        links_users: bool = False,
        makes_groups: bool = False,
    ) -> None:
        super().__init__(database, now=now)
        self._accounts = accounts
        self._groups = groups
        self._links_users = links_users
        self._makes_groups = makes_groups

    async def admit(self, person: Claimed) -> User:
        """Return the user that a person is, made or changed as the claims say.

        Raises:
            PersonRefusedError: They do not get in.
        """
        groups = None if person.groups is None else await self._named(person.groups)

        async def admit(session: Session) -> User:
            document = await self._find(person, session) or await self._create_or_link(person, session)
            if person.role is not None:
                document = await self._give_role(document, person.role, session)
            if groups is not None:
                document = await self._add_to_groups(document, groups, session)
            return User.of(document)

        async with self._database.within(ADMISSION_SECONDS):
            try:
                user = await self._database.together(admit)
            except DuplicateKeyError:  # the same person, in another tab at the same moment
                user = await self._database.together(admit)
        self._accounts.forget(user.id)
        return user

    async def admit_named(self, username: str) -> User:
        """Return the user that a trusted proxy names, created if missing. No claims change them.

        Raises:
            PersonRefusedError: They do not get in.
        """
        _refuse_not_allowed(username)
        if (user := await self._accounts.find_user(username)) is not None:
            return user
        async with self._database.within(ADMISSION_SECONDS):
            removed = {"username": username, "removed_at": {"$ne": None}}
            if await self._database.users.find_one(removed, collation=ANY_CASE) is not None:
                raise PersonRefusedError(Refused.REMOVED, f'the user "{username}" was removed')
        with suppress(IdentityConflictError):  # by another request of theirs, at the same moment
            return await self._accounts.add_user(username, role=Role.MEMBER, author=SINGLE_SIGN_ON)
        try:
            async with self._database.within(ADMISSION_SECONDS):
                return await self._accounts.existing_user(username, None)
        except UnknownIdentityError as error:  # removed at the same moment
            raise PersonRefusedError(Refused.REMOVED, f'the user "{username}" was removed') from error

    async def _find(self, person: Claimed, session: Session) -> dict[str, Any] | None:
        own = {"openid.issuer": person.issuer, "openid.subject": person.subject, "removed_at": None}
        return await self._database.users.find_one(own, session=session)

    async def _create_or_link(self, person: Claimed, session: Session) -> dict[str, Any]:
        """Create a user for this person, or link the existing user of that name."""
        _refuse_not_allowed(person.username)
        openid = {"issuer": person.issuer, "subject": person.subject}
        try:
            user = await self._accounts.existing_user(person.username, session)
        except UnknownIdentityError:
            return await self._make(person, openid, session)
        unlinked = {"_id": user.id, "openid": None}
        if (
            not self._links_users
            or not (
                await self._database.users.update_one(unlinked, {"$set": {"openid": openid}}, session=session)
            ).matched_count
        ):
            raise PersonRefusedError(
                Refused.NAME_TAKEN, f'there is a user "{user.username}" already who does not sign in as this person'
            )
        await self._audit(session, SINGLE_SIGN_ON, Action.USER_LINKED, user, issuer=person.issuer)
        return await self._read(user.id, session)

    async def _make(self, person: Claimed, openid: dict[str, str], session: Session) -> dict[str, Any]:
        removed = {f"openid.{name}": value for name, value in openid.items()}
        if await self._database.users.find_one(removed, session=session) is not None:
            raise PersonRefusedError(Refused.REMOVED, f'the user "{person.username}" was removed')
        try:
            name = checked_name("name", person.name) or person.username
        except IdentityError:
            name = person.username
        role = person.role or Role.MEMBER
        document: dict[str, Any] = {
            "_id": uuid4(),
            "schema_version": 1,
            "username": person.username,
            "name": name,
            "role": role.value,
            "created_at": self._now(),
            "removed_at": None,
            "openid": openid,
        }
        await self._database.users.insert_one(document, session=session)
        user = User.of(document)
        detail = {"role": role.value, "name": name, "issuer": person.issuer}
        await self._audit(session, SINGLE_SIGN_ON, Action.USER_ADDED, user, **detail)
        return document

    async def _give_role(self, document: dict[str, Any], role: Role, session: Session) -> dict[str, Any]:
        user, users = User.of(document), self._database.users
        if user.role is role:
            return document
        # Another owner is written to: so two owners cannot both lose the role at once.
        if user.role is Role.OWNER and not await witness(users, other_owners(user.id), session):
            _log.warning("%s stays the only owner, though the claims say %s", user.username, role)
            return document
        await users.update_one({"_id": user.id}, {"$set": {"role": role.value}}, session=session)
        detail = {"role": role.value, "role_before": user.role.value}
        await self._audit(session, SINGLE_SIGN_ON, Action.USER_CHANGED, user, **detail)
        return await self._read(user.id, session)

    async def _add_to_groups(
        self, document: dict[str, Any], groups: Iterable[Group], session: Session
    ) -> dict[str, Any]:
        """Put the user into the claimed groups, and remove them from groups that were claimed before. Others stay."""
        claimed = {group.id: group for group in groups}
        member_of = list(document.get("group_ids", ()))
        before = set(document.get("claimed_group_ids", ())) & set(member_of)
        left = [group_id for group_id in member_of if group_id in before - claimed.keys()]
        kept = [group_id for group_id in member_of if group_id not in left]
        # The groups are written to: so none is removed at the same moment and leaves a member.
        joined = [
            group_id
            for group_id in [one for one in claimed if one not in kept][: MAX_GROUPS_OF_USER - len(kept)]
            if await witness(self._database.groups, {"_id": group_id}, session)
        ]
        fields = {"group_ids": kept + joined, "claimed_group_ids": [*(before & claimed.keys()), *joined]}
        if not left and not joined:
            return document
        await self._database.users.update_one({"_id": document["_id"]}, {"$set": fields}, session=session)
        user = User.of(document)
        names = claimed | await self._groups.by_id(left)
        for action, ids in ((Action.MEMBER_REMOVED, left), (Action.MEMBER_ADDED, joined)):
            for group_id in ids:
                detail = {"group_id": group_id, "group": names[group_id].name}
                await self._audit(session, SINGLE_SIGN_ON, action, user, **detail)
        return document | fields

    async def _named(self, names: tuple[str, ...]) -> list[Group]:
        """The groups that there are of these names, in any case; made where that is wanted."""
        wanted, lower = {"removed_at": None, "name": {"$in": list(names)}}, {name.lower() for name in names}
        async with self._database.within(ADMISSION_SECONDS):
            found = self._database.groups.find(wanted).collation(ANY_CASE)
            groups = [Group.of(document) async for document in found]
        groups = [group for group in groups if group.name.lower() in lower]  # the collation ignores more than case
        if self._makes_groups:
            there = {group.name.lower() for group in groups}
            # Of names that differ in case alone the first one.
            missing = list({name.lower(): name for name in reversed(names) if name.lower() not in there}.values())
            groups += [group for name in missing[:MAX_GROUPS_OF_USER] if (group := await self._made(name)) is not None]
        return groups

    async def _made(self, name: str) -> Group | None:
        try:
            return await self._groups.add(name, author=SINGLE_SIGN_ON)
        except IdentityConflictError:  # made at the same moment
            return await self._groups.find(name)
        except IdentityError:
            return None

    async def _read(self, user_id: UUID, session: Session) -> dict[str, Any]:
        document = await self._database.users.find_one({"_id": user_id}, session=session)
        if document is None:
            raise UnknownIdentityError("the user is gone")
        return document


def _refuse_not_allowed(username: str) -> None:
    try:
        checked_username(username)
    except IdentityError as error:
        raise PersonRefusedError(Refused.NAME_NOT_ALLOWED, str(error)) from error
