"""Reads the search index as it was at one moment: which calls of each segment match, the newest of these, what they say."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from msgspec import Struct
from pymongo import ASCENDING

from storage.mongo.clocks import Monotonic
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS
from storage.queries.questions.reading import RowReader
from storage.search.conditions import conditions_of, positions_of
from storage.search.segments import IDS, TIMES, Key, Segment, keys_at
from storage.search.writing import read_fields, read_segments

D = TypeVar("D")
T = TypeVar("T")

TEXTS_AT_ONCE: Final = 20
"""Calls whose texts are read at a time."""

SEGMENTS_AT_ONCE: Final = 64
"""Segments whose fields are held at a time."""


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        search: The search, with ids in place of names.
        conditions: The MongoDB filter of it, without the texts.
        visible_to: The user whose calls alone may be seen; None sees all.
        searcher_id: Whose search it is.
    """

    search: Search
    conditions: Mapping[str, Any]
    visible_to: UUID | None
    searcher_id: UUID | None = None

    @property
    def selection(self) -> Selection | None:
        """Which calls are meant, whatever they say; None if that is surely none."""
        return Selection.of(self.conditions, self.visible_to)

    @property
    def has_order(self) -> bool:
        """Whether the order of words matters."""
        return self.search.texts is not None and self.search.texts.has_order


class Hits(NamedTuple):
    """Calls of a segment that match: their positions, in order."""

    segment: Segment
    positions: array[int]


class TextTime(NamedTuple):
    """The time in which a search may read texts, in a thread: one of a script without spaces takes a tenth of a second.

    Attributes:
        one_at_a_time: Held while the thread works, by all searches of a user.
        monotonic: A clock, in seconds.
        until: When it is over. After that one more text is read each time.
    """

    one_at_a_time: asyncio.Lock
    monotonic: Monotonic
    until: float

    async def each(self, function: Callable[[D], T], documents: Sequence[D]) -> list[T]:
        """Return what a function makes of documents, of fewer where time is over. It ends with its caller."""
        is_cancelled = False

        def read() -> list[T]:
            made: list[T] = []
            for document in documents:
                if is_cancelled or (made and self.monotonic() >= self.until):
                    break
                made.append(function(document))
            return made

        async with self.one_at_a_time:
            try:
                return await asyncio.to_thread(read)
            finally:
                is_cancelled = True


class IndexReading(Struct):
    """Reads the index for a search, in a snapshot."""

    database: Database
    session: Session
    query: Query
    time: TextTime

    async def hits(self, selection: Selection | None) -> list[Hits]:
        """Find the calls in the time of the selection that match, aside from the order of words: the latest segment first."""
        if selection is None:
            return []
        conditions = conditions_of(self.query.search, self.query.visible_to)
        start, end = max(write_ms(selection.start), await self._oldest()), write_ms(selection.end)
        segments = await read_segments(self.database, {}, self.session)
        meant = [one for one in segments if one.last >= start and one.first < end]
        meant.sort(key=lambda one: one.last, reverse=True)
        names = {TIMES}.union(*[one.names for one in conditions])
        if all(start <= one.first and one.last < end for one in meant):
            names.remove(TIMES)
        found: list[Hits] = []
        for begin in range(0, len(meant), SEGMENTS_AT_ONCE):
            some = meant[begin : begin + SEGMENTS_AT_ONCE]
            fields = await read_fields(self.database, some, names, self.session)
            for segment in some:
                own = fields[segment.number]
                positions = positions_of(conditions, segment, own)
                if positions and not start <= segment.first <= segment.last < end:
                    times = array("q", own.get(TIMES, b""))
                    positions.intersection_update([at for at, time in enumerate(times) if start <= time < end])
                if positions:
                    found.append(Hits(segment, array("H", sorted(positions))))
        return found

    async def newest(self, hits: Iterable[Hits], number: int, before: Key | None = None) -> list[Key]:
        """Return the newest of these calls, at most `number`, that are older than the call `before`."""
        found: list[Key] = []
        for segment, positions in hits:
            if len(found) == number and found[-1].at > segment.last:
                break
            if before is not None and segment.first > before.at:
                continue
            fields = await read_fields(self.database, [segment], (IDS, TIMES), self.session)
            if own := fields[segment.number]:
                keys = [key for key in keys_at(own, positions) if before is None or key < before]
                found = sorted(found + keys[-number:], reverse=True)[:number]
        return found

    async def saying(
        self, keys: Sequence[Key], enough: int | None = None, rows: RowReader | None = None
    ) -> tuple[list[Key], Key | None]:
        """Return those whose texts match, until there are enough; and the last that was read where time was over.

        Args:
            keys: The calls, in the order in which they are read.
            enough: So many are enough; None wants all.
            rows: Bounds what is read at a time, and is told how many are read.
        """
        texts = self.query.search.texts
        assert texts is not None  # noqa: S101 - for mypy
        found: list[Key] = []
        for begin in range(0, len(keys), TEXTS_AT_ONCE):
            if enough is not None and len(found) >= enough:
                break
            some = {UUID(bytes=key.id): key for key in keys[begin : begin + TEXTS_AT_ONCE]}
            cursor = self.database.interceptions.find({"_id": {"$in": list(some)}}, TEXT_FIELDS, session=self.session)
            async with rows.scans if rows else nullcontext():
                read = {document["_id"]: document for document in await cursor.to_list(TEXTS_AT_ONCE)}
                documents = [read[id_] for id_ in some if id_ in read]
                say = await self.time.each(texts.matches, documents)
            found += [some[document["_id"]] for document, says in zip(documents, say, strict=False) if says]
            if len(say) < len(documents):
                return found, some[documents[len(say) - 1]["_id"]]
            if rows:
                await rows.report_progress(read=len(some))
        return found, None

    async def _oldest(self) -> int:
        """When the oldest call started, in milliseconds: what retention has removed is not meant."""
        order = [("started_at", ASCENDING), ("_id", ASCENDING)]
        oldest = await self.database.interceptions.find_one(
            {}, {"started_at": True, "_id": False}, sort=order, hint=BY_TIME, session=self.session
        )
        return 0 if oldest is None else write_ms(oldest["started_at"])
