"""Searches that the search index answers: what was said in calls, and rare values of theirs.

All is read as it was at one moment. Calls that wait to be indexed are looked at themselves. The index is exact but for the order of
words: where that matters, the texts of the newest calls are read, see `MAX_CHECKED`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from pymongo import ASCENDING

from storage.mongo.database import Database, Session
from storage.mongo.indexes import BY_TIME, UNINDEXED
from storage.mongo.rows import Rows, as_sent
from storage.queries.filters.interceptions import Search
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS, TextQuery
from storage.queries.paging import NOT_SHOWN, Paging, visible
from storage.queries.recorded import PAGE
from storage.search.conditions import Calls, Condition, can_answer, conditions_of, flags
from storage.search.documents import JOB_STATE, part_id, read_part_id, read_segment
from storage.search.entries import milliseconds
from storage.search.positions import Key, key_at, key_of, newest, started_within, without_gone
from storage.search.segments import IDS, TIMES, Segment

MAX_CHECKED: Final = 1_000
"""Of so many calls, the newest, texts are read where the order of words matters."""

CHECKED_AT_ONCE: Final = 100

MAX_WAITING: Final = 1_000
"""Of calls that wait to be indexed, so many are looked at, the ones that wait longest. Where there are more, no count is exact."""

SEGMENTS_AT_ONCE: Final = 16
"""Segments whose parts are held at a time."""

_INTERCEPTIONS: Final = Paging("interception", "started_at")


class Progress(NamedTuple):
    """How far the index goes back: so many calls of about so many were looked at."""

    done: int
    total: int


class Found(Struct):
    """What a search found.

    Attributes:
        count: How many match; at most so many where it is not exact.
        is_exact: Whether `count` is exact.
        rows: The page.
        next_after: Where a page ended before it was full, the call behind which to go on; else None.
        progress: Where older calls are not indexed yet, how many are; None where all are.
    """

    count: int
    is_exact: bool
    rows: Rows
    progress: Progress | None
    next_after: UUID | None = None


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        search: The search, with ids in place of names.
        conditions: The MongoDB filter of it, without the texts.
        initiator_id: Who its `initiator` was found to be.
        visible_to: The user whose calls alone may be seen; None sees all.
    """

    search: Search
    conditions: Mapping[str, Any]
    initiator_id: UUID | None
    visible_to: UUID | None


def is_for_index(query: Query) -> bool:
    """Whether no other index and no rollup answers a search by keys, so that the search index does it best."""
    selection = Selection.of(query.conditions, query.visible_to)
    return (
        selection is not None
        and selection.breakdown is None
        and "client_session_id" not in selection.values
        and can_answer(query.search)
    )


class _Hits(NamedTuple):
    segment: Segment
    calls: Calls


class SearchUnsupportedError(Exception):
    """This MongoDB has no search index: that needs a replica set."""


