"""Changes of policies with their subjects: they follow the name of a group, and are removed with a user or group.

Their documents stay, with another version, so that each process notices it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from storage.mongo.database import Database, Session


async def remove_policies(database: Database, id_: UUID, at: datetime, session: Session | None) -> None:
    """Remove the policies of a removed user or group, and of all their tokens; `at` is the current time."""
    tokens = database.tokens.find({"user_id": id_}, {"_id": True}, session=session)
    paths = [f"users/{id_}", *[f"tokens/{document['_id']}" async for document in tokens]]
    saying: dict[str, Any] = {"_id": {"$in": paths}, "policy": {"$ne": {}}}
    changes = {"policy": {}, "version": _version(), "changed_at": at}
    await database.policies.update_many(saying, {"$set": changes}, session=session)


async def name_policy(database: Database, group_id: UUID, name: str, session: Session | None) -> None:
    """Have the policy of a group, if it has one, call it by its new name."""
    changes = {"name": name, "version": _version()}
    await database.policies.update_one({"_id": f"groups/{group_id}"}, {"$set": changes}, session=session)


def _version() -> str:
    return uuid4().hex[:16]
