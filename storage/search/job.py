"""The job that adds every ended interception to the search index, exactly once (see `storage.aggregation.job`).

Each run makes a segment of what has ended since. Several small segments are merged into a larger one, so that there are never
many. A call that changes after it was indexed (its presumed end is replaced, it is priced again) is marked again, with `indexed`:
then it is taken out of the segment that has it, and added once more.

Calls that ended before there was the index, or at a server of an earlier version, have no mark. They are found by going
through all calls, from the newest to the oldest (`storage.search.sweep`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo import ReturnDocument

from storage.aggregation.job import ExactlyOnceJob, Pending
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, Session
from storage.mongo.indexes import UNINDEXED
from storage.search.documents import JOB_STATE, part_documents, part_id, read_part_id, read_segment, segment_document
from storage.search.entries import ENTRY_FIELDS, Entry, entry_of
from storage.search.segments import IDS, OTHER_PARTS, TIMES, Segment, Source, build, choose_merge, merge, position_of

PAUSE_SECONDS = 1.0
"""The pause between two runs."""

BEHIND_SECONDS = 0.5
"""The pause while more waits than one run adds and calls are in progress."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

FAN: Final = 8
"""So many segments of one level become one."""

READ_AT_ONCE: Final = 50
"""Documents that are decoded, and then read in a thread, at a time."""

_MARKED = {"unindexed": {"$exists": True}}
# Decoding takes most of the time, so no more is read than an entry is made of.
_READ: Mapping[str, Any] = dict.fromkeys((*ENTRY_FIELDS, "presumed", "indexed"), True)


class SearchJob(ExactlyOnceJob):
    """Adds the interceptions of a database to its search index.

    Args:
        busy: Says whether the server has calls under way.
    """

    log = logging.getLogger(__name__)
    verb, missing, waiting = "index", "texts cannot be searched", "nothing is added to the search index"
    job_state = JOB_STATE
    mark, kept = "unindexed", "indexed"
    marked, index = _MARKED, UNINDEXED
    batch = BATCH
    seconds, behind_seconds = PAUSE_SECONDS, BEHIND_SECONDS

    def __init__(
        self,
        database: Database,
        *,
        pause: Pause = asyncio.sleep,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(database, database.search_segments, pause=pause, busy=busy)
        self._segments = database.search_segments
        self._parts = database.search_parts

    async def _add(self, limit: int, session: Session) -> Pending:
        found = self._segments.find({"_id": {"$ne": JOB_STATE["_id"]}}, session=session)
        segments = [read_segment(document) async for document in found]
        if chosen := choose_merge(segments, FAN):
            merged = {one.number for one in chosen}
            segments = [one for one in segments if one.number not in merged] + await self._merge(chosen, session)
        pending: Pending = {"true": [], "presumed": []}
        entries: list[Entry] = []
        again: list[Entry] = []
        cursor = self._interceptions.find(_MARKED, _READ, batch_size=READ_AT_ONCE, session=session)
        cursor = cursor.sort(UNINDEXED).hint(UNINDEXED).limit(limit)
        while documents := await cursor.to_list(READ_AT_ONCE):
            read = await asyncio.to_thread(_entries, documents)
            entries += read
            for document, entry in zip(documents, read, strict=True):
                if "indexed" in document:
                    again.append(entry)
                if document.get("presumed"):
                    pending["presumed"].append({"_id": document["_id"], "indexed": True})
                else:
                    pending["true"].append(document["_id"])
        if again:
            await self._remove_entries(again, segments, session)
        if entries:
            number = await self._next_number(session)
            await self._insert(*await asyncio.to_thread(build, number, entries), session)
        return pending

    async def _merge(self, chosen: Sequence[Segment], session: Session) -> list[Segment]:
        """Make one segment of several; return it, or nothing if no call is left in it."""
        sources = []
        for segment in chosen:
            ids = [part_id(segment, part) for part in (*segment.buckets, *OTHER_PARTS)]
            parts = self._parts.find({"_id": {"$in": ids}}, session=session)
            source = Source(segment, {read_part_id(one["_id"])[1]: one["data"] async for one in parts})
            if IDS in source.parts and TIMES in source.parts:  # else retention is removing it
                sources.append(source)
            await self._parts.delete_many({"_id": {"$in": ids}}, session=session)
        await self._segments.delete_many({"_id": {"$in": [one.number for one in chosen]}}, session=session)
        made = await asyncio.to_thread(merge, await self._next_number(session), sources)
        if made is None:
            return []
        await self._insert(*made, session)
        return [made[0]]

    async def _insert(self, segment: Segment, parts: Mapping[int, bytes], session: Session) -> None:
        await self._parts.insert_many(part_documents(segment, parts), ordered=False, session=session)
        await self._segments.insert_one(segment_document(segment), session=session)

    async def _remove_entries(self, entries: Iterable[Entry], segments: Iterable[Segment], session: Session) -> None:
        """Take calls out of the segment that has them, if there is one."""
        for segment in segments:
            near = [entry for entry in entries if segment.first <= entry.at <= segment.last]
            if not near:
                continue
            part = await self._parts.find_one({"_id": part_id(segment, IDS)}, session=session)
            if part is None:
                continue
            positions = [position_of(part["data"], entry.id) for entry in near]
            if gone := [position for position in positions if position is not None and position not in segment.gone]:
                change = {"$push": {"gone": {"$each": gone}}}
                await self._segments.update_one({"_id": segment.number}, change, session=session)

    async def _next_number(self, session: Session) -> int:
        state = await self._segments.find_one_and_update(
            JOB_STATE, {"$inc": {"segments": 1}}, return_document=ReturnDocument.AFTER, session=session
        )
        number: int = state["segments"]
        return number


def _entries(documents: Iterable[Mapping[str, Any]]) -> list[Entry]:
    return [entry_of(document) for document in documents]
