"""Since when there are records: rollups outlive them."""

from __future__ import annotations

from datetime import datetime

from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_TIME


async def oldest_start(database: Database, session: Session | None = None) -> datetime | None:
    """Return when the oldest interception started; None where there is none. Whatever the driver raises passes."""
    only, order = {"started_at": True, "_id": False}, [("started_at", 1), ("_id", 1)]
    oldest = await database.interceptions.find_one({}, only, sort=order, hint=dict(BY_TIME), session=session)
    return None if oldest is None else oldest["started_at"]
