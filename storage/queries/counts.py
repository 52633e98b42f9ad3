"""Counts interceptions exactly, and finds rare ones, without reading each: most counts come from rollups.

Those that started since shortly before rollups have all are counted in the index. Both are read as they were at one moment.

Rollups outlive interceptions. So the time range in which the oldest interception started, whose earlier ones may be
gone, is counted in the index, like the rest at either end that no whole bucket makes up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from storage.derived.rollup import BUCKETS, Breakdown, Bucket
from storage.derived.state import counted_until
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import BY_COMBINATION, ROLLUPS, ROLLUPS_BY_INITIATOR, Keys
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.filters.time_ranges import EARLIEST, CountedRange, PageLocation, TimeRange, TimeRanges, split
from storage.queries.oldest import oldest_start

MARGIN = timedelta(minutes=5)
"""So long before the time until which rollups have all that ended, calls started that the index counts. Few run longer."""

SCANNED_KEYS = 10_000
"""The maximum number of index keys, about 12 ms, that are scanned for one page if ranges could be looked up instead."""

MAX_INDEX_RANGES = 200
"""The maximum number of index ranges that are read in parallel for one page, which takes about 10 ms."""

_INSTANT = timedelta(milliseconds=1)


@dataclass(frozen=True)
class IndexRanges:
    """The position of a page: these ranges of an index, which do not overlap."""

    index: Keys
    selections: list[Selection]

    @classmethod
    def one(cls, selection: Selection) -> Self:
        """Return the single range of the selection."""
        return cls(selection.index, [selection])


class Counts:
    """The counts of a database's interceptions, in one snapshot of it; without one, only `number` is known.

    Whatever the driver raises passes.
    """

    def __init__(self, database: Database, snapshot: Session | None = None) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._rollups = database.rollups
        self._session = snapshot
        self._recent = EARLIEST
        """What started then or later is not counted in rollups."""

    async def number(self, selection: Selection) -> int:
        """Count in the index: about a second for a million."""
        return await self._interceptions.count_documents(
            selection.filter, hint=selection.count_index, session=self._session
        )

    async def ranges(self, selection: Selection) -> TimeRanges | None:
        """Count by the rollups, by time range; None if they do not know."""
        breakdown = selection.breakdown
        until = await counted_until(self._database, self._session)
        if breakdown is None or until is None:
            return None
        oldest = await oldest_start(self._database, self._session)
        if oldest is None:
            return TimeRanges(())
        self._recent = Bucket.MINUTE.floor(until - MARGIN)
        start, end = max(selection.start, oldest + _INSTANT), min(selection.end, self._recent)
        hour = Bucket.HOUR.floor(end)
        minutes = [Bucket.MINUTE] if Bucket.MINUTE in BUCKETS[breakdown] else []
        ranges = [*split(start, min(hour, end), selection.buckets), *split(max(start, hour), end, minutes)]
        ranges += split(max(start, self._recent), selection.end, ())
        if selection.start <= oldest < selection.end:
            # Others of the same moment may be gone, which matters where a bucket begins with it.
            ranges.append(TimeRange(None, oldest, oldest + _INSTANT))
        rests = [
            CountedRange(start, end, await self.number(selection.within(start, end)))
            for bucket, start, end in ranges
            if bucket is None
        ]
        return TimeRanges([*rests, *(await self._whole(selection, ranges))])

    async def index_ranges(self, selection: Selection, page: PageLocation, limit: int) -> IndexRanges:
        """Return the ranges of an index in which a page of `limit` is found.

        That is the index of the list, unless others beside them are so many that it takes too long. Then it is the
        combinations that occur, each a place of its own in the index `BY_COMBINATION`, or of one initiator the hours.
        """
        selection = selection.within(page.start, page.end)
        if not selection.narrows or await self._scanned(selection, page, limit) <= SCANNED_KEYS:
            return IndexRanges.one(selection)
        if "initiator_id" in selection.values:
            found = IndexRanges(selection.index, await self._hours(selection))
        else:
            found = IndexRanges(BY_COMBINATION, await self._combinations(selection))
        return found if 0 < len(found.selections) <= MAX_INDEX_RANGES else IndexRanges.one(selection)

    async def _whole(self, selection: Selection, ranges: list[TimeRange]) -> list[CountedRange]:
        """Count in the buckets of some parts, which lie side by side."""
        ranges = [range_ for range_ in ranges if range_.bucket]
        if not ranges:
            return []
        counted = []
        for row in await self._counted(selection, ranges, _BUCKET):
            at = row["_id"]["at"]
            counted.append(CountedRange(at, at + Bucket(row["_id"]["bucket"]).length, row["number"]))
        return counted

    async def _scanned(self, selection: Selection, page: PageLocation, limit: int) -> float:
        """Estimate how many keys of the index it takes to find a page: as if what matches were spread evenly."""
        days = await self._whole(selection.widened, [_around(Bucket.DAY, selection)])
        fraction = min((page.skip + limit) / page.matching, 1)
        return fraction * sum(day.matching for day in days)

    async def _hours(self, selection: Selection) -> list[Selection]:
        hours = await self._whole(selection, [_around(Bucket.HOUR, selection)])
        recent = Bucket.HOUR.floor(self._recent)
        found = [selection.within(hour.start, hour.end) for hour in hours if hour.matching and hour.start < recent]
        return [*found, *([selection.within(recent, selection.end)] if recent < selection.end else [])]

    async def _combinations(self, selection: Selection) -> list[Selection]:
        found = []
        for status in selection.statuses or ENDED:
            one = replace(selection, statuses=(status,))
            days = [_around(Bucket.DAY, selection)]
            rows = await self._counted(one, days, _COMBINATION, Breakdown.COMBINATION)
            rows += await self._recent_ones(one)
            combinations = {tuple(row["_id"].items()) for row in rows if row["number"] > 0}
            found += [replace(one, values={**one.values, **dict(each)}) for each in combinations]
        return found

    async def _counted(
        self, selection: Selection, ranges: list[TimeRange], by: Any, breakdown: Breakdown | None = None
    ) -> list[dict[str, Any]]:
        """Sum the rollups of some parts by what they have in common."""
        # All of it in each part: what stands beside an `$or` does not bound the index.
        level = breakdown or selection.breakdown or Breakdown.ALL
        rollups = [{**one.of(level), **selection.values} for one in ranges]
        number = {"$sum": f"${selection.count_field}"}
        index = ROLLUPS_BY_INITIATOR if "initiator_id" in selection.values else ROLLUPS
        return await self._grouped(self._rollups, {"$or": rollups}, by, number, index)

    async def _recent_ones(self, selection: Selection) -> list[dict[str, Any]]:
        """Count those that rollups may not have yet, by what they have in common."""
        recent = selection.within(self._recent, selection.end)
        if recent.start >= recent.end:
            return []
        return await self._grouped(self._interceptions, recent.filter, _COMBINATION, {"$sum": 1}, selection.index)

    async def _grouped(
        self, collection: Collection, conditions: dict[str, Any], by: Any, number: Any, index: Keys
    ) -> list[dict[str, Any]]:
        pipeline = [{"$match": conditions}, {"$group": {"_id": by, "number": number}}]
        cursor = collection.aggregate(pipeline, hint=dict(index), session=self._session)
        return await cursor.to_list(None)


_BUCKET = {"bucket": "$bucket", "at": "$at"}
_COMBINATION = {name: f"${name}" for name in ("provider_name", "model", "client")}


def _around(bucket: Bucket, selection: Selection) -> TimeRange:
    return TimeRange(bucket, bucket.floor(selection.start), selection.end)
