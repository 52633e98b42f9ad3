"""Every call that a search finds in a time range, for what is made of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from storage.mongo.database import Database, Session
from storage.queries.filters.texts import TEXT_FIELDS, TextQuery
from storage.queries.grouped.found import FoundCalls
from storage.queries.grouped.row_reader import RowReader
from storage.search.conditions import conditions_of, flags
from storage.search.documents import part_id
from storage.search.reading import CHECKED_AT_ONCE, Hits, IndexReading, Query, progress_of
from storage.search.segments import ID_BYTES, IDS


class Every:
    """Finds every call that matches, see `storage.queries.grouped.found.CallFinder`.

    Args:
        database: Where calls and their index are.
        query: What is searched for.
    """

    def __init__(self, database: Database, query: Query) -> None:
        self._database = database
        self._query = query

    async def find(self, rows: RowReader, session: Session, start: datetime, end: datetime) -> FoundCalls:
        """Find those that started in [start, end). Where the order of words matters, the texts of all candidates are read."""
        reading = _EveryReading(self._database, session, self._query)
        return await reading.every(rows, start, end)


class _EveryReading(IndexReading):
    async def every(self, rows: RowReader, start: datetime, end: datetime) -> FoundCalls:
        conditions = conditions_of(
            self.query.search, initiator_id=self.query.initiator_id, visible_to=self.query.visible_to
        )
        state, segments = await self.read_index()
        progress = progress_of(state)
        if conditions is None or self.selection is None:
            return FoundCalls(b"", progress)
        self.selection = self.selection.within(start, end)
        if self.selection.start >= self.selection.end:
            return FoundCalls(b"", progress)
        waiting, is_exact = await self.waiting(state)
        hits = await self.hits(conditions, segments)
        found = b"".join([*(key.id for key in waiting), *[await self._ids(hit) for hit in hits]])
        if self.texts is not None and self.texts.has_order:
            found = await self._checked(found, self.texts, rows)
        return FoundCalls(found, progress, 0 if is_exact else await self.count_waiting(state))

    async def _ids(self, hit: Hits) -> bytes:
        """The ids of the calls of a segment; none where retention has removed it meanwhile."""
        number = part_id(hit.segment, IDS)
        part = (await self.read_parts([number])).get(hit.segment.number, {}).get(IDS, b"")
        has = flags(hit.calls, hit.segment.calls)
        return b"".join(part[at * ID_BYTES : (at + 1) * ID_BYTES] for at in _positions(has)) if part else b""

    async def _checked(self, ids: bytes, texts: TextQuery, rows: RowReader) -> bytes:
        """Those whose texts are as is asked for."""
        every = [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]
        await rows.tell(of=len(every))
        found: list[bytes] = []
        for begin in range(0, len(every), CHECKED_AT_ONCE):
            some = [UUID(bytes=id_) for id_ in every[begin : begin + CHECKED_AT_ONCE]]
            cursor = self.database.interceptions.find({"_id": {"$in": some}}, TEXT_FIELDS, session=self.session)
            async with rows.turn:
                found += [document["_id"].bytes async for document in cursor if texts.matches(document)]
            await rows.tell(read=len(some))
        return b"".join(found)


def _positions(has: bytes) -> Iterator[int]:
    position = has.find(1)
    while position >= 0:
        yield position
        position = has.find(1, position + 1)