class SearchIndex:
    """The search index of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._segments = database.search_segments
        self._parts = database.search_parts
        self._interceptions = database.interceptions

    async def is_complete(self) -> bool:
        """Whether every call is in the index, or waits for it.

        Raises:
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._database.query():
            state = await self._segments.find_one(JOB_STATE, {"swept_until": True})
        return bool(state and "swept_until" in state)

    async def pages(
        self, query: Query, *, after_id: UUID | None = None, limit: int | None = None
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Read all calls that match, newest first, a page whenever the caller is ready for one; `limit` is how many at most.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible; or retention has removed the last call of a page.
            SearchUnsupportedError: There is no index.
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS` for a page.
        """
        while limit is None or limit > 0:
            found = await self.page(query, limit=min(limit or PAGE, PAGE), after_id=after_id)
            page = list(found.rows)
            if page:
                yield page
            if not page and found.next_after is None:
                break
            after_id = found.next_after or page[-1]["_id"]
            limit = limit and limit - len(page)

    async def page(self, query: Query, *, limit: int, after_id: UUID | None = None, offset: int = 0) -> Found:
        """Read a page of the calls that match, newest first, and count all that do, both as of one moment.

        Args:
            query: What is searched for.
            limit: Most documents to return, at least 1.
            after_id: Start behind this interception.
            offset: Leave out this many. Not together with `after_id`.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible.
            SearchUnsupportedError: There is no index.
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
        """
        async with self._database.query():
            before = None
            if after_id is not None:
                cursor = await _INTERCEPTIONS.locate(self._interceptions, after_id, visible(query.visible_to))
                before = key_at(cursor)
            async with self._database.snapshot() as session:
                if session is None:
                    raise SearchUnsupportedError
                return await _Reading(self._database, session, query).page(limit, before, offset)


class _Reading:
    """One search, in one snapshot."""

    def __init__(self, database: Database, session: Session, query: Query) -> None:
        self._database = database
        self._session = session
        self._query = query
        self._selection = Selection.of(query.conditions, query.visible_to)
        self._texts: TextQuery | None = query.search.texts

    async def page(self, limit: int, before: Key | None, offset: int) -> Found:
        collection = self._database.interceptions
        conditions = conditions_of(
            self._query.search, initiator_id=self._query.initiator_id, visible_to=self._query.visible_to
        )
        state, segments = await self._read_index()
        progress = _progress(state)
        if conditions is None or self._selection is None:
            return Found(0, True, Rows(collection), progress)
        waiting, is_exact = await self._waiting(state)
        hits = await self._hits(conditions, segments)
        count = len(waiting) + sum(flags(one.calls, one.segment.calls).count(1) for one in hits)
        if self._texts is None or not self._texts.has_order:
            keys = (await self._newest(hits, waiting, offset + limit, before))[offset:]
            return Found(count, is_exact, await self._rows(keys), progress)
        if count <= MAX_CHECKED:
            every = await self._checked(await self._newest(hits, waiting, count, None), self._texts)
            keys = [key for key in every if before is None or key < before][offset : offset + limit]
            return Found(len(every), is_exact, await self._rows(keys), progress)
        candidates = await self._newest(hits, waiting, MAX_CHECKED, before)
        keys = (await self._checked(candidates, self._texts, offset + limit))[offset : offset + limit]
        has_more = len(keys) < limit and len(candidates) == MAX_CHECKED
        next_after = UUID(bytes=candidates[-1].id) if has_more else None
        return Found(count, False, await self._rows(keys), progress, next_after)

    async def _read_index(self) -> tuple[Mapping[str, Any], list[Segment]]:
        state: Mapping[str, Any] = {}
        segments = []
        async for document in self._database.search_segments.find({}, session=self._session):
            if document["_id"] == JOB_STATE["_id"]:
                state = document
            else:
                segments.append(read_segment(document))
        return state, segments

    async def _waiting(self, state: Mapping[str, Any]) -> tuple[list[Key], bool]:
        """The calls that match and are in no segment yet, and whether all of those were looked at."""
        note = state.get("note") or {}
        added = [*note.get("true", ()), *(one["_id"] for one in note.get("presumed", ()))]
        marked = {"unindexed": {"$exists": True}, "indexed": None, "_id": {"$nin": added}}
        assert self._selection is not None  # noqa: S101 - for mypy
        cursor = self._database.interceptions.find(
            {"$and": [marked, self._selection.filter]},
            {"started_at": True, **(dict.fromkeys(TEXT_FIELDS, True) if self._texts else {})},
            session=self._session,
            hint=UNINDEXED,
            limit=MAX_WAITING,
        )
        matching, looked_at = [], 0
        async for document in cursor:
            looked_at += 1
            if self._texts is None or self._texts.matches(document):
                matching.append(key_of(document))
        return matching, looked_at < MAX_WAITING

    async def _hits(self, conditions: Sequence[Condition], segments: Iterable[Segment]) -> list[_Hits]:
        """The calls of each segment that match, of the segments that have any, the latest first."""
        start, end = await self._bounds()
        meant = sorted(
            (one for one in segments if one.last >= start and one.first < end), key=lambda one: one.last, reverse=True
        )
        found: list[_Hits] = []
        for begin in range(0, len(meant), SEGMENTS_AT_ONCE):
            some = meant[begin : begin + SEGMENTS_AT_ONCE]
            wanted = {part_id(segment, part) for segment in some for one in conditions for part in one.parts(segment)}
            straddling = [one for one in some if one.first < start or one.last >= end]
            parts = await self._read_parts([*wanted, *(part_id(segment, TIMES) for segment in straddling)])
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
                    found.append(_Hits(segment, calls))
        return found

    async def _bounds(self) -> tuple[int, int]:
        """The milliseconds from which and until which calls are meant; what retention has removed is not."""
        assert self._selection is not None  # noqa: S101 - for mypy
        oldest = await self._database.interceptions.find_one(
            {},
            {"started_at": True, "_id": False},
            sort=[("started_at", ASCENDING), ("_id", ASCENDING)],
            hint=BY_TIME,
            session=self._session,
        )
        start, end = milliseconds(self._selection.start), milliseconds(self._selection.end)
        return (end if oldest is None else max(start, milliseconds(oldest["started_at"]))), end

    async def _newest(
        self, hits: Sequence[_Hits], waiting: Iterable[Key], number: int, before: Key | None
    ) -> list[Key]:
        """The newest of the calls that were found, behind a call."""
        found = sorted((key for key in waiting if before is None or key < before), reverse=True)[:number]
        for segment, calls in hits:
            if len(found) == number and found[-1].at > segment.last:
                break
            if before is not None and segment.first > before.at:
                continue
            parts = (await self._read_parts([part_id(segment, IDS), part_id(segment, TIMES)])).get(segment.number, {})
            if len(parts) < len((IDS, TIMES)):
                continue  # retention has removed it
            found += newest(parts, flags(calls, segment.calls), number, before)
            found = sorted(found, reverse=True)[:number]
        return found

    async def _checked(self, keys: Sequence[Key], texts: TextQuery, enough: int = MAX_CHECKED) -> list[Key]:
        """Those whose texts are as is asked for, at least `enough` of the newest if there are so many."""
        found: list[Key] = []
        for begin in range(0, len(keys), CHECKED_AT_ONCE):
            if len(found) >= enough:
                break
            some = {UUID(bytes=key.id): key for key in keys[begin : begin + CHECKED_AT_ONCE]}
            cursor = self._database.interceptions.find({"_id": {"$in": list(some)}}, TEXT_FIELDS, session=self._session)
            found += [some[document["_id"]] async for document in cursor if texts.matches(document)]
        return sorted(found, reverse=True)

    async def _rows(self, keys: Sequence[Key]) -> Rows:
        collection = self._database.interceptions
        ids = [UUID(bytes=key.id) for key in keys]
        cursor = as_sent(collection).find({"_id": {"$in": ids}}, NOT_SHOWN, session=self._session)
        cursor = cursor.sort(_INTERCEPTIONS.order)
        return await Rows(collection).read(cursor, max(len(keys), 1))

    async def _read_parts(self, ids: Sequence[int]) -> dict[int, dict[int, bytes]]:
        """Read parts: by the number of the segment, and that of the part."""
        found: dict[int, dict[int, bytes]] = {}
        if ids:
            cursor = self._database.search_parts.find(
                {"_id": {"$in": list(ids)}}, {"data": True}, session=self._session
            )
            for document in await cursor.to_list(None):
                segment, part = read_part_id(document["_id"])
                found.setdefault(segment, {})[part] = document["data"]
        return found


def _progress(state: Mapping[str, Any]) -> Progress | None:
    if "swept_until" in state:
        return None
    sweep = state.get("sweep") or {"done": 0, "total": 0}
    return Progress(int(sweep["done"]), int(sweep["total"]))
