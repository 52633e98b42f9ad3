"""Writes calls into the search index, takes them out of it, and reads what it has.

`search_segments` has a document for each segment, and one that numbers them. `search_parts` has their fields: of a large one
the columns together, and the digests spread by their first character; of a small one all together. Both say when the latest
call of a segment started (`last`), from which retention counts. What is added makes a small segment. When there are enough of
these, they become one. Large ones stay as they are until half of their calls are gone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace
from pymongo import ReturnDocument

from storage.mongo.database import Database, Session
from storage.search.segments import (
    COLUMNS,
    DIGEST_CHARACTERS,
    IDS,
    TIMES,
    SearchEntry,
    Segment,
    build,
    entries_of,
    entry_of,
    id_bytes,
    is_large,
    position_of,
)

MOST_SMALL: Final = 64
"""So many small segments become one."""

_NUMBERS: Final = {"_id": "numbers"}
_PART_BITS: Final = 32


async def add_entries(database: Database, documents: Iterable[Mapping[str, Any]], session: Session) -> None:
    """Add calls that have ended and are not in the index. Of several transactions that do, one succeeds at a time."""
    for run in await asyncio.to_thread(lambda: list(_runs(map(entry_of, documents)))):
        await _insert(database, run, session)
    small = await read_segments(database, {"is_large": False}, session)
    calls, digests = sum([one.calls for one in small]), sum([one.digests for one in small])
    if len(small) > 1 and (len(small) >= MOST_SMALL or is_large(calls, digests)):
        await _replace_by_one(database, small, session)


async def remove_entries(database: Database, documents: Iterable[Mapping[str, Any]], session: Session) -> None:
    """Take calls out of the index that are in it, by their ids and starts.

    A segment is made anew when half of it is gone, so that no digests stay of texts that were removed.
    """
    calls = [(document["started_at"], id_bytes(document["_id"])) for document in documents]
    times = {"first": {"$lte": max(calls)[0]}, "last": {"$gte": min(calls)[0]}} if calls else None
    for segment in await read_segments(database, times, session) if times else ():
        fields = (await read_fields(database, [segment], [IDS], session))[segment.id]
        near = [id_ for at, id_ in calls if segment.first <= at <= segment.last and fields]
        there = {position for id_ in near if (position := position_of(fields, id_)) is not None}
        gone = there.union(segment.gone)
        if there and 2 * len(gone) >= segment.calls:
            await _replace_by_one(database, [replace(segment, gone=tuple(gone))], session)
        elif there:
            change = {"$set": {"gone": sorted(gone)}}
            await database.search_segments.update_one({"_id": segment.id}, change, session=session)


async def read_segments(database: Database, conditions: Mapping[str, Any], session: Session) -> list[Segment]:
    """Read the segments that are so, without their fields."""
    cursor = database.search_segments.find({"_id": {"$gt": 0}, **conditions}, session=session)
    return [Segment.of(document) async for document in cursor]


async def read_fields(
    database: Database, segments: Iterable[Segment], names: Collection[str], session: Session
) -> defaultdict[int, dict[str, bytes]]:
    """Read some fields of segments; return by their number what they have of these. What retention removes has none."""
    ids = {_part_id(segment, name) for segment in segments for name in names}
    return await _read_parts(database, ids, {f"fields.{name}": True for name in names}, session)


async def _read_parts(
    database: Database, ids: Collection[int], shown: Mapping[str, Any], session: Session
) -> defaultdict[int, dict[str, bytes]]:
    found: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    cursor = database.search_parts.find({"_id": {"$in": list(ids)}}, shown, session=session)
    for document in await cursor.to_list(None):
        found[document["_id"] % (1 << _PART_BITS)] |= document.get("fields", {})
    return found


async def _replace_by_one(database: Database, segments: Sequence[Segment], session: Session) -> None:
    """Make one segment of some, without the calls that are gone; none if no call is left."""
    ids = [id_ for segment in segments for id_ in _part_ids(segment)]
    parts = await _read_parts(database, ids, {"fields": True}, session)
    whole = [(segment, parts[segment.id]) for segment in segments if TIMES in parts[segment.id]]
    entries = await asyncio.to_thread(lambda: [entry for one in whole for entry in entries_of(*one)])
    await database.search_parts.delete_many({"_id": {"$in": ids}}, session=session)
    await database.search_segments.delete_many({"_id": {"$in": [one.id for one in segments]}}, session=session)
    if entries:
        await _insert(database, entries, session)


async def _insert(database: Database, entries: Sequence[SearchEntry], session: Session) -> None:
    numbers = await database.search_segments.find_one_and_update(
        _NUMBERS, {"$inc": {"last_number": 1}}, upsert=True, return_document=ReturnDocument.AFTER, session=session
    )
    segment, fields = await asyncio.to_thread(build, int(numbers["last_number"]), entries)
    parts: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    for name, field in fields.items():
        parts[_part_id(segment, name)][name] = field
    documents = [{"_id": id_, "last": segment.last, "fields": some} for id_, some in parts.items()]
    await database.search_parts.insert_many(documents, ordered=False, session=session)
    await database.search_segments.insert_one(segment.document, session=session)


def _runs(entries: Iterable[SearchEntry]) -> Iterator[list[SearchEntry]]:
    """Cut entries where a segment is large."""
    run: list[SearchEntry] = []
    digests = 0
    for entry in entries:
        run.append(entry)
        digests += len(entry.digests)
        if is_large(len(run), digests):
            yield run
            run, digests = [], 0
    if run:
        yield run


def _part_id(segment: Segment, name: str) -> int:
    """The id of the part that has a field: those of the same fields stand side by side."""
    is_spread = segment.is_large and name not in COLUMNS
    return ((ord(name[0]) if is_spread else 0) << _PART_BITS) + segment.id


def _part_ids(segment: Segment) -> Sequence[int]:
    """The ids of all parts that a segment may have."""
    return sorted({_part_id(segment, name) for name in (*COLUMNS, *DIGEST_CHARACTERS)})
