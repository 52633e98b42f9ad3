"""Reads the search index as it was at one moment: which calls of each segment match, and which wait to be indexed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from pymongo import ASCENDING

from storage.mongo.clocks import Monotonic
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_TIME, UNINDEXED
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS, TextQuery
from storage.search.conditions import Calls, Condition, conditions_of, flags
from storage.search.documents import JOB_STATE, part_id, read_part_id, read_segment
from storage.search.positions import Key, key_of, newest, started_within, without_gone
from storage.search.segments import IDS, TIMES, Segment

D = TypeVar("D")
T = TypeVar("T")

MAX_WAITING: Final = 1_000
"""How many calls that wait to be indexed are read, the longest waiting first. Where there are more, no count is exact."""

MAX_CHECKED: Final = 1_000
"""How many calls, the newest, have their texts read where the order of words matters."""

TEXT_SECONDS: Final = 4.0
"""How long a search reads texts. What it found until then is the answer."""

WAITING_SHARE: Final = 0.5
"""The part of that time for calls that wait to be indexed."""

CHECKED_AT_ONCE: Final = 100
"""Calls whose texts are read at a time."""

TEXTS_AT_ONCE: Final = 20
"""Calls whose texts are looked through at a time. MongoDB sends more of them together, 16 MiB at most."""

SEGMENTS_AT_ONCE: Final = 16
"""Segments whose parts are held at a time."""


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        search: The search, with ids in place of names.
        conditions: The MongoDB filter of it, without the texts.
        initiator_id: Who its `initiator` was found to be.
        visible_to: The user whose calls alone may be seen; None sees all.
        searcher_id: Whose search it is.
    """

    search: Search
    conditions: Mapping[str, Any]
    initiator_id: UUID | None
    visible_to: UUID | None
    searcher_id: UUID | None = None


class Hits(NamedTuple):
    """Calls of a segment that match."""

    segment: Segment
    calls: Calls


class Matches(NamedTuple):
    """Calls that match, aside from the order of words.

    Attributes:
        state: The state of the index.
        waiting: Those that are in no segment yet.
        hits: Those in segments, the latest segment first.
        is_exact: Whether these are all.
    """

    state: Mapping[str, Any]
    waiting: Sequence[Key] = ()
    hits: Sequence[Hits] = ()
    is_exact: bool = True

    @property
    def calls(self) -> int:
        """How many they are."""
        return len(self.waiting) + sum(flags(one.calls, one.segment.calls).count(1) for one in self.hits)


