"""Searches that the search index answers: what was said in calls, and rare values of theirs.

All is read as it was at one moment. The index is exact but for the order of words: where that matters, the texts of the newest
calls are read, see `MAX_CHECKED`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from bson.binary import UUID_SUBTYPE, Binary
from msgspec import Struct

from storage.mongo.clocks import Monotonic
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.documents.rows import Rows, as_sent
from storage.queries.filters.texts import Match
from storage.queries.interception_reader import PAGE
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, visible
from storage.queries.questions.questions import CallFinder, FoundCalls
from storage.queries.questions.reading import RowReader
from storage.search.conditions import is_indexed
from storage.search.reading import IndexReading, Query, TextTime
from storage.search.segments import IDS, Key, id_at
from storage.search.writing import read_fields

MAX_CALLS: Final = 10_000
"""How many of the latest calls that match are read for their sessions."""

MAX_CHECKED: Final = 1_000
"""How many calls, the newest, have their texts read where the order of words matters."""

TEXT_SECONDS: Final = 4.0
"""How long a search reads texts. What it found until then is the answer."""


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


class FoundIds(NamedTuple):
    """Calls that match, or their sessions, and whether these are all. There may be thousands: ids are as BSON holds them."""

    ids: list[Binary]
    is_exact: bool


def is_for_index(query: Query) -> bool:
    """Whether no other index and no rollup answers a search by keys, so that the search index does it best."""
    selection = query.selection
    if selection is None or selection.breakdown is not None or "client_session_id" in selection.values:
        return False
    return is_indexed(query.search)


class SearchIndex:
    """The search index of a database.

    Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS` for a page.
    """

    def __init__(self, database: Database, monotonic: Monotonic = time.monotonic) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._monotonic = monotonic
        self._of_users: WeakValueDictionary[UUID | None, asyncio.Lock] = WeakValueDictionary()

    async def latest(self, query: Query, most: int) -> FoundIds:
        """Find the ids of the latest calls that match, `most` of them.

        Where words have to follow one another, those of `MAX_CHECKED` at most are found.
        """
        async with self._database.query(), self._database.snapshot() as session:
            return await self._latest(self._reading(session, query), most)

    async def sessions(self, query: Query) -> FoundIds:
        """Find the ids of the sessions of the latest calls that match, of `MAX_CALLS`; calls that have none are left out."""
        async with self._database.query(), self._database.snapshot() as session:
            found, is_exact = await self._latest(self._reading(session, query), MAX_CALLS)
            calls = with_plain_ids(self._interceptions)
            ids = await calls.distinct("session_id", {"_id": {"$in": found}}, session=session)
            return FoundIds(ids, is_exact)

    def every(self, query: Query) -> CallFinder:
        """Find all calls that match, for what is made of them as of one moment.

        Where words have an order, the texts of all calls that have the words are read.
        """

        async def find(rows: RowReader, session: Session, start: datetime, end: datetime) -> FoundCalls:
            reading, selection = self._reading(session, query, math.inf), query.selection
            hits = await reading.hits(selection and selection.within(start, end))
            if query.has_order:
                await rows.report_progress(of=sum([len(positions) for _, positions in hits]))
            found: list[bytes] = []
            for segment, positions in hits:
                fields = (await read_fields(self._database, [segment], [IDS], session))[segment.number]
                keys = [Key(0, id_at(fields, position)) for position in positions if fields]
                if query.has_order:
                    keys, _ = await reading.saying(keys, rows=rows)
                found.append(b"".join([key.id for key in keys]))
            return FoundCalls(b"".join(found))

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
                before = Key(write_ms(cursor.at), cursor.id.bytes)
            async with self._database.snapshot() as session:
                return await self._page(self._reading(session, query), limit, before, offset)

    async def matches(self, query: Query, documents: Sequence[Mapping[str, Any]]) -> list[list[Match]]:
        """Find where calls say what a search is for: in each of the first ones, as many as there is time for."""
        texts = query.search.texts
        return [] if texts is None else await self._time(query).each(texts.find_matches, documents)

    def _reading(self, session: Session, query: Query, seconds: float = TEXT_SECONDS) -> IndexReading:
        return IndexReading(self._database, session, query, self._time(query, seconds))

    def _time(self, query: Query, seconds: float = TEXT_SECONDS) -> TextTime:
        one_at_a_time = self._of_users.setdefault(query.searcher_id, asyncio.Lock())
        return TextTime(one_at_a_time, self._monotonic, self._monotonic() + seconds)

    async def _latest(self, reading: IndexReading, most: int) -> FoundIds:
        hits, has_order, ended_at = await reading.hits(reading.query.selection), reading.query.has_order, None
        keys = await reading.newest(hits, min(most, MAX_CHECKED) if has_order else most)
        is_exact = len(keys) == sum([len(positions) for _, positions in hits])
        if has_order:
            keys, ended_at = await reading.saying(keys)
        return FoundIds([Binary(key.id, UUID_SUBTYPE) for key in keys], is_exact and ended_at is None)

    async def _page(self, reading: IndexReading, limit: int, before: Key | None, offset: int) -> Found:
        hits = await reading.hits(reading.query.selection)
        most, wanted = sum([len(positions) for _, positions in hits]), offset + limit
        if not reading.query.has_order:
            keys = await reading.newest(hits, wanted, before)
            return Found(most, True, await self._rows(reading, keys[offset:]))
        has_few = most <= MAX_CHECKED
        keys = await reading.newest(hits, MAX_CHECKED, None if has_few else before)
        # What the page may have is read first, the rest for the count alone.
        keys.sort(key=lambda key: before is not None and key >= before)
        said, ended_at = await reading.saying(keys, None if has_few else wanted)
        page = [key for key in said if before is None or key < before][offset:wanted]
        is_exact = has_few and ended_at is None
        if not has_few and ended_at is None and len(keys) == MAX_CHECKED:
            ended_at = keys[-1]
        goes_on = len(page) < limit and ended_at is not None and (before is None or ended_at < before)
        next_after = UUID(bytes=ended_at.id) if goes_on and ended_at else None
        return Found(len(said) if is_exact else most, is_exact, await self._rows(reading, page), next_after)

    async def _rows(self, reading: IndexReading, keys: Sequence[Key]) -> Rows:
        ids = [Binary(key.id, UUID_SUBTYPE) for key in keys]
        cursor = as_sent(self._interceptions).find({"_id": {"$in": ids}}, HIDDEN_FIELDS, session=reading.session)
        return await Rows(self._interceptions).read(cursor.sort(INTERCEPTIONS.order), max(len(keys), 1))
