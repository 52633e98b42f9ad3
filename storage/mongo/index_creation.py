"""Creates the indexes of a database, including those by which MongoDB removes old documents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymongo
from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure

from storage.mongo.index_models import INDEXES, OBSOLETE

NAMED_CONFLICTS = 10
"""How many usernames are named at most that differ in case alone from others."""

INDEX_SECONDS = 3_600.0
"""How long one index may take that is made of many records."""

_LONG_SECONDS = 5.0
_RETENTION_INDEX = "retention"
_RETAINED = {
    "interceptions": "started_at",
    "sessions": "last_active_at",
    "refusals": "at",
    **dict.fromkeys(("search_segments", "search_parts"), "last"),
}
_MAX_RETENTION_SECONDS = 2**31 - 1

_INDEX_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound
_INDEX_DIFFERS = 85  # IndexOptionsConflict

_log = logging.getLogger(__name__)


async def make_indexes(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Create missing indexes, drop obsolete ones, and set how long documents are kept; None keeps them forever."""
    with pymongo.timeout(INDEX_SECONDS), _log_if_slow():
        for name in INDEXES.keys() - {"users"}:
            await _make(database, name)
        await make_index_of_users(database)
        for name, field in _RETAINED.items():
            collection = database[name]
            await (
                _drop(collection, _RETENTION_INDEX) if retention is None else _keep_for(retention, collection, field)
            )


async def make_index_of_users(database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
    """Create the index that makes usernames unique, ignoring case.

    Earlier versions distinguished usernames by case. Existing ones that differ only in case stay, each found by its
    exact name, and a warning names them.
    """
    try:
        await _make(database, "users")
    except DuplicateKeyError:
        same: list[dict[str, Any]] = [
            {"$match": {"removed_at": None}},
            {"$group": {"_id": {"$toLower": "$username"}, "names": {"$push": "$username"}}},
            {"$match": {"names.1": {"$exists": True}}},
            {"$sort": {"_id": 1}},
            {"$limit": NAMED_CONFLICTS},
        ]
        async for found in database["users"].aggregate(same):
            names = " and ".join(sorted(found["names"]))
            _log.warning("usernames differ in case alone: %s; remove all of them but one (users remove NAME)", names)


async def make_index_of_groups(database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
    """Create the index that makes names of groups unique, ignoring case."""
    await _make(database, "groups")


async def _make(database: AsyncIOMotorDatabase[dict[str, Any]], name: str) -> None:
    await database[name].create_indexes(list(INDEXES[name]))
    for index in OBSOLETE.get(name, ()):
        await _drop(database[name], index)


@contextlib.contextmanager
def _log_if_slow() -> Iterator[None]:
    """Log a line if it takes long."""
    late = asyncio.get_running_loop().call_later(
        _LONG_SECONDS, _log.info, "creating indexes; calls are served afterwards"
    )
    try:
        yield
    finally:
        late.cancel()


async def _drop(collection: AsyncIOMotorCollection[dict[str, Any]], index: str) -> None:
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


async def _keep_for(retention: timedelta, collection: AsyncIOMotorCollection[dict[str, Any]], field: str) -> None:
    seconds = min(max(math.ceil(retention.total_seconds()), 1), _MAX_RETENTION_SECONDS)
    index = IndexModel(field, name=_RETENTION_INDEX, expireAfterSeconds=seconds)
    try:
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != _INDEX_DIFFERS:
            raise
        change = {"name": _RETENTION_INDEX, "expireAfterSeconds": seconds}
        await collection.database.command({"collMod": collection.name, "index": change})
