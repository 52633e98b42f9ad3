"""How a group is found by what names it, and who calls with a token of a group instead of a user."""

from __future__ import annotations

from storage.accounts.users import SERVICE_PREFIX, Group, Role, User, is_same_name, read_id
from storage.mongo.database import Collection, Session
from storage.mongo.indexes import ANY_CASE


async def find_group(
    groups: Collection, group: str, session: Session | None = None, *, removed: bool = False
) -> Group | None:
    """Find a group by its name in any case or by its id: one that was not removed, or the last one that was."""
    state = {"removed_at": {"$ne": None} if removed else None}
    if (group_id := read_id(group)) is not None:
        found = await groups.find_one({"_id": group_id, **state}, session=session)
        return None if found is None else Group.of(found)
    named = groups.find({"name": group, **state}, session=session).collation(ANY_CASE)
    async for document in named.sort("removed_at", -1):
        # The collation makes no difference between more than case.
        if is_same_name(document["name"], group):
            return Group.of(document)
    return None


def service_of(group: Group) -> User:
    """The user for calls with a token of this group: a member without a name, only in this group."""
    return User(
        id=group.id,
        username=SERVICE_PREFIX + group.name,
        name=group.display_name,
        role=Role.MEMBER,
        created_at=group.created_at,
        group_ids=(group.id,),
    )
