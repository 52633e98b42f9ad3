"""Creates the indexes of a database, see `storage.mongo.index_models`.

How long calls, sessions, refusals and the search index are kept is an index of their time too: MongoDB removes older
documents by it (MongoDB's manual, "TTL Indexes").
"""

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
from pymongo.errors import OperationFailure

from storage.mongo.errors import DatabaseUnavailableError
from storage.mongo.index_models import INDEXES

INDEX_SECONDS = 3_600.0
"""How long one index may take that is made of many records."""

_LONG_SECONDS = 5.0
_RETENTION = "retention"
_RETAINED = {
    "interceptions": "started_at",
    "sessions": "last_active_at",
    "refusals": "at",
    **dict.fromkeys(("search_segments", "search_parts"), "last"),
}
_MAX_SECONDS = 2**31 - 1

_INDEX_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound
_INDEX_DIFFERS = 85  # IndexOptionsConflict
_KEYS_DIFFER = 86  # IndexKeySpecsConflict

_log = logging.getLogger(__name__)


async def make_indexes(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Create missing indexes, and set how long documents are kept; None keeps them forever."""
    with pymongo.timeout(INDEX_SECONDS), _log_if_slow():
        for name in INDEXES:
            await make_indexes_of(database, name)
        await set_retention(database, retention)


async def make_indexes_of(database: AsyncIOMotorDatabase[dict[str, Any]], name: str) -> None:
    """Create the missing indexes of a collection.

    Raises:
        DatabaseUnavailableError: It has another index of one of these names, so something else has written to it.
    """
    try:
        await database[name].create_indexes(list(INDEXES[name]))
    except OperationFailure as error:
        if error.code not in {_INDEX_DIFFERS, _KEYS_DIFFER}:
            raise
        text = f"the collection {name} of the database {database.name} has indexes that are not of this version of AI Bridge"
        raise DatabaseUnavailableError(f"{text}: name another database, or remove this one") from error


async def set_retention(database: AsyncIOMotorDatabase[dict[str, Any]], retention: timedelta | None) -> None:
    """Set how long documents are kept, in whole seconds, at least one; None keeps them forever."""
    for name, field in _RETAINED.items():
        if retention is None:
            await drop_index(database[name], _RETENTION)
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
    index = IndexModel(field, name=_RETENTION, expireAfterSeconds=seconds)
    try:
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != _INDEX_DIFFERS:
            raise
        change = {"name": _RETENTION, "expireAfterSeconds": seconds}
        await collection.database.command({"collMod": collection.name, "index": change})


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
