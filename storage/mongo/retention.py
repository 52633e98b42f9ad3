"""How long calls, sessions, refusals and the search index are kept: MongoDB removes older ones by an index of their time.

Source: MongoDB's manual, "TTL Indexes".
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from storage.mongo.errors import INDEX_DIFFERS

_INDEX = "retention"
_TIMES = {
    "interceptions": "started_at",
    "sessions": "last_active_at",
    **dict.fromkeys(("refusals", "client_events"), "at"),
    **dict.fromkeys(("search_segments", "search_parts"), "last"),
}
_MAX_SECONDS = 2**31 - 1
_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound


async def set_retention(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Set how long documents are kept, in whole seconds, at least one; None keeps them forever."""
    changes = [
        _drop(database[name]) if retention is None else _keep(database[name], field, retention)
        for name, field in _TIMES.items()
    ]
    await asyncio.gather(*changes)


async def _drop(collection: AsyncIOMotorCollection[dict[str, Any]]) -> None:
    """Drop the index, if it is there.

    MongoDB locks the whole collection for any drop, and waits for that lock behind each open transaction, also one of a
    process that was killed, for up to a minute. So nothing is dropped that is not there.
    """
    if _INDEX not in await collection.index_information():
        return
    try:
        await collection.drop_index(_INDEX)
    except OperationFailure as error:
        if error.code not in _MISSING:
            raise


async def _keep(collection: AsyncIOMotorCollection[dict[str, Any]], field: str, retention: timedelta) -> None:
    seconds = min(max(math.ceil(retention.total_seconds()), 1), _MAX_SECONDS)
    index = IndexModel(field, name=_INDEX, expireAfterSeconds=seconds)
    try:
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != INDEX_DIFFERS:
            raise
        change = {"name": _INDEX, "expireAfterSeconds": seconds}
        await collection.database.command({"collMod": collection.name, "index": change})