class IndexReading:
    """Reads the index for one search, in one snapshot."""

    def __init__(self, database: Database, session: Session, query: Query, time: TextTime) -> None:
        self.database = database
        self.session = session
        self.query = query
        self.time = time
        self.selection = Selection.of(query.conditions, query.visible_to)
        self.texts: TextQuery | None = query.search.texts

    async def matches(self) -> Matches:
        """Find the calls that match."""
        conditions = conditions_of(
            self.query.search, initiator_id=self.query.initiator_id, visible_to=self.query.visible_to
        )
        state, segments = await self.read_index()
        if conditions is None or self.selection is None or self.selection.start >= self.selection.end:
            return Matches(state)
        waiting, is_exact = await self.waiting(state)
        return Matches(state, waiting, await self.hits(conditions, segments), is_exact)

    async def newest(self, matches: Matches, number: int, before: Key | None = None) -> list[Key]:
        """The newest of the calls that match, at most `number`, older than the call `before`."""
        found = sorted((key for key in matches.waiting if before is None or key < before), reverse=True)[:number]
        for segment, calls in matches.hits:
            if len(found) == number and found[-1].at > segment.last:
                break
            if before is not None and segment.first > before.at:
                continue
            parts = (await self.read_parts([part_id(segment, IDS), part_id(segment, TIMES)])).get(segment.number, {})
            if len(parts) < len((IDS, TIMES)):
                continue  # retention has removed it
            found += newest(parts, flags(calls, segment.calls), number, before)
            found = sorted(found, reverse=True)[:number]
        return found

    async def read_index(self) -> tuple[Mapping[str, Any], list[Segment]]:
        """Read the state of the index, and the segments without their parts."""
        state: Mapping[str, Any] = {}
        segments = []
        async for document in self.database.search_segments.find({}, session=self.session):
            if document["_id"] == JOB_STATE["_id"]:
                state = document
            else:
                segments.append(read_segment(document))
        return state, segments

    async def waiting(self, state: Mapping[str, Any]) -> tuple[list[Key], bool]:
        """The calls that match and are in no segment yet, and whether all of those were looked at."""
        cursor = self.database.interceptions.find(
            self._waiting_filter(state),
            {"started_at": True, **(dict.fromkeys(TEXT_FIELDS, True) if self.texts else {})},
            session=self.session,
            hint=UNINDEXED,
            limit=MAX_WAITING,
        )
        keys: list[Key] = []
        looked_at, texts = 0, self.texts
        while documents := await cursor.to_list(TEXTS_AT_ONCE):
            looked_at += len(documents)
            if texts is None:
                keys += map(key_of, documents)
                continue
            say = await self.time.each(texts.matches, documents, WAITING_SHARE)
            keys += [key_of(document) for document, says in zip(documents, say, strict=False) if says]
            if len(say) < len(documents):
                return keys, False
        return keys, looked_at < MAX_WAITING

    async def count_waiting(self, state: Mapping[str, Any]) -> int:
        """Count the calls beyond `MAX_WAITING` that may match and are in no segment yet."""
        waiting = self._waiting_filter(state)
        counted = await self.database.interceptions.count_documents(waiting, session=self.session, hint=UNINDEXED)
        return max(counted - MAX_WAITING, 0)

    def _waiting_filter(self, state: Mapping[str, Any]) -> dict[str, Any]:
        note = state.get("note") or {}
        added = [*note.get("true", ()), *(one["_id"] for one in note.get("presumed", ()))]
        marked = {"unindexed": {"$exists": True}, "indexed": None, "_id": {"$nin": added}}
        assert self.selection is not None  # noqa: S101 - for mypy
        return {"$and": [marked, self.selection.filter]}

    async def hits(self, conditions: Sequence[Condition], segments: Iterable[Segment]) -> list[Hits]:
        """The calls of each segment that match, of the segments that have any, the latest first."""
        start, end = await self.bounds()
        meant = sorted(
            (one for one in segments if one.last >= start and one.first < end), key=lambda one: one.last, reverse=True
        )
        found: list[Hits] = []
        for begin in range(0, len(meant), SEGMENTS_AT_ONCE):
            some = meant[begin : begin + SEGMENTS_AT_ONCE]
            wanted = {part_id(segment, part) for segment in some for one in conditions for part in one.parts(segment)}
            straddling = [one for one in some if one.first < start or one.last >= end]
            parts = await self.read_parts([*wanted, *(part_id(segment, TIMES) for segment in straddling)])
            for segment in some:
                own = parts.get(segment.number, {})
                calls = without_gone(segment)
                for condition in conditions:
                    calls &= condition.calls(segment, own)
                    if not calls:
                        break
                if calls and TIMES in own:
                    calls &= started_within(segment, own[TIMES], start, end)
                if calls:
                    found.append(Hits(segment, calls))
        return found

    async def bounds(self) -> tuple[int, int]:
        """The milliseconds from which and until which calls are meant; what retention has removed is not."""
        assert self.selection is not None  # noqa: S101 - for mypy
        oldest = await self.database.interceptions.find_one(
            {},
            {"started_at": True, "_id": False},
            sort=[("started_at", ASCENDING), ("_id", ASCENDING)],
            hint=BY_TIME,
            session=self.session,
        )
        start, end = write_ms(self.selection.start), write_ms(self.selection.end)
        return (end if oldest is None else max(start, write_ms(oldest["started_at"]))), end

    async def read_parts(self, ids: Sequence[int]) -> dict[int, dict[int, bytes]]:
        """Read parts: by the number of the segment, and that of the part."""
        found: dict[int, dict[int, bytes]] = {}
        if ids:
            cursor = self.database.search_parts.find({"_id": {"$in": list(ids)}}, {"data": True}, session=self.session)
            for document in await cursor.to_list(None):
                segment, part = read_part_id(document["_id"])
                found.setdefault(segment, {})[part] = document["data"]
        return found


class TextTime:
    """The time in which a search may read texts, in a thread: one of a script without spaces takes a tenth of a second.

    Args:
        one_at_a_time: Held while the thread works, by all searches of a user.
        monotonic: A clock, in seconds.
        seconds: After this time from now, one more text is read each time.
    """

    def __init__(self, one_at_a_time: asyncio.Lock, monotonic: Monotonic, seconds: float) -> None:
        self._one_at_a_time = one_at_a_time
        self._monotonic = monotonic
        self._seconds = seconds
        self._begun_at = monotonic()

    async def each(self, function: Callable[[D], T], documents: Sequence[D], share: float = 1.0) -> list[T]:
        """Return what a function makes of documents, of fewer where `share` of the time is over. It ends with its caller."""
        until, is_cancelled = self._begun_at + share * self._seconds, False

        def read() -> list[T]:
            made: list[T] = []
            for document in documents:
                if is_cancelled or (made and self._monotonic() >= until):
                    break
                made.append(function(document))
            return made

        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(read)
            finally:
                is_cancelled = True
