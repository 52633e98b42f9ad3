"""Columns of rollups in memory: groups are ranked without MongoDB grouping everything again.

Columns are of one breakdown and bucket, and valid while its version is the same (`storage.queries.grouped.memory.versions`);
others are read again. All reads are of one snapshot.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
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
from storage.queries.grouped.memory.columns import (
    FIGURES,
    BucketColumns,
    ColumnRows,
    Combinations,
    RollupColumns,
    first,
)
from storage.queries.grouped.memory.group_cache import GroupCache, Groups
from storage.queries.grouped.memory.versions import BUCKETS, Versions

MAX_ROWS: Final = 300_000
"""The maximum number of rollups in memory: about 11 MB, and 250 bytes for each combination. MongoDB answers larger
queries."""

MIN_COMBINATIONS: Final = 10_000
"""If a breakdown has more combinations than this and more than twice its rollups, its cache is cleared."""

MAX_BUCKETS: Final = 5_000
"""The maximum number of buckets in memory, also if they have few rollups: about 5 MB. The sizes of as many are known,
also of those that are not in memory."""

LOADED: Final = MappingProxyType({Bucket.DAY: 10, Bucket.HOUR: 60})
"""The maximum number of buckets that are read for one query, so that none takes long. Until all are cached, MongoDB
ranks."""

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
"""Breakdowns that share columns: those of the breakdown with the most dimensions."""

_Name = tuple[Breakdown, str, datetime]
"""The key of columns: breakdown, length of the bucket, and its start."""


class ColumnCache:
    """The columns of a database that a process caches."""

    def __init__(self, database: Database) -> None:
        self.groups = GroupCache()
        self._database = database
        self._combinations: dict[Breakdown, Combinations] = {}
        self._buckets: OrderedDict[_Name, BucketColumns] = OrderedDict()
        self._rows: Counter[Breakdown] = Counter()
        self._sizes: OrderedDict[_Name, int] = OrderedDict()
        self._loading = asyncio.Lock()

    async def ranked(
        self, query: GroupQuery, plan: RollupPlan, versions: Versions, options: Mapping[str, Any]
    ) -> tuple[int, list[Key]] | None:
        """Return the number of groups of a plan, and the requested ones; None if columns are not available or too many.

        Whatever the driver raises passes.

        Without `options` of an aggregation, to read one snapshot, there are none.
        """
        if not options or query.order is Order.P95 or plan.breakdown not in _RANKED or not _has_columns(plan):
            return None
        if plan.rest is not None and not _has_columns(plan.rest):
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

    async def _read(self, plan: RollupPlan, versions: Versions, options: Mapping[str, Any]) -> RollupColumns | None:
        breakdown = _kept_as(plan.breakdown)
        if breakdown not in self._combinations or self._has_too_many_combinations(breakdown):
            self._forget(breakdown)
        wanted = {(breakdown, *bucket_key): version for bucket_key, version in versions.of(plan.ranges).items()}
        if len(wanted) > MAX_BUCKETS or sum(self._sizes.get(name, 0) for name in wanted) > MAX_ROWS:
            return None
        stale = [name for name, version in wanted.items() if not self._has(name, version)]
        for bucket, most in LOADED.items():
            names = [name for name in stale if name[1] == bucket][:most]
            if names and not await self._load(breakdown, names, wanted, options):
                return None
            self._shrink(wanted)
        if not all(self._has(name, version) for name, version in wanted.items()):
            return None
        last_day = max((Bucket.DAY.floor(at) for _, _, at in wanted), default=None)
        settled: list[BucketColumns] = []
        latest: list[BucketColumns] = []
        for name in wanted:
            is_latest = name[1] == Bucket.HOUR and Bucket.DAY.floor(name[2]) == last_day
            (latest if is_latest else settled).append(self._buckets[name])
        return RollupColumns(self._combinations[breakdown], settled, latest, self.groups)

    def _shrink(self, wanted: Iterable[_Name]) -> None:
        """Drop the columns that were not used for the longest time, and those of this query last."""
        for name in wanted:
            if name in self._buckets:
                self._buckets.move_to_end(name)
        while self._rows.total() > MAX_ROWS or len(self._buckets) > MAX_BUCKETS:
            oldest, columns = self._buckets.popitem(last=False)
            self._rows[oldest[0]] -= len(columns)

    def _has(self, name: _Name, version: bytes) -> bool:
        return (known := self._buckets.get(name)) is not None and known.version == version

    def _has_too_many_combinations(self, breakdown: Breakdown) -> bool:
        return len(self._combinations[breakdown]) > max(MIN_COMBINATIONS, 2 * self._rows[breakdown])

    def _forget(self, breakdown: Breakdown) -> None:
        """Clear the cache of a breakdown."""
        for name in [name for name in self._buckets if name[0] is breakdown]:
            del self._buckets[name]
        del self._rows[breakdown]
        self._combinations[breakdown] = Combinations(DIMENSIONS[breakdown])

    async def _load(
        self, breakdown: Breakdown, names: Sequence[_Name], versions: Mapping[_Name, bytes], options: Mapping[str, Any]
    ) -> bool:
        """Read columns of one breakdown, all of hours or all of days; False if there are too many."""
        _, bucket, _ = names[0]
        match = {"level": breakdown.value, "bucket": bucket, "at": {"$in": [at for _, _, at in names]}}
        fields = {"_id": False, "at": True, **dict.fromkeys((*DIMENSIONS[breakdown], *FIGURES), True)}
        index = SPENDERS if (breakdown, bucket) == (Breakdown.USER_COMBINATION, Bucket.DAY) else ROLLUPS
        pipeline: list[dict[str, Any]] = [{"$match": match}, {"$project": fields}, {"$limit": MAX_ROWS + 1}]
        cursor = self._database.rollups.aggregate(pipeline, hint=dict(index), batchSize=_AT_ONCE, **options)
        rows = {at: ColumnRows(self._combinations[breakdown]) for _, _, at in names}
        while read := await cursor.to_list(_AT_ONCE):
            for one in read:
                rows[one["at"]].add(one)
        for name in names:
            self._sizes[name] = len(rows[name[2]])
            self._sizes.move_to_end(name)
        while len(self._sizes) > MAX_BUCKETS:
            self._sizes.popitem(last=False)
        if sum(map(len, rows.values())) > MAX_ROWS:
            return False
        for name in names:
            self._rows[breakdown] += len(rows[name[2]]) - len(self._buckets.get(name, ()))
            self._buckets[name] = rows[name[2]].make(versions[name])
        return True


def _kept_as(breakdown: Breakdown) -> Breakdown:
    return Breakdown.USER_COMBINATION if breakdown in _AS_ONE else breakdown


def _has_columns(plan: RollupPlan) -> bool:
    names = set(DIMENSIONS[_kept_as(plan.breakdown)]) - {"group_ids"}
    fields = {*plan.fields.values(), *plan.values}
    is_of_some = is_one_of(plan.values.get("initiator_id"))
    return fields <= names and not is_of_some and all(one.bucket in BUCKETS for one in plan.ranges)


def _grouped(query: GroupQuery, plan: RollupPlan, found: RollupColumns, rest: RollupColumns | None) -> Groups:
    """Sum the value by which groups are ranked, with calls that lack the tag of the groups."""
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
