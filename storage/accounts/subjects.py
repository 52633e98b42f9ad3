"""What users and groups have in common in the database: one is found, written to as a witness, or removed with what it has.

A witness is written to beside what is made for it, so that both cannot change unseen at the same moment. What a removed user
or group had are policies, tokens, sessions and views. The documents of policies stay, with another version, so that each
process notices it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from storage.accounts.users import SERVICE_PREFIX, Group, Role, User, is_same_name, read_id
from storage.mongo.database import Collection, Database, Session
from storage.mongo.followed import count_change
from storage.mongo.indexes import ANY_CASE


async def witness(people: Collection, wanted: Mapping[str, Any], session: Session) -> bool:
    """Write to one that was not removed, in a transaction; return False if there is none.

    A transaction that removes them or writes to them at the same moment conflicts with this one, and begins again.
    """
    there = {"removed_at": None, **wanted}
    return bool((await people.update_one(there, {"$inc": {"witnessed": 1}}, session=session)).matched_count)


async def witness_holder(database: Database, user: User, session: Session) -> bool:
    """Write to a user, or to the group that a service is of."""
    return await witness(database.groups if user.is_service else database.users, {"_id": user.id}, session)


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


async def remove_belongings(database: Database, id_: UUID, at: datetime, session: Session) -> int:
    """Remove what a removed user or group had; return how many of their tokens are revoked now.

    `at` is the current time.
    """
    active = {"user_id": id_, "revoked_at": None}
    revoked = await database.tokens.update_many(active, {"$set": {"revoked_at": at}}, session=session)
    for theirs in (database.sign_in_sessions, database.views):
        await theirs.delete_many({"user_id": id_}, session=session)
    tokens = database.tokens.find({"user_id": id_}, {"_id": True}, session=session)
    paths = [f"users/{id_}", *[f"tokens/{document['_id']}" async for document in tokens]]
    saying: dict[str, Any] = {"_id": {"$in": paths}, "policy": {"$ne": {}}}
    changes = {"policy": {}, "version": _version(), "changed_at": at}
    if (await database.policies.update_many(saying, {"$set": changes}, session=session)).modified_count:
        await count_change(database, "policies", session)
    return revoked.modified_count


async def name_policy(database: Database, group_id: UUID, name: str, session: Session) -> None:
    """Have the policy of a group, if it has one, call it by its new name."""
    changes = {"name": name, "version": _version()}
    named = await database.policies.update_one({"_id": f"groups/{group_id}"}, {"$set": changes}, session=session)
    if named.modified_count:
        await count_change(database, "policies", session)


def _version() -> str:
    return uuid4().hex[:16]
