"""Reading interceptions: pages of a list, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pymongo import DESCENDING

from storage.database import BY_INITIATOR, BY_MODEL, BY_REQUEST, BY_SESSION, BY_TIME, Database, Keys, database_errors

QUERY_MILLISECONDS = 8_000
"""How long the database may work on one query."""

_NEWEST_FIRST = (("started_at", DESCENDING), ("_id", DESCENDING))

# Says nothing about interceptions, and makes the database bound the index by all that is asked for, not by its first key
# alone: without it every document would be fetched to be filtered.
_EVER = {"started_at": {"$gte": datetime(1, 1, 1, tzinfo=UTC)}}

# The index of the first field that is asked for: the one that leaves the fewest documents to look at comes first.
_INDEX_OF = {
    "request_ids": BY_REQUEST,
    "client_session_id": BY_SESSION,
    "initiator_id": BY_INITIATOR,
    "model": BY_MODEL,
}


class UnknownCursorError(LookupError):
    """There is no interception with this id, or the caller may not see it."""


class Interceptions:
    """The interceptions of a database."""

    def __init__(self, database: Database) -> None:
        self._collection = database.interceptions

    async def page(
        self,
        search_filter: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
    ) -> tuple[int, list[dict[str, Any]]]:
        """Read a page of the interceptions that match, newest first, and count all that do.

        Args:
            search_filter: See `storage.search.Search.filter`.
            visible_to: The user whose interceptions alone may be seen or counted; None sees all.
            limit: Most documents to return, at least 1.
            after_id: Start behind this interception.
            offset: Leave out this many, at most 2^31 - 1.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible.
            DatabaseUnavailableError: The database is away, or took longer than `QUERY_MILLISECONDS`.
        """
        visible: dict[str, Any] = {} if visible_to is None else {"initiator_id": visible_to}
        conditions = [dict(search_filter), visible, _EVER]
        with database_errors():
            after = [] if after_id is None else [await self._behind(after_id, visible)]
            counting = asyncio.create_task(self._count(conditions))
            listing = asyncio.create_task(self._documents([*conditions, *after], limit=limit, offset=offset))
            # Both are waited for: one that fails later, unseen, would complain in the log.
            await asyncio.gather(counting, listing, return_exceptions=True)
            return counting.result(), listing.result()

    async def _behind(self, after_id: UUID, visible: Mapping[str, Any]) -> dict[str, Any]:
        """Say which interceptions come after that one. The first condition bounds the index, the second the rest."""
        cursor = await self._collection.find_one(
            {"_id": after_id, **visible}, {"started_at": True}, max_time_ms=QUERY_MILLISECONDS
        )
        if cursor is None:
            raise UnknownCursorError(f"there is no interception {after_id} that the caller may see")
        at = cursor["started_at"]
        return {"started_at": {"$lte": at}, "$or": [{"started_at": {"$lt": at}}, {"_id": {"$lt": after_id}}]}

    async def _count(self, conditions: list[dict[str, Any]]) -> int:
        return await self._collection.count_documents(
            {"$and": conditions}, hint=_index(conditions), maxTimeMS=QUERY_MILLISECONDS
        )

    async def _documents(self, conditions: list[dict[str, Any]], *, limit: int, offset: int) -> list[dict[str, Any]]:
        cursor = (
            self._collection.find({"$and": conditions})
            .sort(_NEWEST_FIRST)
            .hint(_index(conditions))
            .skip(offset)
            .limit(limit)
            .max_time_ms(QUERY_MILLISECONDS)
        )
        return await cursor.to_list(limit)


def _index(conditions: list[dict[str, Any]]) -> Keys:
    """Choose the index; the database would choose by samples, and now and then the one that makes it sort."""
    asked = {field for condition in conditions for field in condition}
    return next((index for field, index in _INDEX_OF.items() if field in asked), BY_TIME)
