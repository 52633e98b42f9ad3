"""Tallies in memory: groups are ranked without MongoDB grouping everything again.

A tally is of one breakdown and bucket, and as good as its version (`storage.queries.grouped.memory.versions`): what is no longer as it
was is read again. All of it is as of one moment.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from storage.aggregation.rollup import DIMENSIONS, Breakdown, Bucket
from storage.mongo.database import Database
from storage.mongo.indexes import ROLLUPS, SPENDERS
from storage.queries.filters.grouped.dimensions import Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.grouped.rollup_plan import RollupPlan
from storage.queries.filters.selection import is_one_of
from storage.queries.grouped.memory.tallies import FIGURES, Cells, Groups, KnownGroups, Tallies, Tally, TallyRows, first
from storage.queries.grouped.memory.versions import BUCKETS, Versions

MAX_ROWS: Final = 300_000
"""Most rollups in memory: about 11 MB, and 250 bytes for each cell. Questions about more are left to MongoDB."""

MIN_CELLS: Final = 10_000
"""Where a breakdown has more cells than this and twice as many as rollups, the memory of it begins anew."""

MAX_SIZES: Final = 5_000
"""Of how many tallies it is remembered how large they were: about 1 MB."""

LOADED: Final = MappingProxyType({Bucket.DAY: 10, Bucket.HOUR: 60})
"""Most tallies that are read for one question, so that none takes long. Until all are there, MongoDB ranks."""

_AT_ONCE: Final = 250
"""Rollups that are decoded in one iteration of the event loop."""

_RANKED: Final = frozenset(
    {
        *(Breakdown.USER, Breakdown.USER_COMBINATION, Breakdown.COMBINATION, Breakdown.TOKEN),
        *(Breakdown.TAG, Breakdown.MODEL_TAG, Breakdown.USER_TAG),
        *(Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME, Breakdown.MODEL_TOOL),
    }
)
"""The breakdowns that have so many rollups that MongoDB takes long to rank them."""

_AS_ONE: Final = frozenset({Breakdown.USER, Breakdown.USER_COMBINATION, Breakdown.COMBINATION})
"""Breakdowns that one tally tells all of: that of the one with most dimensions."""

_Name = tuple[Breakdown, str, datetime]
"""A tally: its breakdown, how long its bucket is, and when this begins."""


class TallyCache:
    """The tallies of a database that a process has in memory.

    Attributes:
        known: What groups of them have.
    """

    def __init__(self, database: Database) -> None:
        self.known = KnownGroups()
        self._database = database
        self._cells: dict[Breakdown, Cells] = {}
        self._tallies: OrderedDict[_Name, Tally] = OrderedDict()
        self._rows: Counter[Breakdown] = Counter()
        self._sizes: OrderedDict[_Name, int] = OrderedDict()
        self._loading = asyncio.Lock()

    async def ranked(
        self, query: GroupQuery, plan: RollupPlan, versions: Versions, options: Mapping[str, Any]
    ) -> tuple[int, list[Key]] | None:
        """Return how many groups a plan has, and those that are asked for; None where tallies do not tell, or would be too many.

        Whatever the driver raises passes.

        Args:
            query: What is asked.
            plan: The rollups that tell it.
            versions: Of its ranges.
            options: Of an aggregation, to read as of one moment; none where that cannot be.
        """
        if not options or query.order is Order.P95 or plan.breakdown not in _RANKED or not _is_told(plan):
            return None
        if plan.rest is not None and not _is_told(plan.rest):
            return None
        async with self._loading:
            found = await self._read(plan, versions, options)
            rest = None if plan.rest is None else await self._read(plan.rest, versions, options)
        if found is None or (plan.rest is not None and rest is None):
            return None

        def rank() -> tuple[int, list[Key]]:
            groups = _grouped(query, plan, found, rest)
            return len(groups), first(groups, query.offset, query.limit)

        return await asyncio.to_thread(rank)

    async def _read(self, plan: RollupPlan, versions: Versions, options: Mapping[str, Any]) -> Tallies | None:
        breakdown = _kept_as(plan.breakdown)
        if breakdown not in self._cells or self._has_too_many_cells(breakdown):
            self._forget(breakdown)
        wanted = {(breakdown, *place): version for place, version in versions.of(plan.ranges).items()}
        if sum(self._sizes.get(name, 0) for name in wanted) > MAX_ROWS:
            return None
        stale = [name for name, version in wanted.items() if not self._has(name, version)]
        for bucket, most in LOADED.items():
            names = [name for name in stale if name[1] == bucket][:most]
            if names and not await self._load(breakdown, names, wanted, options):
                return None
        if not all(self._has(name, version) for name, version in wanted.items()):
            return None
        for name in wanted:
            self._tallies.move_to_end(name)
        last_day = max((Bucket.DAY.floor(at) for _, _, at in wanted), default=None)
        settled: list[Tally] = []
        latest: list[Tally] = []
        for name in wanted:
            is_latest = name[1] == Bucket.HOUR and Bucket.DAY.floor(name[2]) == last_day
            (latest if is_latest else settled).append(self._tallies[name])
        found = Tallies(self._cells[breakdown], settled, latest, self.known)
        while self._rows.total() > MAX_ROWS:
            oldest, tally = self._tallies.popitem(last=False)
            self._rows[oldest[0]] -= len(tally)
        return found

    def _has(self, name: _Name, version: bytes) -> bool:
        return (known := self._tallies.get(name)) is not None and known.version == version

    def _has_too_many_cells(self, breakdown: Breakdown) -> bool:
        return len(self._cells[breakdown]) > max(MIN_CELLS, 2 * self._rows[breakdown])

    def _forget(self, breakdown: Breakdown) -> None:
        """Begin the memory of a breakdown anew."""
        for name in [name for name in self._tallies if name[0] is breakdown]:
            del self._tallies[name]
        del self._rows[breakdown]
        self._cells[breakdown] = Cells(DIMENSIONS[breakdown])

    async def _load(
        self, breakdown: Breakdown, names: Sequence[_Name], versions: Mapping[_Name, bytes], options: Mapping[str, Any]
    ) -> bool:
        """Read tallies of one breakdown, which are all of hours or all of days; False where there are too many."""
        _, bucket, _ = names[0]
        match = {"level": breakdown.value, "bucket": bucket, "at": {"$in": [at for _, _, at in names]}}
        asked = {"_id": False, "at": True, **dict.fromkeys((*DIMENSIONS[breakdown], *FIGURES), True)}
        index = SPENDERS if (breakdown, bucket) == (Breakdown.USER_COMBINATION, Bucket.DAY) else ROLLUPS
        pipeline: list[dict[str, Any]] = [{"$match": match}, {"$project": asked}, {"$limit": MAX_ROWS + 1}]
        cursor = self._database.rollups.aggregate(pipeline, hint=dict(index), batchSize=_AT_ONCE, **options)
        rows = {at: TallyRows(self._cells[breakdown]) for _, _, at in names}
        while read := await cursor.to_list(_AT_ONCE):
            for one in read:
                rows[one["at"]].add(one)
        for name in names:
            self._sizes[name] = len(rows[name[2]])
            self._sizes.move_to_end(name)
        while len(self._sizes) > MAX_SIZES:
            self._sizes.popitem(last=False)
        if sum(map(len, rows.values())) > MAX_ROWS:
            return False
        for name in names:
            self._rows[breakdown] += len(rows[name[2]]) - len(self._tallies.get(name, ()))
            self._tallies[name] = rows[name[2]].tally(versions[name])
        return True


def _kept_as(breakdown: Breakdown) -> Breakdown:
    return Breakdown.USER_COMBINATION if breakdown in _AS_ONE else breakdown


def _is_told(plan: RollupPlan) -> bool:
    names = set(DIMENSIONS[_kept_as(plan.breakdown)]) - {"group_ids"}
    asked = {*plan.fields.values(), *plan.values}
    is_of_some = is_one_of(plan.values.get("initiator_id"))
    return asked <= names and not is_of_some and all(one.bucket in BUCKETS for one in plan.ranges)


def _grouped(query: GroupQuery, plan: RollupPlan, found: Tallies, rest: Tallies | None) -> Groups:
    """Add up what groups are ranked by, with the calls that do not have the tag of the groups."""
    fields = [plan.fields[by] for by in query.by]
    groups = found.groups(query.order, fields, plan.values)
    without = plan.rest
    if rest is None or without is None:
        return groups
    at = next(position for position, by in enumerate(query.by) if by.dimension is Dimension.TAG)
    others = [without.fields[by] for by in query.by if by.dimension is not Dimension.TAG]

    def left(order: Order) -> Groups:
        every = rest.groups(order, others, without.values)
        tagged = found.groups(order, [field for position, field in enumerate(fields) if position != at], plan.values)
        return {key: number - tagged.get(key, 0) for key, number in every.items()}

    numbers = left(Order.CALLS)
    most = numbers if query.order is Order.CALLS else left(query.order)
    groups |= {(*key[:at], None, *key[at:]): most[key] for key, number in numbers.items() if number > 0}
    return groups
