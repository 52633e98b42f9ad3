"""Finds calls that the search index does not have, from the newest to the oldest, and marks them for it.

The first time it goes through all calls; searches show its progress. Afterwards it goes once an hour through those that
started since, in case a server of an earlier version recorded some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from storage.aggregation.job import MAX_ASIDE
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME, UNINDEXED
from storage.queries.filters.selection import ENDED
from storage.queries.filters.time_ranges import EARLIEST
from storage.queries.paging import INTERCEPTIONS, Position
from storage.search.documents import JOB_STATE, part_id, read_segment
from storage.search.segments import ID_BYTES, IDS

AT_ONCE: Final = 2_000
"""Calls that are read in one step."""

STEP_SECONDS: Final = 10.0
"""How long the database may take for a step."""

WAIT_SECONDS: Final = 0.5
"""The pause while calls wait to be indexed."""

EACH: Final = timedelta(hours=1)
"""How often it goes through the calls that started since the time before."""

OVERLAP: Final = timedelta(hours=2)
"""How much further back it goes then."""


class Step(Enum):
    """What became of a step."""

    MOVED = "moved"
    WAITING = "waiting"
    DONE = "done"


_PAUSES: Final = {Step.MOVED: 0.0, Step.WAITING: WAIT_SECONDS, Step.DONE: 60.0}


class Sweep:
    """Goes through the interceptions of a database."""

    def __init__(self, database: Database, *, now: Now, pause: Pause = asyncio.sleep) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._states = database.search_segments
        self._now = now
        self._pause = pause

    async def run(self) -> None:
        """Go on again and again until cancelled; end at once on a MongoDB without an index.

        Raises:
            DatabaseRefusalError: The database does not do it.
        """
        while True:
            step = Step.DONE
            with self._database.health.tolerate("calls are not looked through for the search index"):
                async with self._database.within(STEP_SECONDS, "look through calls"):
                    if not await self._database.is_replicated():
                        return
                    step = await self.step()
            await self._pause(_PAUSES[step])
            await self._database.health.wait_until_back()

    async def step(self) -> Step:
        """Go on by `AT_ONCE` calls, unless others wait to be indexed or all was gone through lately.

        A few may be left out of the index: these are not waited for. Whatever the driver raises passes.
        """
        waiting = {"unindexed": {"$exists": True}}
        limit = MAX_ASIDE + 1
        if await self._interceptions.count_documents(waiting, hint=list(UNINDEXED), limit=limit) == limit:
            return Step.WAITING
        state = await self._states.find_one(JOB_STATE) or {}
        sweep = state.get("sweep") or await self._begin(state)
        if sweep is None:
            return Step.DONE
        found: dict[str, Any] = {
            "started_at": {"$gte": sweep["until"]},
            "status": {"$in": list(ENDED)},
            "unindexed": {"$exists": False},
        }
        behind = INTERCEPTIONS.behind(Position(sweep["at"], sweep["id"])) if "id" in sweep else {}
        cursor = self._interceptions.find({"$and": [found, behind]}, {"started_at": True})
        calls = await cursor.sort(INTERCEPTIONS.order).hint(BY_TIME).limit(AT_ONCE).to_list(AT_ONCE)
        missing = await self._mark_missing(calls)
        change: dict[str, Any] = {"$unset": {"sweep": ""}, "$set": {"swept_until": sweep["began"]}}
        if len(calls) == AT_ONCE:
            last = calls[-1]
            moved = {"at": last["started_at"], "id": last["_id"], "done": sweep["done"] + len(calls)}
            change = {"$set": {"sweep": {**sweep, **moved}}}
        await self._states.update_one({**JOB_STATE, "sweep": sweep}, change)
        return Step.WAITING if missing else Step.MOVED

    async def _mark_missing(self, calls: Sequence[Mapping[str, Any]]) -> int:
        """Mark those that no segment has; return how many these are."""
        if not calls:
            return 0
        known = await self._known(calls[-1]["started_at"], calls[0]["started_at"])
        missing = [call["_id"] for call in calls if call["_id"].bytes not in known]
        if missing:
            mark = {"$set": {"unindexed": self._now(), "indexed": True}}
            await self._interceptions.update_many({"_id": {"$in": missing}, "unindexed": {"$exists": False}}, mark)
        return len(missing)

    async def _begin(self, state: dict[str, Any]) -> dict[str, Any] | None:
        now, before = self._now(), state.get("swept_until")
        if before is not None and now - before < EACH:
            return None
        total = 0 if before is not None else await self._interceptions.estimated_document_count()
        until = EARLIEST if before is None else before - OVERLAP
        sweep = {"began": now, "until": until, "done": 0, "total": total}
        started = {**JOB_STATE, "sweep": None, "swept_until": before}
        await self._states.update_one(JOB_STATE, {"$setOnInsert": {"turn": 0}}, upsert=True)
        changed = await self._states.update_one(started, {"$set": {"sweep": sweep}})
        return sweep if changed.modified_count else None

    async def _known(self, first: datetime, last: datetime) -> set[bytes]:
        """The ids that segments have of calls that started then."""
        overlapping = {"first": {"$lte": last}, "last": {"$gte": first}}
        segments = [read_segment(document) async for document in self._states.find(overlapping)]
        parts = self._database.search_parts.find({"_id": {"$in": [part_id(one, IDS) for one in segments]}})
        known: set[bytes] = set()
        async for part in parts:
            ids = part["data"]
            known.update(ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
        return known
