"""Groups of users, and changes of them. Each change leaves an entry in the audit trail.

A user's document has the ids of their groups, so a caller is known with their groups. The group `everyone` is
built in: it has all users, and nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec.structs import replace

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.subjects import find_group, name_policy, remove_belongings, witness
from storage.accounts.user_accounts import UserAccounts
from storage.accounts.users import (
    EVERYONE,
    ChangedMeanwhileError,
    Group,
    IdentityConflictError,
    UnknownIdentityError,
    User,
    checked_group_name,
    checked_name,
    is_same_name,
)
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session, page_of
from storage.mongo.followed import Followed
from storage.mongo.indexes import ANY_CASE

MAX_GROUPS_OF_USER = 100
"""How many groups a user may be in: each of their calls is recorded with them."""

BUILT_IN = f'"{EVERYONE}" is built in and has all users: it is no group to be listed or changed'
CHANGED = 'the group "{}" was changed meanwhile; read it again'
TAKEN = 'a group named "{}" exists already'
TOO_MANY = '"{}" is in {} groups, the maximum'

HAS_POLICY = 'the group "{}" has a policy: remove that first'


class Groups(Changes):
    """The groups of a database. A group is meant by its name, in any case, or its id; so is a user.

    Every method raises `DatabaseUnavailableError`.
    A group or user that is not there raises `UnknownIdentityError`, and so does the group `everyone`, except where a
    method returns None or leaves it out.
    """

    def __init__(self, database: Database, accounts: UserAccounts, *, now: Now) -> None:
        super().__init__(database, now=now)
        self._accounts = accounts

    async def add(self, name: str, *, display_name: str = "", author: Author = COMMAND_LINE) -> Group:
        """Add a group; `display_name` is the name unless given.

        Raises:
            IdentityError: The name or display name is not allowed.
            IdentityConflictError: The name is taken.
        """
        group = Group(
            id=uuid4(),
            name=checked_group_name(name),
            display_name=checked_name("display name", display_name or name),
            created_at=self._now(),
        )
        document = {**group.document, "removed_at": None}

        async def add(session: Session) -> None:
            await self._refuse_taken(name, None, session)
            await self._database.groups.insert_one(document, session=session)
            await self._audit(session, author, Action.GROUP_ADDED, **_said(group), name=group.display_name)

        await self._change_named(add, TAKEN.format(name))
        return group

    async def find(self, group: str, *, removed: bool = False) -> Group | None:
        """Find a group that was not removed, or the last one of this name that was."""
        async with self._database.within(ANSWER_SECONDS):
            return await find_group(self._database.groups, group, removed=removed)

    async def existing(self, group: str) -> tuple[Group, int]:
        """Find a group that was not removed, with the number of its members."""
        async with self._database.within(ANSWER_SECONDS):
            found = await self._existing(group, None)
            return found, await self._database.users.count_documents(_members_of(found))

    async def by_id(self, ids: Iterable[UUID]) -> dict[UUID, Group]:
        """Find groups, removed ones too, so that history keeps its names."""
        if not (wanted := list(set(ids))):
            return {}
        async with self._database.within(ANSWER_SECONDS):
            found = self._database.groups.find({"_id": {"$in": wanted}})
            return {document["_id"]: Group.of(document) async for document in found}

    async def page(self, *, limit: int, offset: int) -> tuple[int, list[tuple[Group, int]]]:
        """Return how many groups there are, and some of them, by name, each with the number of its members. 0 is no limit."""
        active = {"removed_at": None}
        async with self._database.within(ANSWER_SECONDS):
            count, found = await page_of(
                self._database.groups, active, [("name", 1)], limit, offset, collation=ANY_CASE
            )
            groups = list(map(Group.of, found))
            ids = [group.id for group in groups]
            pipeline: list[dict[str, Any]] = [
                {"$match": {"group_ids": {"$in": ids}, "removed_at": None}},
                {"$project": {"_id": False, "group_ids": True}},
                {"$unwind": "$group_ids"},
                {"$group": {"_id": "$group_ids", "members": {"$sum": 1}}},
            ]
            members = {one["_id"]: one["members"] async for one in self._database.users.aggregate(pipeline)}
        return count, [(group, members.get(group.id, 0)) for group in groups]

    async def members_page(self, group: str, *, limit: int, offset: int) -> tuple[int, list[User]]:
        """Return how many members a group has, and some of them, by name. A limit of 0 is none."""
        async with self._database.within(ANSWER_SECONDS):
            members = _members_of(await self._existing(group, None))
            count, users = await page_of(
                self._database.users, members, [("username", 1)], limit, offset, collation=ANY_CASE
            )
            return count, list(map(User.of, users))

    async def change(
        self,
        group: str,
        *,
        name: str | None = None,
        display_name: str | None = None,
        versions: Collection[str] | None = None,
        author: Author = COMMAND_LINE,
    ) -> Group:
        """Change the given fields; an empty display name means the name.

        Raises:
            IdentityConflictError: The name is taken.
            IdentityError: A name is not allowed.
        """
        new_name = None if name is None else checked_group_name(name)
        checked_display_name = None if display_name is None else checked_name("display name", display_name)

        async def change(session: Session) -> Group:
            before = await self._existing(group, session, versions)
            after = replace(before, name=new_name or before.name)
            if checked_display_name is not None:
                after = replace(after, display_name=checked_display_name or after.name)
            if after == before:
                return before
            if after.name != before.name:
                await self._refuse_taken(after.name, before, session)
            fields = {"name": after.name, "display_name": after.display_name}
            await self._database.groups.update_one({"_id": before.id}, {"$set": fields}, session=session)
            detail: dict[str, Any] = {}
            if after.name != before.name:
                await name_policy(self._database, before.id, after.name, session)
                detail["group_before"] = before.name
            if after.display_name != before.display_name:
                detail |= {"name": after.display_name, "name_before": before.display_name}
            await self._audit(session, author, Action.GROUP_CHANGED, **_said(after), **detail)
            return after

        return await self._change_named(change, TAKEN.format(name))

    async def remove(
        self, group: str, *, versions: Collection[str] | None = None, author: Author = COMMAND_LINE
    ) -> Group:
        """Remove a group. Its members stay users, its tokens are revoked, its name becomes free, records keep it.

        Raises:
            IdentityConflictError: It has a policy.
        """
        at = self._now()

        async def remove(session: Session) -> Group:
            found = await self._existing(group, session, versions)
            saying = {"_id": f"groups/{found.id}", "policy": {"$ne": {}}}
            if await self._database.policies.find_one(saying, session=session) is not None:
                raise IdentityConflictError(HAS_POLICY.format(found.name))
            await self._database.groups.update_one({"_id": found.id}, {"$set": {"removed_at": at}}, session=session)
            left = {"$pull": {"group_ids": found.id}}
            members = await self._database.users.update_many(_members_of(found), left, session=session)
            revoked = await remove_belongings(self._database, found.id, at, session)
            numbers: dict[str, Any] = {"members": members.modified_count, "revoked_tokens": revoked}
            await self._audit(session, author, Action.GROUP_REMOVED, **_said(found), **numbers)
            return found

        removed = await self._change(remove)
        self._accounts.forget_group(removed.id)
        return removed

    async def add_members(self, group: str, users: Sequence[str], *, author: Author = COMMAND_LINE) -> Group:
        """Add users to a group: all of them, or none. Members stay members.

        Raises:
            IdentityConflictError: A user is in `MAX_GROUPS_OF_USER` groups already.
        """

        async def add(session: Session, group: Group, user: User) -> bool:
            if group.id in user.group_ids:
                return False
            if len(user.group_ids) >= MAX_GROUPS_OF_USER:
                raise IdentityConflictError(TOO_MANY.format(user.username, MAX_GROUPS_OF_USER))
            more = {"$addToSet": {"group_ids": group.id}}
            await self._database.users.update_one({"_id": user.id}, more, session=session)
            await self._audit(session, author, Action.MEMBER_ADDED, user, **_said(group))
            return True

        return await self._change_members(group, users, add)

    async def remove_members(self, group: str, users: Sequence[str], *, author: Author = COMMAND_LINE) -> Group:
        """Remove users from a group: all of them, or none. Others are ignored."""

        async def remove(session: Session, group: Group, user: User) -> bool:
            if group.id not in user.group_ids:
                return False
            less = {"$pull": {"group_ids": group.id}}
            await self._database.users.update_one({"_id": user.id}, less, session=session)
            await self._audit(session, author, Action.MEMBER_REMOVED, user, **_said(group))
            return True

        return await self._change_members(group, users, remove)

    async def _change_members(
        self,
        group: str,
        users: Sequence[str],
        change_one: Callable[[Session, Group, User], Awaitable[bool]],
    ) -> Group:
        async def change(session: Session) -> tuple[Group, list[User]]:
            found = await self._existing(group, session)
            members = [await self._accounts.existing_user(user, session) for user in users]
            # The group is written to: so it cannot be removed at the same moment and leave a member.
            await witness(self._database.groups, {"_id": found.id}, session)
            return found, [user for user in dict.fromkeys(members) if await change_one(session, found, user)]

        found, changed = await self._change(change)
        if changed:
            self._accounts.forget(*[user.id for user in changed])
        return found

    async def _refuse_taken(self, name: str, own: Group | None, session: Session) -> None:
        same = await find_group(self._database.groups, name, session)
        if same is not None and (own is None or same.id != own.id):
            raise IdentityConflictError(TAKEN.format(same.name))

    async def _existing(self, group: str, session: Session | None, versions: Collection[str] | None = None) -> Group:
        if is_same_name(group, EVERYONE):
            raise UnknownIdentityError(BUILT_IN)
        found = await find_group(self._database.groups, group, session)
        if found is None:
            raise UnknownIdentityError(f'there is no group named "{group}"')
        if versions is not None and found.version not in versions:
            raise ChangedMeanwhileError(CHANGED.format(found.name))
        return found


def _said(group: Group) -> dict[str, Any]:
    """What the audit trail says of a group."""
    return {"group_id": group.id, "group": group.name}


def _members_of(group: Group) -> dict[str, Any]:
    return {"group_ids": group.id, "removed_at": None}


EVERY_SECONDS: Final = 60.0
"""How often names are read again."""

SEPARATOR: Final = ", "


def follow_group_names(database: Database, *, now: Now) -> Followed[Mapping[UUID, str]]:
    """Follow the names of the groups of a database, removed ones too."""

    async def read() -> Mapping[UUID, str]:
        async with database.query():
            return {one["_id"]: one["name"] async for one in database.groups.find({}, {"name": True})}

    return Followed(read, now=now, seconds=EVERY_SECONDS)


def names_together(names: Mapping[UUID, str] | None, ids: Iterable[UUID]) -> str:
    """The names of groups in order, as one text; the id where a name is not known yet."""
    return SEPARATOR.join(sorted([(names or {}).get(id_) or str(id_) for id_ in ids]))
