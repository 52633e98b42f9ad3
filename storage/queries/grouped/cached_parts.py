"""Figures by which groups are ranked, part by part of their rollups: what is cached is not read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace as replace_plan

from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.grouped.memory.group_cache import GroupCache
from storage.queries.grouped.memory.totals_cache import parts
from storage.queries.grouped.memory.versions import Versions, digest_of
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source


class CachedParts(ABC):
    """Reads for one result, in one snapshot. Without `versions` of the ranges of rollups, nothing is cached."""

    def __init__(self, rows: RowReader, cache: GroupCache, versions: Versions | None) -> None:
        self._rows = rows
        self._cache = cache
        self._versions = versions

    @abstractmethod
    async def _read(self, query: GroupQuery, source: Source) -> dict[Key, Any]:
        """Read the figures of groups."""

    async def _of_parts(self, query: GroupQuery, source: Rollups) -> AsyncIterator[dict[Key, Any]]:
        for one in parts(source.plan.ranges):
            part = Rollups(query, replace_plan(source.plan, ranges=[one]))
            version = None if self._versions is None else self._versions.of_all(one)
            cache_key = (query.order, part.plan.breakdown, query.by, digest_of(part.plan.values), one, version)
            found = None if version is None else self._cache.get(cache_key)
            if found is None:
                found = await self._read(query, part)
                if version is not None:
                    self._cache.add(cache_key, found)
            yield found
