"""Writes segments to the database, and makes one of several."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec.structs import replace
from pymongo import ReturnDocument

from storage.mongo.database import Database, Session
from storage.search.documents import JOB_STATE, part_documents, part_id, read_part_id, segment_document
from storage.search.segments import IDS, OTHER_PARTS, TIMES, Segment, Source, merge

MAX_PART_BYTES: Final = 12 << 20
"""Most bytes of a part. MongoDB takes 16 MiB, and somebody may choose words whose digests all fall into one bucket."""

MAX_DIGESTS: Final = 2_000_000
"""Most digests of segments that become one, of which each counts what it has. Of so many different ones that takes some 5 s
and 300 MB; calls of the same people have most of their words in common."""


async def replace_by_one(database: Database, segments: Sequence[Segment], session: Session) -> list[Segment]:
    """Make one segment of some, without the calls that are gone; return it, or nothing if no call is left.

    Where it would be too large, they stay, and are marked as full; where it would take too long, the large ones are.
    """
    sources = []
    parts_of_all: list[int] = []
    digests: dict[int, int] = {}
    for segment in segments:
        ids = [part_id(segment, part) for part in (*segment.buckets, *OTHER_PARTS)]
        parts = database.search_parts.find({"_id": {"$in": ids}}, session=session)
        source = Source(segment, {read_part_id(one["_id"])[1]: one["data"] async for one in parts})
        if IDS in source.parts and TIMES in source.parts:  # else retention is removing it
            sources.append(source)
        parts_of_all += ids
        digests[segment.number] = source.digests
        if len(segments) > 1 and sum(digests.values()) > MAX_DIGESTS:
            large = {number for number, of_one in digests.items() if of_one > MAX_DIGESTS // len(segments)}
            return await _mark_full(database, segments, large, session)
    made = await asyncio.to_thread(merge, await next_number(database, session), sources)
    if made is not None and max(map(len, made[1].values())) > MAX_PART_BYTES:
        return await _mark_full(database, segments, {one.number for one in segments}, session)
    await database.search_parts.delete_many({"_id": {"$in": parts_of_all}}, session=session)
    numbers = [one.number for one in segments]
    await database.search_segments.delete_many({"_id": {"$in": numbers}}, session=session)
    if made is None:
        return []
    await insert(database, *made, session)
    return [made[0]]


async def _mark_full(
    database: Database, segments: Sequence[Segment], full: AbstractSet[int], session: Session
) -> list[Segment]:
    """Mark some segments as full, and keep what is gone of all."""
    marked = [replace(one, is_full=one.is_full or one.number in full) for one in segments]
    for one in marked:
        change = {"$set": {"is_full": one.is_full, "gone": list(one.gone)}}
        await database.search_segments.update_one({"_id": one.number}, change, session=session)
    return marked


async def insert(database: Database, segment: Segment, parts: Mapping[int, bytes], session: Session) -> None:
    """Write a segment."""
    await database.search_parts.insert_many(part_documents(segment, parts), ordered=False, session=session)
    await database.search_segments.insert_one(segment_document(segment), session=session)


async def next_number(database: Database, session: Session) -> int:
    """Return a number that no segment has had."""
    state = await database.search_segments.find_one_and_update(
        JOB_STATE, {"$inc": {"segments": 1}}, return_document=ReturnDocument.AFTER, session=session
    )
    return int(state["segments"])
