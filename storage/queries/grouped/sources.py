"""Where groups are read from: what a source is, and the rollups. A source says how MongoDB makes figures of its documents.

Behind the `stages` of a source each document has the figures of `sums` and `at`, its time, and `k0` and `k1`, the values by
which it is grouped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from intercept.records import EndReason
from storage.aggregation.histograms import unpack
from storage.aggregation.rollup import HISTOGRAMS, MONEY, NO_GROUP, OF_TAGS, PLAIN, TOKENS, Breakdown
from storage.mongo.indexes import (
    BUSIEST_TOKENS,
    ROLLUPS,
    ROLLUPS_BY_INITIATOR,
    SPENDERS,
    SPENDING_TOKENS,
    TAGGED,
    Keys,
)
from storage.queries.filters.grouped.dimensions import Dimension, Order, expression, has_many
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.grouped.rollup_plan import RollupPlan, without_tag
from storage.queries.filters.selection import is_one_of

Stages = list[dict[str, Any]]

MAX_FOUND_BY_KEY: Final = 200
"""Most users whose rollups are read user by user."""

MAX_PAIRED: Final = 50
"""Most values of a dimension for which the values of another one are told apart: each is compared with what is read."""

_RANKED_BY: Final = {Breakdown.USER_COMBINATION: SPENDERS, Breakdown.TOKEN: SPENDING_TOKENS}
"""Indexes that have what groups of days are sorted by."""

ENDS: Final = {f"end_{reason}": reason.value for reason in EndReason}
"""What the sums of end reasons are called."""

ALL_TOKENS: Final = {"$add": [{"$ifNull": [f"${name}", 0]} for name in TOKENS]}
SUMS: Final[Mapping[str, Any]] = {name: {"$sum": f"${name}"} for name in (*PLAIN, *MONEY)}
"""The sums of figures that rollups and records name alike."""


class Source:
    """One place where groups are read from.

    Attributes:
        collection: Its name.
        sums: The figures, as `$group` adds them up.
        orders: What groups can be sorted by, as an expression.
        ratios: By which ratios they can be sorted, see `storage.queries.grouped.ratios`.
        histograms: Which there are.
        is_scan: Whether it takes long.
        part: Of what `$push` collects them apart, as a document of MongoDB has at most 16 MiB.
    """

    collection: ClassVar[str]
    sums: ClassVar[Mapping[Any, Any]]
    orders: ClassVar[Mapping[Any, Any]] = {}
    ratios: ClassVar[AbstractSet[Order]] = frozenset({Order.CACHE, Order.CHANGE})
    histograms: ClassVar[Sequence[str]] = ()
    part: ClassVar[Any] = None
    is_scan: ClassVar[bool] = False

    def __init__(self, query: GroupQuery) -> None:
        self._query = query

    def can_sort_by(self, order: Order) -> bool:
        """Whether groups can be sorted by that. Percentiles are known of calls alone."""
        return order in self.orders or order in self.ratios

    @property
    def times(self) -> tuple[datetime, datetime]:
        """The time range in which the documents started."""
        return self._query.start, self._query.end

    def within(self, start: datetime, end: datetime) -> Source:
        """Return where those of them are read that started in [start, end)."""
        return type(self)(replace(self._query, start=start, end=end))

    @property
    def _times(self) -> dict[str, Any]:
        return {"$gte": self._query.start, "$lt": self._query.end}

    @property
    def _own(self) -> dict[str, Any]:
        return {} if self._query.visible_to is None else {"initiator_id": self._query.visible_to}

    @property
    def _keys(self) -> dict[str, Any]:
        return {f"k{position}": expression(self._query.of, by) for position, by in enumerate(self._query.by)}

    @property
    def parts(self) -> Sequence[tuple[Source, int]] | None:
        """Where it is read part by part, and how many calls each has; None where that is by time."""
        return None

    @property
    def are_apart(self) -> bool:
        """Whether nothing is in two groups, and the sum of all is worth more than to be read once more."""
        return False

    @property
    def _unwound(self) -> Stages:
        return [
            {"$unwind": {"path": f"$k{position}", "preserveNullAndEmptyArrays": True}}
            for position, by in enumerate(self._query.by)
            if has_many(self._query.of, by)
        ]

    @property
    def _documents(self) -> Stages:
        """Make figures of documents."""
        raise NotImplementedError

    def stages(self, keys: Sequence[Key] | None) -> Stages:
        """Make figures of what is in the groups that have these keys, and perhaps of a little more, or of all."""
        narrowed: dict[str, Any] = {}
        for position in range(len(self._query.by) if keys is not None else 0):
            values = wanted(keys or (), position)
            narrowed[f"k{position}"] = {"$in": [*values, NO_GROUP] if None in values else values}
        return [*self._documents, *self._unwound, *([{"$match": narrowed}] if narrowed else [])]

    def summing(self, sums: Mapping[str, Any]) -> Stages:
        """Group everything, by `_id` as in the other stages, with these sums."""
        id_ = {name: f"${name}" for name in self._keys}
        return [*self.stages(None), {"$group": {"_id": id_, **sums}}]

    def ranking(self, order: Order) -> Stages:
        """The same with `most`, by which groups are sorted."""
        return self.summing({"most": {"$sum": self.orders[order]}})

    def hint(self, keys: Sequence[Key] | None) -> Keys:
        """The index to read by."""
        raise NotImplementedError

    @property
    def ranking_hint(self) -> Keys:
        """The index to rank groups by."""
        return self.hint(None)

    @staticmethod
    def histogram(_pushed: Sequence[Any]) -> int:
        """Add up what `$push` has of a histogram."""
        return 0


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
        self.tag = next((position for position, by in enumerate(query.by) if by.dimension is Dimension.TAG), None)
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
    def untagged(self) -> tuple[GroupQuery, Rollups, Rollups] | None:
        """Of groups by a tag: the query without it, where all calls are then, and where those are that have it.

        What the one adds up to without the other is the group of calls that do not have the tag.
        """
        if self.plan.rest is None:
            return None
        query = replace(self._query, by=without_tag(self._query.by))
        return query, Rollups(query, self.plan.rest), Rollups(query, self.plan)

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

    def ranking(self, order: Order) -> Stages:
        """See `Source`."""
        if self._unwound:
            return super().ranking(order)
        if self.plan.rest is not None:
            return self._ranking_with_rest(self.plan.rest, order)
        if not self._ranks_from_index:
            return super().ranking(order)
        group = {"$group": {"_id": self._keys, "most": {"$sum": self.orders[order]}}}
        parts: Stages = [{"$match": self.plan.days}, group]
        if (others := self.plan.beside_days) is None:
            return parts
        rest = {"$unionWith": {"coll": self.collection, "pipeline": [{"$match": others}, group]}}
        return [*parts, rest, {"$group": {"_id": "$_id", "most": {"$sum": "$most"}}}]

    def _ranking_with_rest(self, rest: RollupPlan, order: Order) -> Stages:
        """Rank by tags: calls without it are all calls but those that have it."""

        def part(plan: RollupPlan, tag: Any, sign: int) -> Stages:
            fields = {
                f"k{at}": tag if at == self.tag else f"${plan.fields[by]}" for at, by in enumerate(self._query.by)
            }
            sums = {"most": self.orders[order], "number": "$interceptions"}
            added = {name: {"$sum": {"$multiply": [value, sign]}} for name, value in sums.items()}
            return [{"$match": plan.filter}, {"$group": {"_id": fields, **added}}]

        nothing = {"$literal": None}
        others = [part(rest, nothing, 1), part(self.plan, nothing, -1)]
        return [
            *part(self.plan, "$tag_value", 1),
            *({"$unionWith": {"coll": self.collection, "pipeline": one}} for one in others),
            {"$group": {"_id": "$_id", "most": {"$sum": "$most"}, "number": {"$sum": "$number"}}},
            {"$match": {"number": {"$gt": 0}}},
        ]

    @property
    def _ranks_from_index(self) -> bool:
        """Whether the figures by which groups are sorted are in an index, of days."""
        is_of_all = "initiator_id" not in self.plan.values
        return self.plan.breakdown in _RANKED_BY and is_of_all and self.plan.days is not None

    @property
    def ranking_hint(self) -> Keys:
        """See `Source`."""
        return _RANKED_BY[self.plan.breakdown] if self._ranks_from_index and not self._unwound else self.hint(None)

    def hint(self, keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        of_some = keys is not None and "initiator_id" in self._fields and len(keys) <= MAX_FOUND_BY_KEY
        if of_some or is_one_of(self.plan.values.get("initiator_id")):
            return ROLLUPS_BY_INITIATOR
        if self.plan.breakdown is Breakdown.TOKEN and keys is not None and "api_key_id" in self._fields:
            return BUSIEST_TOKENS
        return TAGGED if self.plan.breakdown in OF_TAGS else ROLLUPS

    @staticmethod
    def histogram(pushed: Sequence[Any]) -> int:
        """See `Source`: whole histograms."""
        return sum(map(unpack, pushed))


def wanted(keys: Sequence[Key], position: int) -> list[Any]:
    """Return the values that keys have at a position, each once."""
    return list(dict.fromkeys(key[position] for key in keys))
