"""Rollups as a source of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from storage.derived.histograms import unpack
from storage.derived.rollup import HISTOGRAMS, OF_TAGS, Breakdown, Bucket
from storage.mongo.indexes import (
    BY_TOKEN,
    ROLLUPS,
    ROLLUPS_BY_INITIATOR,
    SPENDERS,
    SPENDING_TOKENS,
    SPENDING_USERS,
    TAGGED,
    Keys,
)
from storage.queries.filters.grouped.dimensions import Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.grouped.rollup_plan import RollupPlan, without_tag
from storage.queries.filters.selection import is_one_of
from storage.queries.filters.time_ranges import TimeRange
from storage.queries.grouped.sources.source import ALL_TOKENS, ENDS, SUMS, Source, Stages, wanted

MAX_FOUND_BY_KEY: Final = 200
"""Most users whose rollups are read user by user."""

MAX_PAIRED: Final = 50
"""Most values of a dimension for which the values of another one are told apart: each is compared with what is read."""

_RANKED_BY: Final = {
    Breakdown.USER_COMBINATION: SPENDERS,
    Breakdown.USER: SPENDING_USERS,
    Breakdown.TOKEN: SPENDING_TOKENS,
}
"""Indexes that have what groups of days are sorted by."""


class Rollups(Source):
    """The rollups of a plan."""

    collection = "rollups"
    sums: ClassVar[Mapping[Any, Any]] = {**SUMS} | {name: {"$sum": f"$ends.{reason}"} for name, reason in ENDS.items()}
    orders: ClassVar[Mapping[Any, Any]] = {
        Order.CALLS: "$interceptions",
        Order.COST: "$cost",
        Order.TOKENS: ALL_TOKENS,
        Order.FAILED: "$failed",
    }
    histograms: ClassVar[Sequence[str]] = HISTOGRAMS
    part: ClassVar[Any] = {"$dateTrunc": {"date": "$at", "unit": "week"}}

    def __init__(self, query: GroupQuery, plan: RollupPlan) -> None:
        super().__init__(query)
        self.plan = plan
        self._fields = [plan.fields[by] for by in query.by]

    @property
    def _keys(self) -> dict[str, Any]:
        return {f"k{position}": f"${field}" for position, field in enumerate(self._fields)}

    @property
    def _unwound(self) -> Stages:
        return super()._unwound if "group_ids" in self._fields else []

    @property
    def _documents(self) -> Stages:
        return [{"$match": self.plan.filter}, *([{"$set": self._keys}] if self._fields else [])]

    @property
    def untagged(self) -> tuple[int, GroupQuery, Rollups, Rollups] | None:
        """Of groups by a tag: its position, the query without it, where all calls are then, and where those that have it.

        What the one adds up to without the other is the group of calls that do not have the tag.
        """
        if self.plan.rest is None:
            return None
        query = replace(self._query, by=without_tag(self._query.by))
        at = next(position for position, by in enumerate(self._query.by) if by.dimension is Dimension.TAG)
        return at, query, Rollups(query, self.plan.rest), Rollups(query, self.plan)

    def stages(self, keys: Sequence[Key] | None) -> Stages:
        """See `Source`. The groups that are meant bound what is read, too."""
        stages = super().stages(keys)
        if keys is None:
            return stages
        for position, field in enumerate(self._fields):
            if field not in {"group_ids", "group_id", *self.plan.values}:
                match = stages[0]["$match"]
                parts = [{**part, field: {"$in": wanted(keys, position)}} for part in match.get("$or", [match])]
                stages[0] = {"$match": {"$or": parts} if "$or" in match else parts[0]}
        return [stages[0], *self._pairs(keys), *stages[1:]]

    def _pairs(self, keys: Sequence[Key]) -> Stages:
        """Of groups by two dimensions leave out what has a value of each and is in no group that is meant."""
        if len(self._fields) < 2 or not {"group_ids", "group_id"}.isdisjoint(self._fields):  # noqa: PLR2004 - two
            return []
        few, many = sorted((0, 1), key=lambda position: len(wanted(keys, position)))
        values = wanted(keys, few)
        if len(values) > MAX_PAIRED:
            return []
        pairs = [
            {self._fields[few]: value, self._fields[many]: {"$in": [key[many] for key in keys if key[few] == value]}}
            for value in values
        ]
        return [{"$match": {"$or": pairs}}]

    def summing(self, sums: Mapping[str, Any]) -> Stages:
        """See `Source`. Nothing stands between what is found and its groups, where that can be: it takes half as long."""
        if self._unwound:
            return super().summing(sums)
        return [{"$match": self.plan.filter}, {"$group": {"_id": self._keys, **sums}}]

    @property
    def _indexed(self) -> Sequence[TimeRange]:
        """The days of which the figures by which groups are sorted are in an index."""
        is_of_all = self.plan.breakdown in _RANKED_BY and "initiator_id" not in self.plan.values and not self._unwound
        return [one for one in self.plan.ranges if is_of_all and one.bucket is Bucket.DAY]

    def figures(self, order: Order) -> Stages:
        """See `Source`."""
        if not (days := self._indexed):
            return super().figures(order)
        sums = self.ranked_by(order)
        group = {"$group": {"_id": self._keys, **sums}}
        parts: Stages = [{"$match": self.plan.filter_of(days)}, group]
        if not (others := [one for one in self.plan.ranges if one not in days]):
            return parts
        pipeline = [{"$match": self.plan.filter_of(others)}, group]
        rest = {"$unionWith": {"coll": self.collection, "pipeline": pipeline}}
        return [*parts, rest, {"$group": {"_id": "$_id", **{name: {"$sum": f"${name}"} for name in sums}}}]

    @property
    def ranking_hint(self) -> Keys:
        """See `Source`."""
        return _RANKED_BY[self.plan.breakdown] if self._indexed else self.hint(None)

    def hint(self, keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        of_some = keys is not None and "initiator_id" in self._fields and len(keys) <= MAX_FOUND_BY_KEY
        if of_some or is_one_of(self.plan.values.get("initiator_id")):
            return ROLLUPS_BY_INITIATOR
        if self.plan.breakdown is Breakdown.TOKEN and keys is not None and "api_key_id" in self._fields:
            return BY_TOKEN
        return TAGGED if self.plan.breakdown in OF_TAGS else ROLLUPS

    @staticmethod
    def histogram(pushed: Sequence[Any]) -> int:
        """See `Source`: whole histograms."""
        return sum(map(unpack, pushed))
