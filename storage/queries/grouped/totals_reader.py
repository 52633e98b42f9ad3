"""Reads totals of groups; from rollups only what is not cached."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace as replace_plan

from storage.aggregation.rollup import FIELDS, add
from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Found, Key
from storage.queries.filters.time_ranges import TimeRange
from storage.queries.grouped.memory.cache import VersionedCache
from storage.queries.grouped.memory.versions import Versions, digest_of, parts
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import id_of, key_of, totals
from storage.queries.side_by_side import side_by_side

MAX_TOTALS: Final = 4_000
"""The maximum number of totals in memory, of groups and of their buckets: about 15 MB."""

TotalsCache: TypeAlias = VersionedCache[Mapping[Key, Found | None]]
"""The totals of groups in ranges; None for a group without calls."""


class TotalsReader:
    """Reads totals for one result, in one snapshot. Without `versions` of the ranges of rollups, nothing is cached."""

    def __init__(self, rows: RowReader, cache: TotalsCache, versions: Versions | None) -> None:
        self._rows = rows
        self._cache = cache
        self._versions = versions

    async def read(self, query: GroupQuery, source: Source, keys: Sequence[Key] | None) -> dict[Key, Found]:
        """Read the totals of groups; None is all calls as one group."""
        if not isinstance(source, Rollups) or self._versions is None:
            return await self._read(query, source, keys)
        found: dict[Key, Found] = {}
        ranges = list(parts(source.plan.ranges))
        of_parts = await side_by_side(*(self._of_part(query, source, one, keys) for one in ranges))
        for groups in of_parts:
            for key, part in groups.items():
                group = found.setdefault(key, Found(key, {}, {}))
                add(group.total, part.total)
                for at, point in part.points.items():
                    add(group.points.setdefault(at, {}), point)
        return found

    async def _of_part(
        self, query: GroupQuery, source: Rollups, one: TimeRange, keys: Sequence[Key] | None
    ) -> dict[Key, Found]:
        """The totals of groups in one range, which must not be changed."""
        part = Rollups(query, replace_plan(source.plan, ranges=[one]))
        version = self._versions.of(one) if self._versions is not None else None
        if version is None:
            return await self._read(query, part, keys)
        cache_key = _cache_key(query, source, one)
        wanted: Sequence[Key] = [()] if keys is None else keys
        known = self._cache.get(cache_key, version) or {}
        if missing := [key for key in wanted if key not in known]:
            read = await self._read(query, part, None if keys is None else missing)
            known = {**(self._cache.get(cache_key, version) or known), **{key: read.get(key) for key in missing}}
            size = sum(1 if one is None else 1 + len(one.points) for one in known.values())
            self._cache.add(cache_key, version, known, size)
        return {key: held for key in wanted if (held := known[key]) is not None}

    async def _read(self, query: GroupQuery, source: Source, keys: Sequence[Key] | None) -> dict[Key, Found]:
        clock = calendar.offsets(query.start, query.end, query.zone) if query.period is not Period.ALL else []
        id_ = id_of(query)
        if clock:
            id_["at"] = calendar.label(query.period, clock, "$at")
        names = [one for one in source.histograms if one in FIELDS] if query.in_full else source.histograms
        if names:
            id_["part"] = source.part
        pushed = {name: {"$push": f"${name}"} for name in names}
        grouped = {"$group": {"_id": id_, **source.sums, **pushed}}
        found: dict[Key, Found] = {}
        wanted = None if keys is None else set(keys)
        async for row in self._rows.read(source, lambda part: [*part.stages(keys), grouped], keys):
            key = key_of(query, row["_id"])
            if wanted is not None and key not in wanted:
                continue
            histograms = {name: source.histogram(row.pop(name)) for name in names}
            figures = totals(row)
            group = found.setdefault(key, Found(key, {}, {}))
            add(group.total, {**figures, **histograms})
            if clock:
                point = group.points.setdefault(calendar.time_of(query.period, row["_id"]["at"], query.zone), {})
                add(point, {**figures, **histograms} if query.in_full else figures)
        return found


def _cache_key(query: GroupQuery, source: Rollups, one: TimeRange) -> Hashable:
    """The key in the cache: everything that affects the totals."""
    plan = source.plan
    zone = "" if query.period is Period.ALL else str(query.zone)
    return (plan.breakdown, digest_of(plan.values), query.by, query.period, zone, query.in_full, one)
