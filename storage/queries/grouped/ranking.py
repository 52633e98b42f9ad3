"""Reads by what groups are sorted; from rollups only what is not cached, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from operator import add
from typing import Any, Final, TypeAlias

from bson.decimal128 import Decimal128
from msgspec.structs import replace as replace_plan

from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key, TooMuchError
from storage.queries.grouped.memory.cache import VersionedCache
from storage.queries.grouped.memory.versions import Versions, digest_of, parts
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sorting import Sums, page
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import id_of, key_of

MAX_RANKED: Final = 500_000
"""Most groups that are ranked for one result."""

MAX_REMEMBERED: Final = 40_000
"""The maximum number of groups in memory with what they were ranked by: about 14 MB, and 20 MB with histograms."""

MAX_HISTOGRAMS: Final = 200_000
"""The maximum number of parts of histograms that are read for one result."""

_PART_SIZE: Final = 4
"""What is remembered of a range needs about as much memory as so many groups, also if it has none."""

RankingCache: TypeAlias = VersionedCache[dict[Key, Sums]]


class Ranking:
    """Ranks groups for one result, in one snapshot. Without `versions` of the ranges of rollups, nothing is cached.

    Args:
        most: How many groups it may rank at most.
    """

    def __init__(self, rows: RowReader, cache: RankingCache, versions: Versions | None, most: int) -> None:
        self._rows = rows
        self._cache = cache
        self._versions = versions
        self._most = most
        self._histograms = 0

    async def ranked(self, query: GroupQuery, source: Source, before: Source | None) -> tuple[int, list[Key]]:
        """Return the number of groups, and the requested ones.

        `before` has the groups of the time range before; None if there are surely none, or nothing is compared.

        Raises:
            TooMuchError: There are too many groups, or it would take too long.
        """
        now = await self._sums(query, source)
        then = {} if before is None or query.order is not Order.CHANGE else await self._sums(query.previous, before)
        # In a thread, as there may be many.
        return len(now), await asyncio.to_thread(page, query, now, then)

    async def _sums(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        if not isinstance(source, Rollups):
            return await self._read(query, source)
        sums = await self._of_rollups(query, source)
        if source.untagged is None:
            return sums
        at, other, every, tagged = source.untagged
        others = await self._of_rollups(other, tagged)
        for key, whole in (await self._of_rollups(other, every)).items():
            rest = tuple(one - less for one, less in zip(whole, others.get(key, (0,) * len(whole)), strict=True))
            if rest[0] > 0:
                sums[(*key[:at], None, *key[at:])] = rest
        return sums

    async def _of_rollups(self, query: GroupQuery, source: Rollups) -> dict[Key, Sums]:
        found: list[Mapping[Key, Sums]] = []
        for one in parts(source.plan.ranges):
            part = Rollups(query, replace_plan(source.plan, ranges=[one]))
            version = None if self._versions is None else self._versions.of(one)
            cache_key = (query.order, part.plan.breakdown, query.by, digest_of(part.plan.values), one)
            sums = None if version is None else self._cache.get(cache_key, version)
            if sums is None:
                sums = await self._read(query, part)
                if version is not None:
                    self._cache.add(cache_key, version, sums, _PART_SIZE + len(sums))
            found.append(sums)
        return await asyncio.to_thread(_added, found)

    async def _read(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        sums: dict[Key, Sums] = {}
        async for id_, one in (
            self._durations(query, source) if query.order is Order.P95 else self._rows_of(query, source)
        ):
            _add(sums, key_of(query, id_), one)
            if len(sums) > self._most:
                raise TooMuchError
        return sums

    async def _rows_of(self, query: GroupQuery, source: Source) -> AsyncIterator[tuple[Mapping[str, Any], Sums]]:
        names = list(source.ranked_by(query.order))
        async for row in self._rows.read(source, lambda part: part.figures(query.order), most=self._most, ranks=True):
            yield row["_id"], tuple([_number(row[name]) for name in names])

    async def _durations(self, query: GroupQuery, source: Source) -> AsyncIterator[tuple[Mapping[str, Any], Sums]]:
        group = {"$group": {"_id": {**id_of(query), "part": source.part}, "durations": {"$push": "$durations"}}}
        async for row in self._rows.read(source, lambda part: [*part.stages(None), group], most=MAX_HISTOGRAMS):
            self._histograms += 1
            if self._histograms > MAX_HISTOGRAMS:
                raise TooMuchError
            yield row["_id"], (source.histogram(row["durations"]),)


def _added(parts: Iterable[Mapping[Key, Sums]]) -> dict[Key, Sums]:
    sums: dict[Key, Sums] = {}
    for part in parts:
        for key, one in part.items():
            _add(sums, key, one)
    return sums


def _add(sums: dict[Key, Sums], key: Key, added: Sums) -> None:
    known = sums.get(key)
    sums[key] = added if known is None else tuple(map(add, known, added))


def _number(value: Any) -> Any:
    return read_decimal(value) if isinstance(value, Decimal128) else value or 0
