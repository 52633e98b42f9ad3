"""Reads records without counting: one interception, or all that match, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any
from uuid import UUID

from storage.mongo.database import Database
from storage.queries.filters.selection import Selection
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, Position, visible

MAX_EXPORTS_AT_A_TIME = 4
"""How many read everything at a time: each holds a page in memory."""

PAGE = 200
"""Most documents of a page. Large ones make fewer: a page is one response of MongoDB's, of at most 16 MiB."""


class TooManyExportsError(Exception):
    """`MAX_EXPORTS_AT_A_TIME` are under way already."""


class InterceptionReader:
    """The interceptions of a database: one, or all that match.

    Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS` for a page.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.interceptions
        self._exports = 0

    async def find(self, id_: UUID, *, visible_to: UUID | None) -> dict[str, Any] | None:
        """Return the document of one interception; None where there is none that `visible_to`, if not None, may see."""
        async with self._database.query():
            return await self._collection.find_one({"_id": id_, **visible(visible_to)})

    async def pages(
        self,
        search_filter: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        after_id: UUID | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Read all interceptions that match, newest first, a page whenever the caller is ready for one.

        Nothing is held in the database in between, so it may take as long as it likes: each page begins behind the last
        document of the one before. What starts meanwhile is not among them. `limit` is the most in all, and None all of
        them; see `storage.queries.paging`.

        Raises:
            TooManyExportsError: No more may read everything.
        """
        if self._exports >= MAX_EXPORTS_AT_A_TIME:
            raise TooManyExportsError
        self._exports += 1
        try:
            selection = Selection.of(search_filter, visible_to)
            last = None
            if after_id is not None:
                async with self._database.query():
                    last = await INTERCEPTIONS.locate(self._collection, after_id, visible(visible_to))
            while selection and limit != 0 and (page := await self._page(selection, last, min(limit or PAGE, PAGE))):
                yield page
                last = Position(page[-1]["started_at"], page[-1]["_id"])
                limit = limit and limit - len(page)
        finally:
            self._exports -= 1

    async def _page(self, selection: Selection, last: Position | None, limit: int) -> list[dict[str, Any]]:
        """Read what comes after a document, in one reply: a negative limit requests no cursor."""
        after = [] if last is None else [INTERCEPTIONS.behind(last)]
        async with self._database.query():
            cursor = self._collection.find(
                {"$and": [selection.filter, *after]},
                HIDDEN_FIELDS,
                sort=INTERCEPTIONS.order,
                hint=selection.index,
                limit=-limit,
                batch_size=limit,
            )
            return await cursor.to_list(limit)
