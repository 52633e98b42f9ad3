"""Which groups there are, and which of them come first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from operator import add
from typing import Any, Final

from bson.decimal128 import Decimal128

from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key, TooMuchError
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sorting import Sums, page
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import id_of, key_of

MAX_RANKED: Final = 500_000
"""Most groups that are ranked here for one result."""

MAX_HISTOGRAMS: Final = 200_000
"""The maximum number of parts of histograms that are read for one result."""


async def rank(rows: RowReader, query: GroupQuery, source: Source, before: Source | None) -> tuple[int, list[Key]]:
    """Return the number of groups, and the requested ones in their order.

    MongoDB ranks by plain sums. What is read slice by slice, ratios, percentiles and groups by tags are ranked here.

    Args:
        rows: Reads for the result.
        query: What is requested.
        source: Where its groups are read.
        before: Where those of the time range before are read; None if there are surely none, or nothing is compared.

    Raises:
        TooMuchError: There are too many groups, or it would take too long.
    """
    has_rest = isinstance(source, Rollups) and source.plan.rest is not None
    if not source.is_scan and not has_rest and query.order in source.orders:
        return await _rank_in_database(rows, query, source)
    ranking = _Ranking(rows)
    now = await ranking.sums(query, source)
    is_compared = before is not None and query.order is Order.CHANGE
    then = await ranking.sums(query.previous, before) if before is not None and is_compared else {}
    # In a thread, as there may be many.
    return len(now), await asyncio.to_thread(page, query, now, then)


async def _rank_in_database(rows: RowReader, query: GroupQuery, source: Source) -> tuple[int, list[Key]]:
    """Find the first groups beside their number, so that not all are sorted."""
    skip = [{"$skip": query.offset}] if query.offset else []
    first: list[dict[str, Any]] = [{"$sort": {"most": -1, "_id": 1}}, *skip, {"$limit": query.limit}]
    pipeline = [*source.figures(query.order), {"$facet": {"page": first, "count": [{"$count": "number"}]}}]
    (found,) = await rows.aggregate(source, pipeline, source.ranking_hint)
    counted = found["count"]
    return (int(counted[0]["number"]) if counted else 0), [key_of(query, row["_id"]) for row in found["page"]]


class _Ranking:
    """Reads what groups are ranked by, for one result."""

    def __init__(self, rows: RowReader) -> None:
        self._rows = rows
        self._histograms = 0

    async def sums(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        """Read what each group is ranked by."""
        sums = await self._read(query, source)
        if not isinstance(source, Rollups) or source.untagged is None:
            return sums
        at, other, every, tagged = source.untagged
        others = await self._read(other, tagged)
        for key, whole in (await self._read(other, every)).items():
            rest = tuple(one - less for one, less in zip(whole, others.get(key, (0,) * len(whole)), strict=True))
            if rest[0] > 0:
                sums[(*key[:at], None, *key[at:])] = rest
        return sums

    async def _read(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        sums: dict[Key, Sums] = {}
        read = self._durations if query.order is Order.P95 else self._rows_of
        async for id_, one in read(query, source):
            key = key_of(query, id_)
            known = sums.get(key)
            sums[key] = one if known is None else tuple(map(add, known, one))
            if len(sums) > MAX_RANKED:
                raise TooMuchError
        return sums

    async def _rows_of(self, query: GroupQuery, source: Source) -> AsyncIterator[tuple[Mapping[str, Any], Sums]]:
        names = list(source.ranked_by(query.order))
        async for row in self._rows.read(source, lambda part: part.figures(query.order), most=MAX_RANKED, ranks=True):
            yield row["_id"], tuple([_number(row[name]) for name in names])

    async def _durations(self, query: GroupQuery, source: Source) -> AsyncIterator[tuple[Mapping[str, Any], Sums]]:
        group = {"$group": {"_id": {**id_of(query), "part": source.part}, "durations": {"$push": "$durations"}}}
        async for row in self._rows.read(source, lambda part: [*part.stages(None), group], most=MAX_HISTOGRAMS):
            self._histograms += 1
            if self._histograms > MAX_HISTOGRAMS:
                raise TooMuchError
            yield row["_id"], (source.histogram(row["durations"]),)


def _number(value: Any) -> Any:
    return read_decimal(value) if isinstance(value, Decimal128) else value or 0
