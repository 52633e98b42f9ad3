"""The cost of calls in rows, by period and dimensions, for finance.

The rows are summed from rollups of days, which are kept forever, if one breakdown has all the dimensions; else from the
records, which are kept for as long as the operator says. A call is in one row, so rows add up: the groups of its user
are one value, all of them together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Final

from intercept.records import Status
from storage.derived.rollup import Breakdown, Bucket
from storage.derived.totals import HAS_TOKENS, tokens_of_call
from storage.mongo.codec import read_sum
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME, ROLLUPS
from storage.queries.filters.grouped.spending import COUNTS, FIELDS, Dimension, NotRecordedError, SpendQuery, SpendRow
from storage.queries.filters.time_ranges import TimeRange
from storage.queries.oldest import oldest_start
from storage.queries.paging import visible

ROWS_AT_ONCE: Final = 500
"""How many rows are held at a time."""

SUM_SECONDS: Final = 120.0
"""How long the database may take until the first rows, and for each further piece."""


class Spending:
    """What the calls of a database cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pages(self, query: SpendQuery) -> AsyncGenerator[list[SpendRow], None]:
        """Yield the rows in order of time and values, some at a time.

        Raises:
            NotRecordedError: The records of some days are gone, and the rollups do not have the result.
            DatabaseUnavailableError: The database is unavailable.
            DatabaseRefusalError: It takes too long.
        """
        async with self._database.query(SUM_SECONDS, "sum up costs"):
            breakdown = await self._source(query)
            collection = self._database.interceptions if breakdown is None else self._database.rollups
            found = _of_records(query) if breakdown is None else _of_rollups(query, breakdown)
            hint = dict(BY_TIME if breakdown is None else ROLLUPS)
            pipeline = [*found, *_summed(query)]
            cursor = collection.aggregate(pipeline, allowDiskUse=True, hint=hint, batchSize=ROWS_AT_ONCE)
            rows = await cursor.to_list(ROWS_AT_ONCE)
        while rows:
            yield [_row(query, row) for row in rows]
            async with self._database.query(SUM_SECONDS, "sum up costs"):
                rows = await cursor.to_list(ROWS_AT_ONCE)

    async def _source(self, query: SpendQuery) -> Breakdown | None:
        """The rollups that have the result; None if only the records do."""
        breakdown = query.breakdown
        if breakdown is None:
            await self.check_recorded(query.start, query.end)
        return breakdown

    async def check_recorded(self, start: datetime, end: datetime) -> None:
        """Check that no day of [start, end) counted more calls than are recorded of it.

        Raises:
            NotRecordedError: One did.
        """
        oldest = await oldest_start(self._database)
        gone_before = end if oldest is None else Bucket.DAY.floor(oldest)
        days = {"level": Breakdown.ALL.value, "bucket": Bucket.DAY.value}
        day = Bucket.DAY.length
        partly = {**days, "at": gone_before}
        first_day = {"$gte": gone_before, "$lt": gone_before + day}
        recorded = {"started_at": first_day, "status": {"$ne": Status.IN_FLIGHT.value}}
        if oldest is not None and start <= gone_before < end:
            counted = await self._database.rollups.find_one(partly, {"interceptions": True}) or {}
            if counted.get("interceptions", 0) > await self._database.interceptions.count_documents(recorded):
                raise NotRecordedError(gone_before + day)
        gone = {**days, "at": {"$gte": start, "$lt": min(gone_before, end)}}
        if await self._database.rollups.find_one(gone, {"_id": True}, hint=list(ROLLUPS)) is not None:
            raise NotRecordedError(gone_before)


def _of_rollups(query: SpendQuery, breakdown: Breakdown) -> list[dict[str, Any]]:
    days = TimeRange(Bucket.DAY, query.start, query.end)
    return [{"$match": days.of(breakdown) | visible(query.visible_to)}]


def _of_records(query: SpendQuery) -> list[dict[str, Any]]:
    times = {"$gte": query.start, "$lt": query.end}
    match = {"started_at": times, "status": {"$ne": Status.IN_FLIGHT.value}, **visible(query.visible_to)}
    unpriced = {"$cond": [{"$and": [HAS_TOKENS, {"$eq": ["$cost", None]}]}, 1, 0]}
    projection = dict.fromkeys((FIELDS[one] for one in query.group_by), True)
    return [
        {"$match": match},
        {
            "$project": {
                **projection,
                **tokens_of_call(),
                "at": "$started_at",
                "interceptions": {"$literal": 1},
                "cost": {"$ifNull": ["$cost.usd", None]},
            }
        },
        {"$set": {"unpriced": unpriced}},
    ]


def _summed(query: SpendQuery) -> list[dict[str, Any]]:
    by: dict[str, Any] = {
        one.value: {"$ifNull": [f"${FIELDS[one]}", [] if one is Dimension.GROUP else None]} for one in query.group_by
    }
    at = {"$dateTrunc": {"date": "$at", "unit": query.span.value}}
    sums = {name: {"$sum": f"${name}"} for name in (*COUNTS, "cost")}
    return [{"$group": {"_id": {"at": at, **by}, **sums}}, {"$sort": {"_id": 1}}]


def _row(query: SpendQuery, row: Mapping[str, Any]) -> SpendRow:
    values = {one: row["_id"].get(one.value) for one in query.group_by}
    if Dimension.GROUP in values:
        values[Dimension.GROUP] = tuple(values[Dimension.GROUP])
    return SpendRow(
        at=row["_id"]["at"],
        values=values,
        counts={name: int(row[name]) for name in COUNTS},
        usd=read_sum(row["cost"]),
    )
