"""Ranks groups by the duration of their slowest calls; from rollups it reads only what is not cached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from heapq import heappush, heappushpop
from typing import Any, Final

from storage.aggregation.histograms import longest, quantiles
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key, TooMuchError
from storage.queries.grouped.cached_parts import CachedParts
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import id_of, key_of

MAX_HISTOGRAMS: Final = 200_000
"""The maximum number of parts of histograms that are read for one result."""


class Slowest(CachedParts):
    """Ranks groups for one result, in one snapshot."""

    _number = 0

    async def ranked(self, query: GroupQuery, source: Source) -> tuple[int, list[Key]]:
        """Return the number of groups, and the requested ones.

        Raises:
            TooMuchError: It would take too long.
        """
        durations: dict[Key, int] = {}
        if isinstance(source, Rollups) and self._versions is not None:
            async for found in self._of_parts(query, source):
                for key, took in found.items():
                    durations[key] = durations.get(key, 0) + took
        else:
            durations = await self._read(query, source)
        # In a thread, as there may be many.
        return len(durations), await asyncio.to_thread(first_of, durations, query.offset, query.limit)

    async def _read(self, query: GroupQuery, source: Source) -> dict[Key, int]:
        group = {"_id": {**id_of(query), "part": source.part}, "durations": {"$push": "$durations"}}
        durations: dict[Key, int] = {}

        def pipeline(part: Source) -> list[dict[str, Any]]:
            return [*part.stages(None), {"$group": group}]

        async for row in self._rows.read(source, pipeline, most=MAX_HISTOGRAMS):
            self._number += 1
            if self._number > MAX_HISTOGRAMS:
                raise TooMuchError
            key = key_of(query, row["_id"])
            durations[key] = durations.get(key, 0) + source.histogram(row["durations"])
        return durations


def first_of(durations: Mapping[Key, int], offset: int, limit: int) -> list[Key]:
    """Return the groups whose 95th percentile is longest. Pure."""
    end = offset + limit
    exact: dict[Key, float] = {}
    least: list[float] = []
    # No percentile is beyond the longest call: most groups cannot be among the first.
    bounds = {key: longest(histogram) for key, histogram in durations.items()}
    for key in sorted(durations, key=bounds.__getitem__, reverse=True):
        if len(least) == end and bounds[key] < least[0]:
            break
        exact[key] = (quantiles(durations[key], (0.95,)) or [0.0])[0]
        (heappush if len(least) < end else heappushpop)(least, exact[key])
    return sorted(exact, key=lambda key: (-exact[key], str(key)))[offset:end]
