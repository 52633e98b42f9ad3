"""Writes to a user or a group beside what is made for them, so that both cannot change unseen at the same moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.accounts.users import User
from storage.mongo.database import Collection, Database, Session


async def witness(people: Collection, wanted: Mapping[str, Any], session: Session) -> bool:
    """Write to one that was not removed, in a transaction; return False if there is none.

    A transaction that removes them or writes to them at the same moment conflicts with this one, and begins again.
    """
    there = {"removed_at": None, **wanted}
    return bool((await people.update_one(there, {"$inc": {"witnessed": 1}}, session=session)).matched_count)


async def witness_holder(database: Database, user: User, session: Session) -> bool:
    """Write to a user, or to the group that a service is of."""
    return await witness(database.groups if user.is_service else database.users, {"_id": user.id}, session)
