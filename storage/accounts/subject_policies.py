"""What becomes of policies when whom they are of changes: they follow the name of a group, and go with who is removed.

Their documents stay, with another version, so that each process that follows policies learns of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from storage.mongo.database import Database, Session


async def remove_policies(database: Database, id_: UUID, at: datetime, session: Session | None) -> None:
    """Remove those of a user who is removed, or a group, and of all their tokens; `at` is the present time."""
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
