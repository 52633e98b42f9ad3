"""Groups of users, and their members."""

from __future__ import annotations

from typing import Annotated

from handlers.operations.operation import OWNERS, READERS, Ask, Tagged, Versions, operation
from handlers.operations.query import Paged
from resources.accounts.groups import GroupChange, ListedGroup, NewGroup
from resources.fields import ListPage, doc
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.users import User

GroupName = Annotated[str, doc("The name of the group, in any case, or its id.")]
_UserName = Annotated[str, doc("The username, in any case, or the id of the user.")]


@operation("GET", "groups", READERS)
async def list_groups(ask: Ask, query: Paged) -> ListPage[ListedGroup]:
    """List groups.

    By name. `everyone`, which is built in and has all users, is not among them.
    """
    count, groups = await ask.bridge.groups.page(limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedGroup.extending(group, members=members) for group, members in groups])


@operation(
    "POST", "groups", OWNERS, status=201, raises={409: "The name is taken."}, example=NewGroup("research", "Research")
)
async def add_group(ask: Ask, body: NewGroup) -> Tagged[ListedGroup]:
    """Add a group."""
    group = await ask.bridge.groups.add(body.name, display_name=body.display_name or "", author=ask.author)
    return Tagged(ListedGroup.extending(group, members=0), group.version)


@operation("GET", "groups/{group}", READERS)
async def get_group(ask: Ask, group: GroupName) -> Tagged[ListedGroup]:
    """Read a group."""
    found, members = await ask.bridge.groups.existing(group)
    return Tagged(ListedGroup.extending(found, members=members), found.version)


@operation(
    "PATCH",
    "groups/{group}",
    OWNERS,
    raises={409: "The name is taken."},
    example=GroupChange(display_name="Research"),
)
async def change_group(ask: Ask, group: GroupName, body: GroupChange, versions: Versions) -> Tagged[ListedGroup]:
    """Change a group.

    Fields that are not given stay unchanged.
    """
    after = await ask.bridge.groups.change(group, **body.changes, versions=versions, author=ask.author)
    _, members = await ask.bridge.groups.existing(str(after.id))
    return Tagged(ListedGroup.extending(after, members=members), after.version)


@operation("DELETE", "groups/{group}", OWNERS, raises={409: "It has a policy: remove that first."})
async def remove_group(ask: Ask, group: GroupName, versions: Versions) -> None:
    """Remove a group.

    Its members stay users, and calls stay recorded with it.
    """
    await ask.bridge.groups.remove(group, versions=versions, author=ask.author)


@operation("GET", "groups/{group}/members", READERS)
async def list_members(ask: Ask, group: GroupName, query: Paged) -> ListPage[User]:
    """List the members of a group.

    By username.
    """
    count, members = await ask.bridge.groups.members_page(group, limit=query.limit, offset=query.offset)
    return ListPage(count, members)


@operation(
    "PUT",
    "groups/{group}/members/{user}",
    OWNERS,
    raises={409: f"The user is in the maximum number of groups, which is {MAX_GROUPS_OF_USER}."},
)
async def add_member(ask: Ask, group: GroupName, user: _UserName) -> None:
    """Add a user to a group.

    Nothing happens if they are in it. No body is needed.
    """
    await ask.bridge.groups.add_members(group, [user], author=ask.author)


@operation("DELETE", "groups/{group}/members/{user}", OWNERS)
async def remove_member(ask: Ask, group: GroupName, user: _UserName) -> None:
    """Remove a user from a group.

    Nothing happens if they are not in it.
    """
    await ask.bridge.groups.remove_members(group, [user], author=ask.author)
