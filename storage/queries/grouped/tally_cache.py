"""Tallies in memory: groups of users are ranked without MongoDB grouping everything again.

A tally is of one bucket, and as good as the rollup of everyone in it: whatever changes rollups of a bucket changes that one in the
same transaction, see `storage.aggregation.rollup_job`. So every question reads those, which are few, and what they do not agree
with is read again. All of it is as of one moment.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from storage.aggregation.rollup import Breakdown, Bucket
from storage.mongo.database import Database
from storage.mongo.indexes import ROLLUPS, SPENDERS
from storage.mongo.rows import as_sent
from storage.queries.filters.grouped.dimensions import Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.grouped.rollup_plan import RollupPlan
from storage.queries.filters.selection import is_one_of
from storage.queries.grouped.tallies import CELL, FIELDS, Cells, Sums, Tally, TallyRows

MAX_ROWS: Final = 300_000
"""Most rollups of users in memory: about 11 MB, and 250 bytes for each user with a model. Questions about more are left to MongoDB."""

MIN_CELLS: Final = 10_000
"""Where there are more cells than this and twice as many as rollups, the memory begins anew."""

LOADED: Final = MappingProxyType({Bucket.DAY: 10, Bucket.HOUR: 60})
"""Most tallies that are read for one question, so that none takes long. Until all are there, MongoDB ranks."""

_AT_ONCE: Final = 250
"""Rollups that are decoded in one iteration of the event loop."""

_TOLD: Final = frozenset({Breakdown.USER, Breakdown.USER_COMBINATION, Breakdown.COMBINATION})
_DIMENSIONS: Final = frozenset({Dimension.USER, Dimension.MODEL, Dimension.PROVIDER, Dimension.CLIENT})

_Place = tuple[str, datetime]


class TallyCache:
    """The tallies of a database that a process has in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cells = Cells()
        self._tallies: OrderedDict[_Place, Tally] = OrderedDict()
        self._rows = 0
        self._sizes: dict[_Place, int] = {}
        self._loading = asyncio.Lock()

    async def ranked(
        self, query: GroupQuery, plan: RollupPlan, options: Mapping[str, Any]
    ) -> tuple[int, list[Key]] | None:
        """Return how many groups a plan has, and those that are asked for; None where tallies do not tell, or would be too many.

        Whatever the driver raises passes.

        Args:
            query: What is asked.
            plan: The rollups that tell it.
            options: Of an aggregation, to read as of one moment; none where that cannot be.
        """
        if not options or query.order is Order.P95 or not _is_told(query, plan):
            return None
        async with self._loading:
            found = await self._read(plan, options)
            cells = self._cells
        if found is None:
            return None
        fields = [plan.fields[by] for by in query.by]

        def rank() -> tuple[int, list[Key]]:
            sums = Sums(cells, query.order)
            for one in found:
                sums.add(one)
            return sums.ranked(fields, plan.values, query.offset, query.limit)

        return await asyncio.to_thread(rank)

    async def _read(self, plan: RollupPlan, options: Mapping[str, Any]) -> list[Tally] | None:
        if len(self._cells) > max(MIN_CELLS, 2 * self._rows):
            self._cells, self._tallies, self._rows = Cells(), OrderedDict(), 0
        versions = await self._versions(plan, options)
        if sum(self._sizes.get(place, 0) for place in versions) > MAX_ROWS:
            return None
        stale = [place for place, version in versions.items() if not self._has(place, version)]
        for bucket, most in LOADED.items():
            places = [place for place in stale if place[0] == bucket.value][:most]
            if places and not await self._load(places, versions, options):
                return None
        if not all(self._has(place, version) for place, version in versions.items()):
            return None
        for place in versions:
            self._tallies.move_to_end(place)
        found = [self._tallies[place] for place in versions]
        while self._rows > MAX_ROWS:
            _, oldest = self._tallies.popitem(last=False)
            self._rows -= len(oldest)
        return found

    def _has(self, place: _Place, version: bytes) -> bool:
        return (known := self._tallies.get(place)) is not None and known.version == version

    async def _versions(self, plan: RollupPlan, options: Mapping[str, Any]) -> dict[_Place, bytes]:
        """The rollups of everyone: where there is none, nobody has any."""
        parts = [
            {"level": Breakdown.ALL.value, "bucket": one.bucket, "at": {"$gte": one.start, "$lt": one.end}}
            for one in plan.ranges
        ]
        cursor = as_sent(self._database.rollups).aggregate([{"$match": {"$or": parts}}], hint=dict(ROLLUPS), **options)
        return {(one["bucket"], one["at"]): bytes(one.raw) for one in await cursor.to_list(None)}

    async def _load(
        self, places: Sequence[_Place], versions: Mapping[_Place, bytes], options: Mapping[str, Any]
    ) -> bool:
        """Read tallies of these places, which are all hours or all days; False where there are too many."""
        match = {
            "level": Breakdown.USER_COMBINATION.value,
            "bucket": places[0][0],
            "at": {"$in": [at for _, at in places]},
        }
        asked = {"_id": False, "at": True, **dict.fromkeys(FIELDS, True)}
        index = SPENDERS if places[0][0] == Bucket.DAY else ROLLUPS
        pipeline: list[dict[str, Any]] = [{"$match": match}, {"$project": asked}, {"$limit": MAX_ROWS + 1}]
        cursor = self._database.rollups.aggregate(pipeline, hint=dict(index), batchSize=_AT_ONCE, **options)
        rows = {at: TallyRows(self._cells) for _, at in places}
        while read := await cursor.to_list(_AT_ONCE):
            for one in read:
                rows[one["at"]].add(one)
        for place in places:
            self._sizes[place] = len(rows[place[1]])
        if sum(map(len, rows.values())) > MAX_ROWS:
            return False
        for place in places:
            self._rows += len(rows[place[1]]) - len(self._tallies.get(place, ()))
            self._tallies[place] = rows[place[1]].tally(versions[place])
        return True


def _is_told(query: GroupQuery, plan: RollupPlan) -> bool:
    is_of_some = is_one_of(plan.values.get("initiator_id"))
    by_known = {by.dimension for by in query.by} <= _DIMENSIONS
    return (
        by_known
        and not is_of_some
        and plan.breakdown in _TOLD
        and plan.rest is None
        and plan.values.keys() <= set(CELL)
        and all(one.bucket in {Bucket.DAY, Bucket.HOUR} for one in plan.ranges)
    )
