"""Where groups of refusals and of sessions are read from, and what the prompt cache lost of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from storage.derived.refusal_recorder import SHADOW
from storage.derived.rollup import TOKENS, Breakdown
from storage.mongo.indexes import (
    BY_LOSS,
    REFUSALS_BY_INITIATOR,
    REFUSALS_BY_TIME,
    REFUSED_BY_INITIATOR,
    REFUSED_BY_TIME,
    SESSIONS_BY_INITIATOR,
    SESSIONS_BY_TIME,
    Keys,
)
from storage.queries.filters.grouped.dimensions import Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.grouped.rollup_plan import buckets_of
from storage.queries.filters.selection import is_one_of
from storage.queries.filters.time_ranges import split
from storage.queries.grouped.sources.records import LOSS, Records
from storage.queries.grouped.sources.source import ALL_TOKENS, Source, Stages


class RefusalTotals(Source):
    """How many requests were refused, by rule and user. It has every one."""

    collection = "refusal_totals"
    sums: ClassVar[Mapping[Any, Any]] = {"refusals": {"$sum": "$count"}}
    orders: ClassVar[Mapping[Any, Any]] = {Order.CALLS: "$count"}

    @property
    def _documents(self) -> Stages:
        ranges = split(*self.times, buckets_of(self._query, Breakdown.ALL))
        real = {"rule": {"$not": re.compile(f"^{SHADOW}")}}
        conditions = [real, dict(self._query.conditions), self._own]
        # All of it is in each part: what stands beside an `$or` does not bound the index.
        parts = [
            {"$and": [{"bucket": one.bucket, "at": {"$gte": one.start, "$lt": one.end}}, *conditions]} for one in ranges
        ]
        match = {"$or": parts} if len(parts) != 1 else parts[0]
        return [{"$match": match}, *([{"$set": self._keys}] if self._keys else [])]

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        return REFUSED_BY_TIME if self._query.visible_to is None else REFUSED_BY_INITIATOR


class RefusalRows(RefusalTotals):
    """The rows about refused requests, which have more about each, and leave some out in a storm."""

    collection = "refusals"

    @property
    def _documents(self) -> Stages:
        real = {} if "shadow" in self._query.conditions else {"shadow": {"$ne": True}}
        match = {"$and": [{"at": self._times}, real, dict(self._query.conditions), self._own]}
        return [{"$match": match}, *([{"$set": self._keys}] if self._keys else [])]

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        return REFUSALS_BY_TIME if self._query.visible_to is None else REFUSALS_BY_INITIATOR


class Sessions(Source):
    """The documents of sessions, by when these started."""

    collection = "sessions"
    sums: ClassVar[Mapping[Any, Any]] = {
        "sessions": {"$sum": 1},
        "failed": {"$sum": "$failures"},
        **{
            name: {"$sum": f"${name}"}
            for name in ("interceptions", "priced", "unpriced", "no_usage", "cost", "saved", *LOSS, *TOKENS)
        },
    }
    orders: ClassVar[Mapping[Any, Any]] = {
        Order.CALLS: 1,
        Order.COST: "$cost",
        Order.TOKENS: ALL_TOKENS,
        Order.FAILED: "$failures",
    }
    is_scan: ClassVar[bool] = True

    @property
    def _documents(self) -> Stages:
        match = {"$and": [{"started_at": self._times}, dict(self._query.conditions), self._own]}
        return [{"$match": match}, {"$set": {**self._keys, "at": "$started_at"}}]

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        is_one = is_one_of({**self._query.conditions, **self._own}.get("initiator_id"))
        return SESSIONS_BY_INITIATOR if is_one else SESSIONS_BY_TIME


class Losses(Records):
    """The records of calls that the prompt cache failed."""

    sums: ClassVar[Mapping[Any, Any]] = {name: {"$sum": f"$cache_loss.{name}"} for name in LOSS}
    histograms: ClassVar[Sequence[str]] = ()
    is_scan: ClassVar[bool] = False

    @property
    def _documents(self) -> Stages:
        times = {"$gte": self._selection.start, "$lt": self._selection.end}
        match = {**self._selection.values, "started_at": times, "cache_loss.lost_tokens": {"$gt": 0}}
        if self._selection.count_field != "interceptions":  # not in the index, which has all that is read otherwise
            match["status"] = self._selection.count_field
        projection = {**self._keys, "at": "$started_at", **{f"cache_loss.{name}": True for name in LOSS}}
        return [{"$match": match}, {"$project": projection}]

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        return BY_LOSS


def of_refusals(query: GroupQuery) -> RefusalTotals:
    """Choose where refusals are read: the totals have them all, by user and rule, in whole buckets."""
    has_totals = {by.dimension for by in query.by} <= {Dimension.USER, Dimension.RULE}
    is_whole = all(one.bucket for one in split(query.start, query.end, buckets_of(query, Breakdown.ALL)))
    in_totals = has_totals and is_whole and query.conditions.keys() <= {"initiator_id", "rule"}
    return RefusalTotals(query) if in_totals else RefusalRows(query)
