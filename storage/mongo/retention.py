"""How long calls, sessions, refusals and the search index are kept: MongoDB removes older documents by an index of their time.

Source: MongoDB's manual, "TTL Indexes". What expires at a time of its own has an index `expiry` in
`storage.mongo.index_models`.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import IndexModel
from pymongo.errors import OperationFailure

_INDEX = "retention"
_RETAINED = {
    "interceptions": "started_at",
    "sessions": "last_active_at",
    "refusals": "at",
    **dict.fromkeys(("search_segments", "search_parts"), "last"),
}
_MAX_SECONDS = 2**31 - 1

_INDEX_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound
_INDEX_DIFFERS = 85  # IndexOptionsConflict


async def set_retention(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Set how long documents are kept, in whole seconds, at least one; None keeps them forever."""
    for name, field in _RETAINED.items():
        if retention is None:
            await drop_index(database[name], _INDEX)
        else:
            await _keep(database[name], field, retention)


async def drop_index(collection: AsyncIOMotorCollection[dict[str, Any]], index: str) -> None:
    """Drop an index, if it is there.

    MongoDB locks the whole collection for any drop, and waits for that lock behind each open transaction, also one of a
    process that was killed, for up to a minute. So nothing is dropped that is not there.
    """
    if index not in await collection.index_information():
        return
    try:
        await collection.drop_index(index)
    except OperationFailure as error:
        if error.code not in _INDEX_MISSING:
            raise


async def _keep(collection: AsyncIOMotorCollection[dict[str, Any]], field: str, retention: timedelta) -> None:
    seconds = min(max(math.ceil(retention.total_seconds()), 1), _MAX_SECONDS)
    index = IndexModel(field, name=_INDEX, expireAfterSeconds=seconds)
    try:
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != _INDEX_DIFFERS:
            raise
        change = {"name": _INDEX, "expireAfterSeconds": seconds}
        await collection.database.command({"collMod": collection.name, "index": change})
