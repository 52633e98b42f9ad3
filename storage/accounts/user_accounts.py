"""Users and their roles. Each change leaves an entry in the audit trail."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.authentication import Authentication
from storage.accounts.events import Action
from storage.accounts.subjects import find_group, remove_belongings, service_of, witness
from storage.accounts.users import (
    SERVICE_PREFIX,
    ChangedMeanwhileError,
    Group,
    IdentityConflictError,
    LastOwnerError,
    Role,
    UnknownIdentityError,
    User,
    checked_name,
    checked_username,
    is_same_name,
    other_owners,
    read_id,
)
from storage.mongo.database import Session
from storage.mongo.indexes import ANY_CASE

CHANGED = 'the user "{}" was changed meanwhile; read it again'
TAKEN = 'a user named "{}" exists already'
LAST_OWNER = "is the only owner; assign another owner first"
NOT_ONESELF = "you cannot remove yourself; ask another owner"


class UserAccounts(Authentication, Changes):
    """The users of a database.

    Every method with a query raises `DatabaseUnavailableError`. Each change has an `author`.
    A user who is not there raises `UnknownIdentityError`, except where a method returns None or leaves them out.
    """

    async def add_user(
        self,
        username: str,
        *,
        role: Role,
        name: str | None = None,
        author: Author = COMMAND_LINE,
    ) -> User:
        """Add a user; `name` is the username unless given.

        Raises:
            IdentityError: The username or the name is not allowed.
            IdentityConflictError: The username is taken.
        """
        user = User(
            id=uuid4(),
            username=checked_username(username),
            name=checked_name("name", name or username),
            role=role,
            created_at=self._now(),
        )
        document = {**user.document, "removed_at": None}

        async def add(session: Session) -> None:
            if same := await self._user_named(username, session):
                raise IdentityConflictError(TAKEN.format(same.username))
            await self._database.users.insert_one(document, session=session)
            await self._audit(session, author, Action.USER_ADDED, user, role=role.value, name=user.name)

        await self._change_named(add, TAKEN.format(username))
        return user

    async def list_users(self) -> list[User]:
        """List the users that were not removed, by name."""
        async with self._database.query():
            found = self._database.users.find({"removed_at": None}).sort("username").collation(ANY_CASE)
            return [User.of(document) async for document in found]

    async def existing(self, username: str) -> User:
        """Find a user by name or id."""
        async with self._database.within(ANSWER_SECONDS):
            return await self.existing_user(username, None)

    async def find_user(self, username: str) -> User | None:
        """Find a user that was not removed, by id or name in any case; `groups/NAME` is who calls with tokens of a group."""
        async with self._database.query():
            if username.startswith(SERVICE_PREFIX):
                return await self._find_service(username, None)
            return await self._find_user(username, None)

    async def find_initiator(self, username: str) -> User | None:
        """Find a user as `find_user`; where nobody has the name, who had it last: their calls stay."""
        if (user := await self.find_user(username)) is not None:
            return user
        async with self._database.query():
            if username.startswith(SERVICE_PREFIX):
                return await self._find_service(username, None, removed=True)
            removed = self._database.users.find({"username": username, "removed_at": {"$ne": None}}).collation(ANY_CASE)
            users = [User.of(document) async for document in removed.sort("removed_at", -1)]
            return next((user for user in users if is_same_name(user.username, username)), None)

    async def users_by_id(self, ids: Iterable[UUID]) -> dict[UUID, User]:
        """Find users, and who calls with tokens of groups, removed ones too, so that history keeps its names."""
        wanted = set(ids)
        async with self._database.query():
            cursor = self._database.users.find({"_id": {"$in": list(wanted)}})
            users = {document["_id"]: User.of(document) async for document in cursor}
            if rest := list(wanted - users.keys()):
                groups = self._database.groups.find({"_id": {"$in": rest}})
                users |= {document["_id"]: service_of(Group.of(document)) async for document in groups}
            return users

    async def change_user(
        self,
        username: str,
        *,
        role: Role | None = None,
        name: str | None = None,
        versions: Collection[str] | None = None,
        author: Author = COMMAND_LINE,
    ) -> User:
        """Change the given fields of a user; an empty name means the username.

        Raises:
            LastOwnerError: There would be no owner any more.
            IdentityError: The name is not allowed.
        """
        new_name = None if name is None else checked_name("name", name)

        async def change(session: Session) -> User:
            user = await self.existing_user(username, session)
            if versions is not None and user.version not in versions:
                raise ChangedMeanwhileError(CHANGED.format(user.username))
            changed = replace(user, role=role or user.role)
            if new_name is not None:
                changed = replace(changed, name=new_name or user.username)
            if user.role is Role.OWNER and changed.role is not Role.OWNER:
                await self._leave_an_owner(user, author, session)
            detail: dict[str, str] = {}
            if changed.role is not user.role:
                detail |= {"role": changed.role.value, "role_before": user.role.value}
            if changed.name != user.name:
                detail |= {"name": changed.name, "name_before": user.name}
            if detail:
                fields = {"role": changed.role.value, "name": changed.name}
                await self._database.users.update_one({"_id": user.id}, {"$set": fields}, session=session)
                await self._audit(session, author, Action.USER_CHANGED, user, **detail)
            return changed

        user = await self._change(change)
        self.forget(user.id)
        return user

    async def remove_user(self, username: str, *, author: Author = COMMAND_LINE) -> None:
        """Remove a user with their views and policies. All tokens are revoked, the name becomes free, records keep it.

        Raises:
            IdentityConflictError: It is the author.
            LastOwnerError: There would be no owner any more.
        """
        at = self._now()

        async def remove(session: Session) -> User:
            user = await self.existing_user(username, session)
            if author.user is not None and author.user.id == user.id:
                raise IdentityConflictError(NOT_ONESELF)
            if user.role is Role.OWNER:
                await self._leave_an_owner(user, author, session)
            await self._database.users.update_one({"_id": user.id}, {"$set": {"removed_at": at}}, session=session)
            revoked = await remove_belongings(self._database, user.id, at, session)
            await self._audit(session, author, Action.USER_REMOVED, user, revoked_tokens=revoked)
            return user

        self.forget((await self._change(remove)).id)

    async def _leave_an_owner(self, user: User, author: Author, session: Session) -> None:
        """Raise if there is no other owner.

        The other owner's document is written, so two owners cannot remove each other at once.
        """
        if not await witness(self._database.users, other_owners(user.id), session) and not author.force:
            raise LastOwnerError(f'"{user.username}" {LAST_OWNER}')

    def active(self) -> dict[str, Any]:
        """What tokens are that are neither revoked nor expired."""
        return {"revoked_at": None, "$or": [{"expires_at": None}, {"expires_at": {"$gt": self._now()}}]}

    async def existing_holder(self, name: str, session: Session | None) -> User:
        """Find the owner of tokens, within a change: a user, or a group given as `groups/NAME`.

        Raises:
            UnknownIdentityError: There is no such user or group.
        """
        if not name.startswith(SERVICE_PREFIX):
            return await self.existing_user(name, session)
        service = await self._find_service(name, session)
        if service is None:
            raise UnknownIdentityError(f'there is no group named "{name.removeprefix(SERVICE_PREFIX)}"')
        return service

    async def _find_service(self, name: str, session: Session | None, *, removed: bool = False) -> User | None:
        group = await find_group(self._database.groups, name.removeprefix(SERVICE_PREFIX), session, removed=removed)
        return None if group is None else service_of(group)

    async def _find_user(self, username: str, session: Session | None) -> User | None:
        if (user_id := read_id(username)) is not None:
            found = await self._database.users.find_one({"_id": user_id, "removed_at": None}, session=session)
            return None if found is None else User.of(found)
        return await self._user_named(username, session)

    async def _user_named(self, username: str, session: Session | None) -> User | None:
        active = {"username": username, "removed_at": None}
        found = await self._database.users.find_one(active, session=session, collation=ANY_CASE)
        # The collation makes no difference between more than case.
        return User.of(found) if found is not None and is_same_name(found["username"], username) else None

    async def existing_user(self, username: str, session: Session | None) -> User:
        """Find a user by name or id, within a change."""
        user = await self._find_user(username, session)
        if user is None:
            raise UnknownIdentityError(f'there is no user named "{username}"')
        return user
