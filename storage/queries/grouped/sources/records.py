"""Records as a source of groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from intercept.records import EndReason
from storage.derived.histograms import DIGIT_BITS
from storage.derived.rollup import HISTOGRAMS
from storage.derived.totals import tokens_of_call, value_stages
from storage.mongo.indexes import Keys
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.selection import Selection
from storage.queries.grouped.sources.source import ALL_TOKENS, ENDS, RATIOS, SUMS, Source, Stages

LOSS: Final = ("lost_tokens", "lost")
_COMPLETED: Final = {"$eq": ["$end_reason", EndReason.COMPLETED.value]}
_FAILED: Final = {"$cond": [_COMPLETED, 0, 1]}


class Records(Source):
    """The records of calls that have ended."""

    collection = "interceptions"
    sums: ClassVar[Mapping[Any, Any]] = {
        **SUMS,
        **{name: {"$sum": {"$cond": [{"$eq": ["$end_reason", reason]}, 1, 0]}} for name, reason in ENDS.items()},
        **{name: {"$sum": f"${name}"} for name in LOSS},
        "interceptions": {"$sum": 1},
        "completed": {"$sum": {"$cond": [_COMPLETED, 1, 0]}},
        "failed": {"$sum": _FAILED},
    }
    orders: ClassVar[Mapping[Any, Any]] = {
        Order.CALLS: 1,
        Order.COST: "$cost",
        Order.TOKENS: ALL_TOKENS,
        Order.FAILED: _FAILED,
    }
    histograms: ClassVar[Sequence[str]] = HISTOGRAMS
    part: ClassVar[Any] = {"$dateTrunc": {"date": "$at", "unit": "day"}}
    is_scan: ClassVar[bool] = True

    def __init__(self, query: GroupQuery, selection: Selection) -> None:
        super().__init__(query)
        self._selection = selection

    @property
    def times(self) -> tuple[datetime, datetime]:
        """See `Source`."""
        return self._selection.start, self._selection.end

    def within(self, start: datetime, end: datetime) -> Records:
        """See `Source`."""
        return type(self)(self._query, self._selection.within(start, end))

    @property
    def are_apart(self) -> bool:
        """See `Source`."""
        return not self._unwound

    @property
    def _filter(self) -> dict[str, Any]:
        return self._selection.filter

    @property
    def _documents(self) -> Stages:
        loss = {name: f"$cache_loss.{name}" for name in LOSS}
        projection = {**self._keys, **loss, "at": "$started_at", "end_reason": True, "streaming": True}
        return [{"$match": self._filter}, *value_stages(projection)]

    def figures(self, order: Order) -> Stages:
        """See `Source`. Nothing but this is read of the records, where that can be."""
        if order in RATIOS:
            return super().figures(order)
        cost, tokens = {"$ifNull": ["$cost.usd", 0]}, {"$add": list(tokens_of_call().values())}
        most = {Order.CALLS: {"$literal": 1}, Order.FAILED: _FAILED, Order.COST: cost, Order.TOKENS: tokens}
        number = {"number": {"$sum": 1}}
        if not self._unwound:
            return [{"$match": self._filter}, {"$group": {"_id": self._keys, **number, "most": {"$sum": most[order]}}}]
        id_ = {name: f"${name}" for name in self._keys}
        projection = {"$project": {**self._keys, "most": most[order]}}
        group = {"$group": {"_id": id_, **number, "most": {"$sum": "$most"}}}
        return [{"$match": self._filter}, projection, *self._unwound, group]

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        return self._selection.index

    @staticmethod
    def histogram(pushed: Sequence[Any]) -> int:
        """See `Source`: the bucket of each call."""
        numbers = Counter(bucket for bucket in pushed if bucket is not None)
        return sum(number << DIGIT_BITS * int(bucket) for bucket, number in numbers.items())
