"""What changes with a user or a group: their policies, tokens, sessions and views.

The documents of policies stay, with another version, so that each process notices it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from storage.mongo.database import Database, Session
from storage.mongo.followed import count_change


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
