"""Every call that a search finds in a time range, and the latest of all that it finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import datetime
from uuid import UUID

from storage.queries.filters.texts import TEXT_FIELDS, TextQuery
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.found import FoundCalls
from storage.search.conditions import flags
from storage.search.documents import part_id
from storage.search.reading import (
    CHECKED_AT_ONCE,
    MAX_CHECKED,
    TEXTS_AT_ONCE,
    Hits,
    IndexReading,
)
from storage.search.segments import ID_BYTES, IDS


class EveryReading(IndexReading):
    """Reads the ids of all calls that match."""

    is_cut = False

    async def every(self, rows: RowReader, start: datetime, end: datetime) -> FoundCalls:
        """Find those that started in [start, end). Where words have an order, the texts of all candidates are read."""
        self.selection = self.selection and self.selection.within(start, end)
        matches = await self.matches()
        found = [key.id for key in matches.waiting] + [await self._ids(hit) for hit in matches.hits]
        ids = b"".join(found)
        if self.texts is not None and self.texts.has_order:
            await rows.report_progress(of=len(ids) // ID_BYTES)
            parts = [part async for part in self.checked(ids, self.texts, rows)]
            ids = b"".join(parts)
        waiting = 0 if matches.is_exact else await self.count_waiting(matches.state)
        return FoundCalls(ids, waiting)

    async def latest(self, most: int) -> tuple[bytes, bool]:
        """Return the ids of the latest calls, `most` of them, and whether these are all.

        Where the order of words matters, texts of `MAX_CHECKED` are read.
        """
        has_order = self.texts is not None and self.texts.has_order
        matches = await self.matches()
        keys = await self.newest(matches, min(most, MAX_CHECKED) if has_order else most)
        ids = b"".join(key.id for key in keys)
        if self.texts is not None and has_order:
            ids = b"".join([part async for part in self.checked(ids, self.texts)])
        return ids, matches.is_exact and len(keys) == matches.calls and not self.is_cut

    async def _ids(self, hit: Hits) -> bytes:
        """The ids of the calls of a segment; none where retention has removed it meanwhile."""
        number = part_id(hit.segment, IDS)
        part = (await self.read_parts([number])).get(hit.segment.number, {}).get(IDS, b"")
        has = flags(hit.calls, hit.segment.calls)
        return b"".join(part[at * ID_BYTES : (at + 1) * ID_BYTES] for at in _positions(has)) if part else b""

    async def checked(self, ids: bytes, texts: TextQuery, rows: RowReader | None = None) -> AsyncIterator[bytes]:
        """Yield the ids of those whose texts match, and report the progress; where time is over, `is_cut` is True."""
        step = CHECKED_AT_ONCE * ID_BYTES
        for begin in range(0, len(ids), step):
            some = each(ids[begin : begin + step])
            cursor = self.database.interceptions.find({"_id": {"$in": some}}, TEXT_FIELDS, session=self.session)
            found: list[bytes] = []
            async with rows.scans if rows else nullcontext():
                while documents := await cursor.to_list(TEXTS_AT_ONCE):
                    say = await self.time.each(texts.matches, documents)
                    found += [document["_id"].bytes for document, says in zip(documents, say, strict=False) if says]
                    if len(say) < len(documents):
                        self.is_cut = True
                        break
            if rows:
                await rows.report_progress(read=len(some))
            yield b"".join(found)
            if self.is_cut:
                break


def each(ids: bytes) -> list[UUID]:
    """Take ids apart."""
    return [UUID(bytes=ids[at : at + ID_BYTES]) for at in range(0, len(ids), ID_BYTES)]


def _positions(has: bytes) -> Iterator[int]:
    position = has.find(1)
    while position >= 0:
        yield position
        position = has.find(1, position + 1)
