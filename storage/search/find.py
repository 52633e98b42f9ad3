"""Searches that the search index answers: what was said in calls, and rare values of theirs.

All is read as it was at one moment. Calls that wait to be indexed are looked at themselves. The index is exact but for
the order of words: where that matters, the texts of the newest calls are read, see `MAX_CHECKED`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from storage.mongo.database import Database, Session
from storage.mongo.documents.rows import Rows, as_sent
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS, TextQuery
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.found import CallFinder, FoundCalls
from storage.queries.interception_reader import PAGE
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, visible
from storage.search.conditions import is_indexed
from storage.search.every import EveryReading, each
from storage.search.positions import Key, key_at
from storage.search.reading import (
    CHECKED_AT_ONCE,
    MAX_CHECKED,
    TEXTS_AT_ONCE,
    IndexReading,
    Query,
    matching,
)
from storage.search.sessions import FoundSessions, SessionReading


class Found(Struct):
    """What a search found.

    Attributes:
        count: How many match; where it is not exact, the maximum.
        next_after: Where a page ended before it was full, the call behind which to go on; else None.
    """

    count: int
    is_exact: bool
    rows: Rows
    next_after: UUID | None = None


def is_for_index(query: Query) -> bool:
    """Whether no other index and no rollup answers a search by keys, so that the search index does it best."""
    selection = Selection.of(query.conditions, query.visible_to)
    return (
        selection is not None
        and selection.breakdown is None
        and "client_session_id" not in selection.values
        and is_indexed(query.search)
    )


class FoundIds(NamedTuple):
    """Calls that match, and whether these are all of them."""

    ids: list[UUID]
    is_exact: bool = True


class SearchIndex:
    """The search index of a database.

    Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS` for a page.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._interceptions = database.interceptions

    async def sessions(self, query: Query) -> FoundSessions:
        """Find the sessions of the calls that match, of `storage.search.sessions.MAX_CALLS` of the latest."""
        async with self._database.query(), self._database.snapshot() as session:
            return await SessionReading(self._database, session, query).sessions()

    async def latest(self, query: Query, most: int) -> FoundIds:
        """Find the ids of the latest calls that match, `most` of them.

        Where words have to follow one another, those of `MAX_CHECKED` at most are found.
        """
        async with self._database.query(), self._database.snapshot() as session:
            ids, is_exact = await EveryReading(self._database, session, query).latest(most)
            return FoundIds(each(ids), is_exact)

    def every(self, query: Query) -> CallFinder:
        """Find all calls that match, for what is made of them as of one moment."""

        async def find(rows: RowReader, session: Session, start: datetime, end: datetime) -> FoundCalls:
            return await EveryReading(self._database, session, query).every(rows, start, end)

        return find

    async def pages(
        self, query: Query, *, after_id: UUID | None = None, limit: int | None = None
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Read all calls that match, newest first, a page whenever the caller is ready for one; `limit` is how many at most.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible; or retention has removed the last call of a page.
        """
        while limit is None or limit > 0:
            found = await self.page(query, limit=min(limit or PAGE, PAGE), after_id=after_id)
            page = list(found.rows)
            if page:
                yield page
            if not page and found.next_after is None:
                break
            after_id = page[-1]["_id"] if found.rows.is_cut or found.next_after is None else found.next_after
            limit = limit and limit - len(page)

    async def page(self, query: Query, *, limit: int, after_id: UUID | None = None, offset: int = 0) -> Found:
        """Read a page (see `storage.queries.paging`) of the calls that match, newest first, and count all that do.

        Both are as of one moment.
        """
        async with self._database.query():
            before = None
            if after_id is not None:
                cursor = await INTERCEPTIONS.locate(self._interceptions, after_id, visible(query.visible_to))
                before = key_at(cursor)
            async with self._database.snapshot() as session:
                return await _Page(self._database, session, query).page(limit, before, offset)


class _Page(IndexReading):
    """A page of the calls that match."""

    async def page(self, limit: int, before: Key | None, offset: int) -> Found:
        matches = await self.matches()
        count = matches.calls
        if self.texts is None or not self.texts.has_order:
            keys = (await self.newest(matches, offset + limit, before))[offset:]
            return Found(count, matches.is_exact, await self._rows(keys))
        if count <= MAX_CHECKED:
            every = await self._checked(await self.newest(matches, count), self.texts)
            keys = [key for key in every if before is None or key < before][offset : offset + limit]
            return Found(len(every), matches.is_exact, await self._rows(keys))
        candidates = await self.newest(matches, MAX_CHECKED, before)
        keys = (await self._checked(candidates, self.texts, offset + limit))[offset : offset + limit]
        has_more = len(keys) < limit and len(candidates) == MAX_CHECKED
        next_after = UUID(bytes=candidates[-1].id) if has_more else None
        return Found(count, False, await self._rows(keys), next_after)

    async def _checked(self, keys: Sequence[Key], texts: TextQuery, enough: int = MAX_CHECKED) -> list[Key]:
        """Those whose texts match, the newest first; reading ends when `enough` are found."""
        found: list[Key] = []
        for begin in range(0, len(keys), CHECKED_AT_ONCE):
            if len(found) >= enough:
                break
            some = {UUID(bytes=key.id): key for key in keys[begin : begin + CHECKED_AT_ONCE]}
            cursor = self.database.interceptions.find({"_id": {"$in": list(some)}}, TEXT_FIELDS, session=self.session)
            while documents := await cursor.to_list(TEXTS_AT_ONCE):
                found += [some[document["_id"]] for document in await matching(documents, texts)]
        return sorted(found, reverse=True)

    async def _rows(self, keys: Sequence[Key]) -> Rows:
        collection = self.database.interceptions
        ids = [UUID(bytes=key.id) for key in keys]
        cursor = as_sent(collection).find({"_id": {"$in": ids}}, HIDDEN_FIELDS, session=self.session)
        cursor = cursor.sort(INTERCEPTIONS.order)
        return await Rows(collection).read(cursor, max(len(keys), 1))
