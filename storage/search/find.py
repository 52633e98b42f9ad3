"""Searches that the search index answers: what was said in calls, and rare values of theirs.

What is searched for are conditions on the calls of each segment. All is read as it was at one moment.

The index is exact but for the order of words: where that matters, the texts of the newest
calls are read, see `MAX_CHECKED`.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from bson.binary import UUID_SUBTYPE, Binary
from msgspec import Struct

from intercept.records import Status
from storage.mongo.clocks import Monotonic
from storage.mongo.codec import read_ms, write_ms
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.documents.rows import Rows, as_sent
from storage.queries.counts import oldest_start
from storage.queries.filters.keys import COMPARISONS, KEYS, StatusClass, Term
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import Selection
from storage.queries.filters.texts import TEXT_FIELDS, Match
from storage.queries.interceptions import PAGE
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, visible
from storage.queries.questions.questions import CallFinder
from storage.queries.questions.reading import RowReader
from storage.search.segments import IDS, TIMES, Fields, Place, Segment, keys_at, value_digest, word_digest
from storage.search.writing import read_fields, read_segments

D = TypeVar("D")
T = TypeVar("T")

MAX_CALLS: Final = 10_000
"""How many of the latest calls that match are read for their sessions."""

MAX_CHECKED: Final = 1_000
"""How many calls, the newest, have their texts read where the order of words matters."""

TEXT_SECONDS: Final = 4.0
"""How long a search reads texts. What it found until then is the answer."""

TEXTS_AT_ONCE: Final = 20
"""Calls whose texts are read at a time."""

SEGMENTS_AT_ONCE: Final = 64
"""Segments whose fields are held at a time."""


class Hits(NamedTuple):
    """Calls of a segment that match: their positions, in order."""

    segment: Segment
    positions: array[int]


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


class _Selected(NamedTuple):
    """Calls that match, how many do in all, and the last one whose texts were read, where not all were."""

    keys: Sequence[Place]
    number: int
    is_exact: bool
    ended_at: Place | None = None


class FoundIds(NamedTuple):
    """Calls that match, or their sessions, and whether these are all. There may be thousands: ids are as BSON holds them."""

    ids: list[Binary]
    is_exact: bool


class SearchIndex:
    """The search index of a database.

    Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS` for a page.
    """

    def __init__(self, database: Database, monotonic: Monotonic = time.monotonic) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._monotonic = monotonic
        self._of_users: WeakValueDictionary[UUID | None, asyncio.Lock] = WeakValueDictionary()

    async def latest(self, query: CallQuery, most: int) -> FoundIds:
        """Find the ids of the latest calls that match, `most` of them.

        Where words have to follow one another, those of `MAX_CHECKED` at most are found.
        """
        async with self._database.query(), self._database.snapshot() as session:
            return await self._latest(query, session, most)

    async def sessions(self, query: CallQuery) -> FoundIds:
        """Find the ids of the sessions of the latest calls that match, of `MAX_CALLS`; calls that have none are left out."""
        async with self._database.query(), self._database.snapshot() as session:
            found, is_exact = await self._latest(query, session, MAX_CALLS)
            calls = with_plain_ids(self._interceptions)
            ids = await calls.distinct("session_id", {"_id": {"$in": found}}, session=session)
            return FoundIds(ids, is_exact)

    def every(self, query: CallQuery) -> CallFinder:
        """Find all calls that match, for what is made of them as of one moment.

        Where words have an order, the texts of all calls that have the words are read.
        """

        async def find(rows: RowReader, start: datetime, end: datetime) -> bytes:
            session = rows.session
            hits = await find_hits(
                self._database, session, query, query.selection and query.selection.within(start, end)
            )
            if query.has_order:
                await rows.report_progress(of=sum([len(one.positions) for one in hits]))
            found: list[bytes] = []
            for one in hits:
                keys = await _keys_of(self._database, session, one)
                if query.has_order:
                    keys, _ = await self._saying(query, session, keys, math.inf, rows=rows)
                found.append(b"".join([key.id for key in keys]))
            return b"".join(found)

        return find

    async def pages(
        self, query: CallQuery, *, after_id: UUID | None = None, limit: int | None = None
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

    async def page(self, query: CallQuery, *, limit: int, after_id: UUID | None = None, offset: int = 0) -> Found:
        """Read a page (see `storage.queries.paging`) of the calls that match, newest first, and count all that do.

        Both are as of one moment.
        """
        async with self._database.query():
            before = None
            if after_id is not None:
                cursor = await INTERCEPTIONS.locate(self._interceptions, after_id, visible(query.visible_to))
                before = Place(write_ms(cursor.at), cursor.id.bytes)
            async with self._database.snapshot() as session:
                found = await self._select(query, session, offset + limit, before)
                page, ended_at = found.keys[offset:], found.ended_at
                rows = await self._rows(session, page)
        goes_on = len(page) < limit and ended_at is not None and (before is None or ended_at < before)
        next_after = UUID(bytes=ended_at.id) if goes_on and ended_at else None
        return Found(found.number, found.is_exact, rows, next_after)

    async def matches(self, query: CallQuery, documents: Sequence[Mapping[str, Any]]) -> list[list[Match]]:
        """Find where calls say what a search is for: in each of the first ones, as many as there is time for."""
        texts, until = query.search.texts, self._monotonic() + TEXT_SECONDS
        return [] if texts is None else await self._in_time(query, until, texts.find_matches, documents)

    async def _latest(self, query: CallQuery, session: Session, most: int) -> FoundIds:
        found = await self._select(query, session, most)
        ids = [Binary(key.id, UUID_SUBTYPE) for key in found.keys]
        return FoundIds(ids, found.is_exact and found.number <= most)

    async def _select(self, query: CallQuery, session: Session, wanted: int, before: Place | None = None) -> _Selected:
        """Find the newest calls that match and are older than `before`, so many as are wanted."""
        until = self._monotonic() + TEXT_SECONDS
        hits = await find_hits(self._database, session, query, query.selection)
        most = sum([len(one.positions) for one in hits])
        if not query.has_order:
            return _Selected(await _newest(self._database, session, hits, wanted, before), most, True)
        has_few = most <= MAX_CHECKED
        keys = await _newest(self._database, session, hits, MAX_CHECKED, None if has_few else before)
        # What the page may have is read first, the rest for the count alone.
        keys.sort(key=lambda key: before is not None and key >= before)
        said, ended_at = await self._saying(query, session, keys, until, enough=None if has_few else wanted)
        is_exact = has_few and ended_at is None
        if not has_few and ended_at is None and len(keys) == MAX_CHECKED:
            ended_at = keys[-1]
        found = [key for key in said if before is None or key < before][:wanted]
        return _Selected(found, len(said) if is_exact else most, is_exact, ended_at)

    async def _rows(self, session: Session, keys: Sequence[Place]) -> Rows:
        ids = [Binary(key.id, UUID_SUBTYPE) for key in keys]
        cursor = as_sent(self._interceptions).find({"_id": {"$in": ids}}, HIDDEN_FIELDS, session=session)
        return await Rows(self._interceptions).read(cursor.sort(INTERCEPTIONS.order), max(len(keys), 1))

    async def _saying(
        self,
        query: CallQuery,
        session: Session,
        keys: Sequence[Place],
        until: float,
        *,
        enough: int | None = None,
        rows: RowReader | None = None,
    ) -> tuple[list[Place], Place | None]:
        """Return those whose texts match, until there are enough; and the last that was read where time was over.

        Args:
            query: What is searched for.
            session: Of the moment.
            keys: The calls, in the order in which they are read.
            until: When time is over, see `_in_time`.
            enough: So many are enough; None wants all.
            rows: Bounds what is read at a time, and is told how many are read.
        """
        texts = query.search.texts
        assert texts is not None  # noqa: S101 - for mypy
        found: list[Place] = []
        for begin in range(0, len(keys), TEXTS_AT_ONCE):
            if enough is not None and len(found) >= enough:
                break
            some = {UUID(bytes=key.id): key for key in keys[begin : begin + TEXTS_AT_ONCE]}
            cursor = self._interceptions.find({"_id": {"$in": list(some)}}, TEXT_FIELDS, session=session)
            async with rows.scans if rows else nullcontext():
                read = {document["_id"]: document for document in await cursor.to_list(TEXTS_AT_ONCE)}
                documents = [read[id_] for id_ in some if id_ in read]
                say = await self._in_time(query, until, texts.matches, documents)
            found += [some[document["_id"]] for document, says in zip(documents, say, strict=False) if says]
            if len(say) < len(documents):
                return found, some[documents[len(say) - 1]["_id"]]
            if rows:
                await rows.report_progress(read=len(some))
        return found, None

    async def _in_time(
        self, query: CallQuery, until: float, function: Callable[[D], T], documents: Sequence[D]
    ) -> list[T]:
        """Return what a function makes of documents, of fewer where time is over; of one at least. It ends with its caller.

        It runs in a thread, one of each user: a text of a script without spaces takes a tenth of a second.
        """
        is_cancelled = False

        def read() -> list[T]:
            made: list[T] = []
            for document in documents:
                if is_cancelled or (made and self._monotonic() >= until):
                    break
                made.append(function(document))
            return made

        async with self._of_users.setdefault(query.searcher_id, asyncio.Lock()):
            try:
                return await asyncio.to_thread(read)
            finally:
                is_cancelled = True


async def find_hits(database: Database, session: Session, query: CallQuery, selection: Selection | None) -> list[Hits]:
    """Find the calls in the time of a selection that match, aside from the order of words: the latest segment first."""
    if selection is None:
        return []
    conditions = conditions_of(query.search, query.visible_to)
    # What retention has removed is not meant.
    oldest = await oldest_start(database, session)
    start, end = max(selection.start, oldest or selection.start), selection.end
    segments = await read_segments(database, {}, session)
    meant = [one for one in segments if one.last >= start and one.first < end]
    meant.sort(key=lambda one: one.last, reverse=True)
    names = {TIMES}.union(*[one.names for one in conditions])
    if all(start <= one.first and one.last < end for one in meant):
        names.remove(TIMES)
    found: list[Hits] = []
    for begin in range(0, len(meant), SEGMENTS_AT_ONCE):
        some = meant[begin : begin + SEGMENTS_AT_ONCE]
        fields = await read_fields(database, some, names, session)
        for segment in some:
            own = fields[segment.id]
            positions = positions_of(conditions, segment, own)
            if positions and not start <= segment.first <= segment.last < end:
                times = array("q", own.get(TIMES, b""))
                since, until = write_ms(start), write_ms(end)
                positions.intersection_update([at for at, time in enumerate(times) if since <= time < until])
            if positions:
                found.append(Hits(segment, array("H", sorted(positions))))
    return found


async def _newest(
    database: Database, session: Session, hits: Iterable[Hits], number: int, before: Place | None = None
) -> list[Place]:
    """Return the newest of these calls, at most `number`, that are older than the call `before`."""
    found: list[Place] = []
    for one in hits:
        if len(found) == number and read_ms(found[-1].at) > one.segment.last:
            break
        if before is not None and one.segment.first > read_ms(before.at):
            continue
        keys = [key for key in await _keys_of(database, session, one) if before is None or key < before]
        found = sorted(found + keys[-number:], reverse=True)[:number]
    return found


async def _keys_of(database: Database, session: Session, hits: Hits) -> list[Place]:
    """Read where the calls are in the list of calls, oldest first; none where retention has removed the segment."""
    segment, positions = hits
    fields = (await read_fields(database, [segment], (IDS, TIMES), session))[segment.id]
    return list(keys_at(fields, positions)) if fields else []


class CallQuery(NamedTuple):
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

    @property
    def is_for_index(self) -> bool:
        """Whether no other index and no rollup answers a search by keys, so that the search index does it best."""
        selection = self.selection
        if selection is None or selection.breakdown is not None or "client_session_id" in selection.values:
            return False
        return is_indexed(self.search)


class Condition(Struct, frozen=True):
    """What is so of some calls of a segment.

    Attributes:
        names: The digests of which they have one; or the one figure that is known of them and compares so.
        negated: Whether it is so of the others.
        operator: How the figure compares with the number; empty for digests.
    """

    names: tuple[str, ...]
    negated: bool = False
    operator: str = ""
    number: float = 0

    def positions(self, fields: Fields) -> set[int]:
        """Return the positions of the calls, without regard to the negation."""
        if self.operator:
            compare, figures = COMPARISONS[self.operator], array("d", fields.get(self.names[0], b""))
            # A figure that is not known is NaN, which compares with nothing.
            return {position for position, figure in enumerate(figures) if compare(figure, self.number)}
        return set().union(*[array("H", fields[name]) for name in self.names if name in fields])


def positions_of(conditions: Iterable[Condition], segment: Segment, fields: Fields) -> set[int]:
    """Return the positions of the calls of a segment that meet all conditions and are not gone."""
    found: set[int] | None = None
    for condition in sorted(conditions, key=lambda one: one.negated):
        positions = condition.positions(fields)
        if condition.negated:
            found = (set(range(segment.calls)) if found is None else found) - positions
        else:
            found = positions if found is None else found & positions
        if not found:
            return found
    return (set(range(segment.calls)) if found is None else found).difference(segment.gone)


def is_indexed(search: Search) -> bool:
    """Whether the index knows all conditions of a search, aside from times and the order of words."""
    of_status = [term for term in search.terms if term.key == "status" and not term.negated]
    is_in_flight = any(Status.IN_FLIGHT in term.values for term in of_status)
    return not is_in_flight and all(term.key != "request_id" for term in search.terms)


def conditions_of(search: Search, visible_to: UUID | None) -> list[Condition]:
    """Return the conditions of a search, aside from times and the order of words.

    Args:
        search: One that `is_indexed`, with ids in place of names.
        visible_to: Of whom the calls have to be; None is everybody.
    """
    own = [] if visible_to is None else [Term("user", (visible_to,))]
    found = [condition for term in (*own, *search.terms) for condition in _conditions(term)]
    if search.texts is not None:
        found += [Condition((word_digest(word),)) for phrase in search.texts.phrases for word in phrase]
        # Of others only those of one word: where several follow one another, only the text shows it.
        alone = [phrase[0] for phrase in search.texts.without if len(phrase) == 1]
        found += [Condition((word_digest(word),), negated=True) for word in alone]
    return list(dict.fromkeys(found))


def _conditions(term: Term) -> list[Condition]:
    key = KEYS[term.key]
    if key.figure:
        return [Condition((term.key,), term.negated, one.operator, float(one.number)) for one in term.values]
    if key.is_tag:
        pairs = [(f"tags.{tag.name}", tag.value) for tag in term.values]
    else:
        values = [f"{value.hundreds}xx" if isinstance(value, StatusClass) else value for value in term.values]
        pairs = [(field, value) for field in key.fields for value in values]
    return [Condition(tuple([value_digest(*pair) for pair in pairs]), term.negated)]
