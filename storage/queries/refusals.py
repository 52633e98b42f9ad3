"""Reading what the bridge refused: pages of rows, newest first, and what all of them add up to over time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from storage.aggregation.refusal_recorder import SHADOW
from storage.aggregation.rollup import MAX_GROUPS, Bucket
from storage.mongo.database import Database
from storage.mongo.indexes import (
    REFUSALS_BY_INITIATOR,
    REFUSALS_BY_REQUEST,
    REFUSALS_BY_TIME,
    REFUSED_BY_INITIATOR,
    REFUSED_BY_TIME,
    Keys,
)
from storage.queries.filters.selection import is_one_of
from storage.queries.paging import Paging, visible
from storage.queries.side_by_side import side_by_side
from storage.queries.statistics import StatsQuery

_ROWS = Paging("refusal", "at")
# With a condition on rules, or a regular expression, MongoDB would read each document.
_IS_SHADOW = {"$and": [{"$gte": ["$rule", SHADOW]}, {"$lt": ["$rule", SHADOW[:-1] + chr(ord(SHADOW[-1]) + 1)]}]}


class RefusalTotals(Struct, frozen=True):
    """How many requests were refused.

    Attributes:
        points: How many by rule, by the start of the bucket; only where there were any.
        shadow: How many limits that only count would have refused, by rule.
        initiators: How many by rule, by user; those with most come first, at most `MAX_GROUPS`. None is all that have no
            known user.
    """

    points: Mapping[datetime, Mapping[str, int]]
    shadow: Mapping[str, int]
    initiators: Mapping[UUID | None, Mapping[str, int]]

    @property
    def rules(self) -> dict[str, int]:
        """How many by rule, those with most first."""
        rules: Counter[str] = Counter()
        for point in self.points.values():
            rules.update(point)
        return dict(sorted(rules.items(), key=lambda item: (-item[1], item[0])))


class Refusals:
    """The refusals of a database. Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = database.refusals
        self._totals = database.refusal_totals

    async def page(
        self,
        conditions: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
    ) -> tuple[int, list[dict[str, Any]]]:
        """Read a page (see `storage.queries.paging`) of the rows that match, newest first, and count all that do."""
        own = visible(visible_to)
        matching: list[Mapping[str, Any]] = [conditions, own]
        index = REFUSALS_BY_INITIATOR if own or "initiator_id" in conditions else REFUSALS_BY_TIME
        if "request_ids" in conditions:
            index = REFUSALS_BY_REQUEST
        async with self._database.query():
            after = []
            if after_id is not None:
                after = [_ROWS.behind(await _ROWS.locate(self._rows, after_id, own))]
            count = await self._rows.count_documents({"$and": matching}, hint=list(index))
            found = (
                self._rows.find({"$and": [*matching, *after]})
                .sort(_ROWS.order)
                .hint(list(index))
                .skip(offset)
                .limit(limit)
            )
            return count, await found.to_list(limit)

    async def rules_of(self, initiator_id: UUID, start: datetime, end: datetime) -> dict[str, int]:
        """How many calls of a user were refused by each rule in [start, end), whole hours."""
        own = {
            "initiator_id": initiator_id,
            "bucket": Bucket.HOUR.value,
            "at": {"$gte": start, "$lt": end},
            "rule": {"$not": re.compile(f"^{SHADOW}")},
        }
        by_rule = {"_id": "$rule", "count": {"$sum": "$count"}}
        async with self._database.query():
            found = self._totals.aggregate([{"$match": own}, {"$group": by_rule}], hint=dict(REFUSED_BY_INITIATOR))
            return {one["_id"]: int(one["count"]) async for one in found}

    async def totals(
        self, query: StatsQuery, *, visible_to: UUID | None, initiator: Mapping[str, Any] | None = None
    ) -> RefusalTotals:
        """Count refusals in buckets of a time range; `initiator` is a condition on `initiator_id`."""
        conditions: dict[str, Any] = {
            "bucket": query.bucket.value,
            "at": {"$gte": query.start, "$lt": query.end},
            "$and": [visible(visible_to), initiator or {}],
        }
        points: dict[datetime, dict[str, int]] = {}
        shadow: Counter[str] = Counter()
        is_of_some = visible_to is not None or is_one_of((initiator or {}).get("initiator_id"))
        index = REFUSED_BY_INITIATOR if is_of_some else REFUSED_BY_TIME
        async with self._database.query():
            by_time, users = await side_by_side(self._by_time(conditions, index), self._by_user(conditions, index))
        for one in by_time:
            rule = one["_id"]["rule"]
            if rule.startswith(SHADOW):
                shadow[rule.removeprefix(SHADOW)] += int(one["count"])
            else:
                points.setdefault(one["_id"]["at"], {})[rule] = int(one["count"])
        return RefusalTotals(points, dict(shadow.most_common()), users)

    async def _by_time(self, conditions: Mapping[str, Any], index: Keys) -> list[dict[str, Any]]:
        by_time = {"_id": {"at": "$at", "rule": "$rule"}, "count": {"$sum": "$count"}}
        found = self._totals.aggregate([{"$match": conditions}, {"$group": by_time}], hint=dict(index))
        return await found.to_list(None)

    async def _by_user(self, conditions: Mapping[str, Any], index: Keys) -> dict[UUID | None, dict[str, int]]:
        """The users with most refusals, and how many these had by rule. Which these are is read from the index alone."""
        counted = {"$cond": [_IS_SHADOW, 0, "$count"]}
        most: list[dict[str, Any]] = [
            {"$match": conditions},
            {"$group": {"_id": "$initiator_id", "total": {"$sum": counted}}},
            {"$sort": {"total": -1, "_id": 1}},
            {"$limit": MAX_GROUPS},
        ]
        ranked = await self._totals.aggregate(most, hint=dict(index)).to_list(MAX_GROUPS)
        users: dict[UUID | None, dict[str, int]] = {one["_id"]: {} for one in ranked if one["total"]}
        if users:
            by_rule = {"_id": {"initiator_id": "$initiator_id", "rule": "$rule"}, "count": {"$sum": "$count"}}
            pipeline = [{"$match": {**conditions, "initiator_id": {"$in": list(users)}}}, {"$group": by_rule}]
            async for one in self._totals.aggregate(pipeline, hint=dict(REFUSED_BY_INITIATOR)):
                if not one["_id"]["rule"].startswith(SHADOW):
                    users[one["_id"].get("initiator_id")][one["_id"]["rule"]] = int(one["count"])
        return users
