"""The job that adds every ended interception to the search index, exactly once (see `storage.derived.job`).

Each run makes a segment of what has ended since. Several small segments are merged into a larger one, so that there are never
many. A call that changes after it was indexed (its presumed end is replaced, it is priced again, its texts are removed) is
marked again, with `indexed`: then it is taken out of the segment that has it, and added once more. That may happen during a
run, so a run removes only the marks that it has read. One that stays too long costs no more than adding its call again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from bson.binary import Binary
from msgspec.structs import replace
from pymongo import UpdateMany, UpdateOne

from storage.derived.job import ExactlyOnceJob, Pending
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, Session
from storage.mongo.indexes import UNINDEXED
from storage.recording.operations import PRESUMED
from storage.search.documents import JOB_STATE, part_id, read_segment
from storage.search.entries import ENTRY_FIELDS, Entry, entry_of
from storage.search.merging import insert, next_number, replace_by_one
from storage.search.segments import IDS, Segment, build, choose_merge, position_of

PAUSE_SECONDS = 1.0
"""The pause between two runs."""

BEHIND_SECONDS = 0.5
"""The pause while more waits than one run adds and calls are in progress."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

MAX_DIGESTS: Final = 500_000
"""After so many digests a run reads no more calls: a segment of them takes some 2 s to make, and 200 MB."""

FAN: Final = 8
"""So many segments of one level become one."""

READ_AT_ONCE: Final = 50
"""Documents that are decoded, and then read in a thread, at a time."""

_MARKED = {"unindexed": {"$exists": True}}
# Decoding takes most of the time, so no more is read than an entry is made of.
_READ: Mapping[str, Any] = dict.fromkeys((*ENTRY_FIELDS, "presumed", "indexed", "unindexed"), True)


class SearchJob(ExactlyOnceJob):
    """Adds the interceptions of a database to its search index."""

    log = logging.getLogger(__name__)
    verb, waiting = "index", "nothing is added to the search index"
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
        self._is_cut = False

    async def _run_once(self) -> tuple[int, bool]:
        self._is_cut = False
        number, is_all = await super()._run_once()
        return number, is_all and not self._is_cut

    async def _add(self, limit: int, session: Session) -> Pending:
        found = self._segments.find({"_id": {"$ne": JOB_STATE["_id"]}}, session=session)
        segments = [read_segment(document) async for document in found]
        # Not where it was too much just now: that may have been this, and calls are to be indexed all the same.
        if limit == self.batch and (chosen := choose_merge(segments, FAN)):
            merged = {one.number for one in chosen}
            others = [one for one in segments if one.number not in merged]
            segments = others + await replace_by_one(self._database, chosen, session)
        pending: Pending = {"true": [], "presumed": [], "again": []}
        entries: list[Entry] = []
        again: list[Entry] = []
        cursor = self._interceptions.find(self._waiting, _READ, batch_size=READ_AT_ONCE, session=session)
        cursor = cursor.sort(UNINDEXED).hint(UNINDEXED).limit(limit)
        digests, self._is_cut = 0, False
        while not self._is_cut and (documents := await cursor.to_list(READ_AT_ONCE)):
            read = await asyncio.to_thread(_entries, documents)
            entries += read
            digests += sum([len(entry.digests) for entry in read])
            self._is_cut = digests > MAX_DIGESTS
            for document, entry in zip(documents, read, strict=True):
                if "indexed" in document:
                    again.append(entry)
                    pending["again"].append({"_id": document["_id"], "unindexed": document["unindexed"]})
                elif document.get("presumed"):
                    pending["presumed"].append({"_id": document["_id"], "indexed": True})
                else:
                    pending["true"].append(document["_id"])
        if again:
            await self._remove_entries(again, segments, session)
        if entries:
            number = await next_number(self._database, session)
            await insert(self._database, *await asyncio.to_thread(build, number, entries), session)
        return pending

    def _unmarking(self, pending: Pending) -> list[UpdateMany | UpdateOne]:
        # Whoever marks a call again sets `indexed` too.
        unmark = {"$unset": {"unindexed": ""}}
        presumed = {"_id": {"$in": [one["_id"] for one in pending["presumed"]]}, **_MARKED, "indexed": None}
        by_mark: defaultdict[datetime, list[Binary]] = defaultdict(list)
        for one in pending["again"]:
            by_mark[one["unindexed"]].append(one["_id"])
        indexed = {"$cond": ["$presumed", True, "$$REMOVE"]}
        return [
            UpdateMany({"_id": {"$in": pending["true"]}, "indexed": None}, unmark),
            # The true end may have come in between. Then its mark stays.
            UpdateMany({**presumed, **PRESUMED}, {"$set": {"indexed": True}, **unmark}),
            UpdateMany(presumed, {"$set": {"indexed": True}}),
            *(
                UpdateMany(
                    {"_id": {"$in": ids}, "unindexed": mark}, [{"$set": {"unindexed": "$$REMOVE", "indexed": indexed}}]
                )
                for mark, ids in by_mark.items()
            ),
        ]

    async def _remove_entries(self, entries: Iterable[Entry], segments: Iterable[Segment], session: Session) -> None:
        """Take calls out of the segment that has them, if there is one. It is rewritten if half of its calls are gone."""
        for segment in segments:
            near = [entry for entry in entries if segment.first <= entry.at <= segment.last]
            if not near:
                continue
            part = await self._parts.find_one({"_id": part_id(segment, IDS)}, session=session)
            if part is None:
                continue
            positions = [position_of(part["data"], entry.id) for entry in near]
            gone = [position for position in positions if position is not None and position not in segment.gone]
            if 2 * len(segment.gone + tuple(gone)) >= segment.calls:
                # What a policy has removed of texts is to leave no digests either.
                rest = replace(segment, gone=segment.gone + tuple(gone))
                await replace_by_one(self._database, [rest], session)
            elif gone:
                change = {"$push": {"gone": {"$each": gone}}}
                await self._segments.update_one({"_id": segment.number}, change, session=session)


def _entries(documents: Iterable[Mapping[str, Any]]) -> list[Entry]:
    return [entry_of(document) for document in documents]
