"""Searches that the search index answers: what was said in calls, and rare values of theirs.

All is read as it was at one moment. Calls that wait to be indexed are looked at themselves. The index is exact but for
the order of words: where that matters, the texts of the newest calls are read, see `MAX_CHECKED`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from msgspec import Struct

from storage.mongo.clocks import Monotonic
from storage.mongo.database import Database, Session
from storage.mongo.documents.rows import Rows, as_sent
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS, Match, TextQuery
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.found import CallFinder, FoundCalls
from storage.queries.interception_reader import PAGE
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, visible
from storage.search.conditions import is_indexed
from storage.search.every import EveryReading, each
from storage.search.positions import Key, key_at
from storage.search.reading import (
    MAX_CHECKED,
    TEXT_SECONDS,
    TEXTS_AT_ONCE,
    IndexReading,
    Query,
    TextTime,
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

    def __init__(self, database: Database, monotonic: Monotonic = time.monotonic) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._monotonic = monotonic
        self._of_users: WeakValueDictionary[UUID | None, asyncio.Lock] = WeakValueDictionary()

    def _time(self, user_id: UUID | None, seconds: float = TEXT_SECONDS) -> TextTime:
        return TextTime(self._of_users.setdefault(user_id, asyncio.Lock()), self._monotonic, seconds)

    async def sessions(self, query: Query) -> FoundSessions:
        """Find the sessions of the calls that match, of `storage.search.sessions.MAX_CALLS` of the latest."""
        async with self._database.query(), self._database.snapshot() as session:
            return await SessionReading(self._database, session, query, self._time(query.searcher_id)).sessions()

    async def latest(self, query: Query, most: int) -> FoundIds:
        """Find the ids of the latest calls that match, `most` of them.

        Where words have to follow one another, those of `MAX_CHECKED` at most are found.
        """
        async with self._database.query(), self._database.snapshot() as session:
            reading = EveryReading(self._database, session, query, self._time(query.searcher_id))
            ids, is_exact = await reading.latest(most)
            return FoundIds(each(ids), is_exact)

    def every(self, query: Query) -> CallFinder:
        """Find all calls that match, for what is made of them as of one moment."""

        async def find(rows: RowReader, session: Session, start: datetime, end: datetime) -> FoundCalls:
            reading = EveryReading(self._database, session, query, self._time(query.searcher_id, math.inf))
            return await reading.every(rows, start, end)

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
                reading = _Page(self._database, session, query, self._time(query.searcher_id))
                return await reading.page(limit, before, offset)

    async def matches(self, query: Query, documents: Sequence[Mapping[str, Any]]) -> list[list[Match]]:
        """Find where calls say what a search is for: in each of the first ones, as many as there is time for."""
        texts = query.search.texts
        return [] if texts is None else await self._time(query.searcher_id).each(texts.find_matches, documents)


class _Page(IndexReading):
    """A page of the calls that match."""

    async def page(self, limit: int, before: Key | None, offset: int) -> Found:
        matches = await self.matches()
        count = matches.calls
        if self.texts is None or not self.texts.has_order:
            keys = (await self.newest(matches, offset + limit, before))[offset:]
            return Found(count, matches.is_exact, await self._rows(keys))
        has_few = count <= MAX_CHECKED
        candidates = await self.newest(matches, MAX_CHECKED, before)
        found, ended_at = await self._checked(candidates, self.texts, MAX_CHECKED if has_few else offset + limit)
        rows = await self._rows(found[offset : offset + limit])
        if has_few and ended_at is None:
            newer = [] if before is None else [key for key in await self.newest(matches, count) if key >= before]
            counted, ended_at = await self._checked(newer, self.texts)
            if ended_at is None:
                return Found(len(found) + len(counted), matches.is_exact, rows)
            return Found(count, False, rows)
        if ended_at is None and len(candidates) == MAX_CHECKED:
            ended_at = candidates[-1]
        has_more = len(found) < offset + limit and ended_at is not None
        return Found(count, False, rows, UUID(bytes=ended_at.id) if has_more and ended_at else None)

    async def _checked(
        self, keys: Sequence[Key], texts: TextQuery, enough: int = MAX_CHECKED
    ) -> tuple[list[Key], Key | None]:
        """Return the keys whose texts match, of the newest first; and the last one that was read where time was over.

        Reading ends when `enough` are found.
        """
        found: list[Key] = []
        for begin in range(0, len(keys), TEXTS_AT_ONCE):
            if len(found) >= enough:
                break
            some = {UUID(bytes=key.id): key for key in keys[begin : begin + TEXTS_AT_ONCE]}
            cursor = self.database.interceptions.find({"_id": {"$in": list(some)}}, TEXT_FIELDS, session=self.session)
            documents = await cursor.to_list(TEXTS_AT_ONCE)
            documents.sort(key=lambda document: some[document["_id"]], reverse=True)
            say = await self.time.each(texts.matches, documents)
            found += [some[document["_id"]] for document, says in zip(documents, say, strict=False) if says]
            if len(say) < len(documents):
                return found, some[documents[len(say) - 1]["_id"]]
        return found, None

    async def _rows(self, keys: Sequence[Key]) -> Rows:
        collection = self.database.interceptions
        ids = [UUID(bytes=key.id) for key in keys]
        cursor = as_sent(collection).find({"_id": {"$in": ids}}, HIDDEN_FIELDS, session=self.session)
        cursor = cursor.sort(INTERCEPTIONS.order)
        return await Rows(collection).read(cursor, max(len(keys), 1))
