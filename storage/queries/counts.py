"""Counts interceptions exactly, and finds rare ones, without reading each: most counts come from rollups.

They are corrected by the interceptions that the rollups do not have yet, see `storage.derived.uncounted`. Both are
read as they were at one moment, since an interception passes from one to the other.

RollupTotals outlive interceptions. So the time range in which the oldest interception started, whose earlier ones may be
gone, is counted in the index, like the rest at either end that no whole bucket makes up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from storage.derived.rollup import Breakdown, Bucket
from storage.derived.totals import UNCOUNTED_ONES
from storage.derived.uncounted import Uncounted, read_uncounted
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import BY_COMBINATION, ROLLUPS, ROLLUPS_BY_INITIATOR, UNCOUNTED, Keys
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.filters.time_ranges import CountedRange, PageLocation, TimeRange, TimeRanges, split
from storage.queries.oldest import oldest_start

MAX_UNCOUNTED = 10_000
"""When more interceptions than this wait to be counted, the rollups are of no use."""

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
        self._marked = 0
        self._marks: Uncounted | None = None

    async def number(self, selection: Selection) -> int:
        """Count in the index: about a second for a million."""
        return await self._interceptions.count_documents(
            selection.filter, hint=selection.count_index, session=self._session
        )

    async def ranges(self, selection: Selection) -> TimeRanges | None:
        """Count by the rollups, by time range; None if they do not know."""
        if selection.breakdown is None or await self._are_behind():
            return None
        oldest = await oldest_start(self._database, self._session)
        if oldest is None:
            return TimeRanges(())
        ranges = list(split(max(selection.start, oldest + _INSTANT), selection.end, selection.buckets))
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

    async def _are_behind(self) -> bool:
        """Whether too much is marked."""
        self._marked = await self._interceptions.count_documents(
            UNCOUNTED_ONES, hint=UNCOUNTED, limit=MAX_UNCOUNTED + 1, session=self._session
        )
        return self._marked > MAX_UNCOUNTED

    async def _whole(self, selection: Selection, ranges: list[TimeRange]) -> list[CountedRange]:
        """Count in the buckets of some parts, which lie side by side."""
        ranges = [range_ for range_ in ranges if range_.bucket]
        if not ranges:
            return []
        numbers: dict[tuple[Bucket, datetime], int] = {}
        for row in await self._counted(selection, ranges, _BUCKET):
            numbers[Bucket(row["_id"]["bucket"]), row["_id"]["at"]] = row["number"]
        for row in await self._uncounted(selection.within(ranges[0].start, ranges[-1].end), _HOUR):
            bucket = next(range_.bucket for range_ in ranges if range_.bucket and row["_id"] < range_.end)
            key = bucket, bucket.floor(row["_id"])
            numbers[key] = numbers.get(key, 0) + row["number"]
        return [CountedRange(at, at + bucket.length, number) for (bucket, at), number in numbers.items()]

    async def _scanned(self, selection: Selection, page: PageLocation, limit: int) -> float:
        """Estimate how many keys of the index it takes to find a page: as if what matches were spread evenly."""
        days = await self._whole(selection.widened, [_around(Bucket.DAY, selection)])
        fraction = min((page.skip + limit) / page.matching, 1)
        return fraction * sum(day.matching for day in days)

    async def _hours(self, selection: Selection) -> list[Selection]:
        hours = await self._whole(selection, [_around(Bucket.HOUR, selection)])
        return [selection.within(hour.start, hour.end) for hour in hours if hour.matching]

    async def _combinations(self, selection: Selection) -> list[Selection]:
        found = []
        for status in selection.statuses or ENDED:
            one = replace(selection, statuses=(status,))
            days = [_around(Bucket.DAY, selection)]
            rows = await self._counted(one, days, _COMBINATION, Breakdown.COMBINATION)
            rows += await self._uncounted(one, _COMBINATION)
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

    async def _uncounted(self, selection: Selection, by: Any) -> list[dict[str, Any]]:
        """Sum what the rollups lack by what the interceptions have in common."""
        if not self._marked:
            return []
        if self._marks is None:
            self._marks = await read_uncounted(self._rollups, self._session)
        marked = {**self._marks.filter, **replace(selection, statuses=None).filter}
        missing = {"$sum": self._marks.missing(selection.count_field)}
        return await self._grouped(self._interceptions, marked, by, missing, UNCOUNTED)

    async def _grouped(
        self, collection: Collection, conditions: dict[str, Any], by: Any, number: Any, index: Keys
    ) -> list[dict[str, Any]]:
        pipeline = [{"$match": conditions}, {"$group": {"_id": by, "number": number}}]
        cursor = collection.aggregate(pipeline, hint=dict(index), session=self._session)
        return await cursor.to_list(None)


_BUCKET = {"bucket": "$bucket", "at": "$at"}
_HOUR = {"$dateTrunc": {"date": "$started_at", "unit": "hour"}}
_COMBINATION = {name: f"${name}" for name in ("provider_name", "model", "client")}


def _around(bucket: Bucket, selection: Selection) -> TimeRange:
    return TimeRange(bucket, bucket.floor(selection.start), selection.end)
