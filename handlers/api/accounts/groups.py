"""`/api/v2/aibridge/groups`: groups of users, and their members."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler
from handlers.problems import Problem
from resources.accounts.groups import Group, GroupChange, NewGroup
from resources.accounts.users import User
from resources.fields import ListPage
from storage.accounts import users

NOT_YOURS_TO_SEE = "Only owners, auditors and readers may see groups."
NOT_YOURS_TO_CHANGE = "Only owners may change groups."


class _GroupsHandler(ChangeHandler):
    async def identify_reader(self) -> dict[str, int]:
        """Authenticate the caller, and return the requested page.

        Raises:
            Problem: 403, the caller is a member.
            ValidationProblem: a parameter cannot be used.
        """
        await self.identify()
        if not self.identity.user.role.sees_everyone:
            raise Problem(403, NOT_YOURS_TO_SEE)
        return self.page()

    def show(self, group: users.Group, members: int, status: int = 200) -> None:
        """Respond with a group and its version as `ETag`."""
        self.write_json(Group.of(group, members), status, version=group.version)


class GroupsHandler(_GroupsHandler):
    """All groups."""

    async def get(self) -> None:
        """Respond with `{"count": n, "results": [..]}`, by name."""
        count, groups = await self.bridge.groups.page(**await self.identify_reader())
        self.write_json(ListPage(count, [Group.of(group, members) for group, members in groups]))

    async def post(self) -> None:
        """Add a group: 201."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        body = self.read_body(NewGroup)
        group = await self.bridge.groups.add(body.name, display_name=body.display_name or "", author=self.author)
        self.show(group, 0, 201)


class GroupHandler(_GroupsHandler):
    """A group."""

    async def get(self, group: str) -> None:
        """Respond with a group."""
        await self.identify_reader()
        found, members = await self.bridge.groups.existing(group)
        self.show(found, members)

    async def patch(self, group: str) -> None:
        """Change a group; respond with the changed group."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        changes = self.read_body(GroupChange).changes
        after = await self.bridge.groups.change(group, **changes, versions=self.versions, author=self.author)
        _, members = await self.bridge.groups.existing(str(after.id))
        self.show(after, members)

    async def delete(self, group: str) -> None:
        """Remove a group; its members stay users: 204."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self.bridge.groups.remove(group, versions=self.versions, author=self.author)
        self.set_status(204)


class MembersHandler(_GroupsHandler):
    """The members of a group."""

    async def get(self, group: str) -> None:
        """Respond with `{"count": n, "results": [..]}`, by username."""
        page = await self.identify_reader()
        count, members = await self.bridge.groups.members_page(group, **page)
        self.write_json(ListPage(count, [User.of(user) for user in members]))


class MemberHandler(_GroupsHandler):
    """A user in a group."""

    async def put(self, group: str, user: str) -> None:
        """Add a user to a group: 204, also if they are in it."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self.bridge.groups.add_members(group, [user], author=self.author)
        self.set_status(204)

    async def delete(self, group: str, user: str) -> None:
        """Remove a user from a group: 204, also if they are not in it."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self.bridge.groups.remove_members(group, [user], author=self.author)
        self.set_status(204)
