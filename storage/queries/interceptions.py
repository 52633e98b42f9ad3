"""Reading interceptions: pages of a list, newest first, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pymongo import DESCENDING

from storage.mongo.database import Database, Session, database_errors
from storage.mongo.rows import Rows, as_sent
from storage.queries.counts import QUERY_MILLISECONDS, Counts, IndexRanges
from storage.queries.selection import Selection
from storage.queries.time_ranges import EARLIEST, LATEST

__all__ = ["QUERY_MILLISECONDS", "Interceptions", "UnknownCursorError"]

_NEWEST_FIRST = (("started_at", DESCENDING), ("_id", DESCENDING))
_MILLISECOND = timedelta(milliseconds=1)


class UnknownCursorError(LookupError):
    """There is no interception with this id, or the caller may not see it."""


class _Cursor(NamedTuple):
    """An interception: a page begins behind it."""

    started_at: datetime
    id: UUID


class Interceptions:
    """The interceptions of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.interceptions
        self._raw = as_sent(self._collection)

    async def page(
        self,
        search_filter: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
    ) -> tuple[int, Rows]:
        """Read a page of the interceptions that match, newest first, and count all that do, both as of one moment.

        A page that would have too many bytes is cut: there are fewer documents than `limit`, and more behind them.

        Args:
            search_filter: See `storage.queries.search.Search.filter`.
            visible_to: The user whose interceptions alone may be seen or counted; None sees all.
            limit: Most documents to return, at least 1.
            after_id: Start behind this interception.
            offset: Leave out this many, at most 2^31 - 1. Not together with `after_id`.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible.
            DatabaseUnavailableError: The database is away, or took longer than `QUERY_MILLISECONDS` for a query.
        """
        selection = Selection.of(search_filter, visible_to)
        with database_errors():
            cursor = None if after_id is None else await self._cursor(after_id, visible_to)
            if selection is None:
                return 0, Rows(self._collection)
            if selection.breakdown is not None:
                async with self._database.snapshot() as session:
                    if session and (page := await self._tallied(selection, session, limit, cursor, offset)):
                        return page
            return await self._plain(selection, limit, cursor, offset)

    async def has_response(self, initiator_id: UUID, provider_name: str, response_id: str) -> bool:
        """Whether a call of this user to this provider got the response with that id, as far as it is written.

        Raises:
            DatabaseUnavailableError: The database is away, or took longer than `QUERY_MILLISECONDS`.
        """
        found = {"request_ids": response_id, "initiator_id": initiator_id, "provider_name": provider_name}
        with database_errors():
            document = await self._collection.find_one(found, {"_id": True}, max_time_ms=QUERY_MILLISECONDS)
        return document is not None

    async def _cursor(self, after_id: UUID, visible_to: UUID | None) -> _Cursor:
        visible = {} if visible_to is None else {"initiator_id": visible_to}
        document = await self._collection.find_one(
            {"_id": after_id, **visible}, {"started_at": True}, max_time_ms=QUERY_MILLISECONDS
        )
        if document is None:
            raise UnknownCursorError(f"there is no interception {after_id} that the caller may see")
        return _Cursor(document["started_at"], after_id)

    async def _tallied(
        self, selection: Selection, session: Session, limit: int, cursor: _Cursor | None, offset: int
    ) -> tuple[int, Rows] | None:
        """Count by the rollups, and read where they say that the page is; None if they cannot tell."""
        counts = Counts(self._database, session)
        ranges = await counts.ranges(selection)
        if ranges is None:
            return None
        location = ranges.at_offset(offset, limit) if cursor is None else ranges.behind(cursor.started_at, limit)
        if location is None:
            return ranges.total, Rows(self._collection)
        places = await counts.places(selection, location, limit)
        return ranges.total, await self._documents(places, limit, cursor, location.skip, session)

    async def _plain(self, selection: Selection, limit: int, cursor: _Cursor | None, offset: int) -> tuple[int, Rows]:
        """Count and skip in the index, one by one."""
        counting = asyncio.create_task(Counts(self._database).number(selection))  # noqa: TID251 - waited for below
        listing = asyncio.create_task(self._documents(IndexRanges.one(selection), limit, cursor, offset))  # noqa: TID251 - waited for below
        # Both are waited for: one that fails later, unseen, would complain in the log.
        await asyncio.gather(counting, listing, return_exceptions=True)
        return counting.result(), listing.result()

    async def _documents(
        self, places: IndexRanges, limit: int, cursor: _Cursor | None, skip: int, session: Session | None = None
    ) -> Rows:
        conditions = [_behind(place, cursor) for place in places.selections]
        found = (
            self._raw.find(conditions[0] if len(conditions) == 1 else {"$or": conditions}, session=session)
            .sort(_NEWEST_FIRST)
            .hint(places.index)
            .skip(skip)
            .limit(limit)
            .max_time_ms(QUERY_MILLISECONDS)
        )
        return await Rows(self._collection).read(found, limit)


def _behind(selection: Selection, cursor: _Cursor | None) -> dict[str, Any]:
    """Return what finds those of a selection that come behind an interception."""
    if cursor is None:
        return selection.filter
    until = selection.within(EARLIEST, min(cursor.started_at + _MILLISECOND, LATEST))
    return {**until.filter, "$nor": [{"started_at": cursor.started_at, "_id": {"$gte": cursor.id}}]}
