"""What a source of groups is: it says how MongoDB makes figures of its documents.

Behind the `stages` of a source each document has the figures of `sums` and `at`, its time, and `k0` and `k1`, the values by
which it is grouped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from intercept.records import EndReason
from storage.derived.rollup import MONEY, NO_GROUP, PLAIN, TOKENS
from storage.mongo.indexes import Keys
from storage.queries.filters.grouped.dimensions import Order, expression, has_many
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.paging import visible

Stages = list[dict[str, Any]]

ENDS: Final = {f"end_{reason}": reason.value for reason in EndReason}
"""What the sums of end reasons are called."""

ALL_TOKENS: Final = {"$add": [{"$ifNull": [f"${name}", 0]} for name in TOKENS]}
SUMS: Final[Mapping[str, Any]] = {name: {"$sum": f"${name}"} for name in (*PLAIN, *MONEY)}
"""The sums of figures that rollups and records name alike."""

RATIOS: Final[Mapping[Order, tuple[str, ...]]] = {
    Order.CACHE: ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens"),
    Order.CHANGE: ("cost",),
}
"""What is summed for the share of the prompt cache, and for the change against the time range before."""


class Source:
    """One place where groups are read from.

    Attributes:
        sums: The figures, as `$group` adds them up.
        orders: What groups can be sorted by, as an expression.
        is_scan: Whether it takes long.
        part: Of what `$push` collects them apart, as a document of MongoDB has at most 16 MiB.
    """

    collection: ClassVar[str]
    sums: ClassVar[Mapping[Any, Any]]
    orders: ClassVar[Mapping[Any, Any]] = {}
    histograms: ClassVar[Sequence[str]] = ()
    part: ClassVar[Any] = None
    is_scan: ClassVar[bool] = False

    def __init__(self, query: GroupQuery) -> None:
        self._query = query

    def can_sort_by(self, order: Order) -> bool:
        """Whether groups can be sorted by that. Percentiles are known of calls alone."""
        return order in self.orders or order is Order.CHANGE or (order is Order.CACHE and RATIOS[order][0] in self.sums)

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
        return visible(self._query.visible_to)

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

    def ranked_by(self, order: Order) -> dict[str, Any]:
        """The sums that an order needs: the number of what is counted, and `most` or what a ratio is of."""
        number = {"number": {"$sum": self.orders[Order.CALLS]}}
        if order in RATIOS:
            return number | {name: self.sums[name] for name in RATIOS[order] if name in self.sums}
        return number | {"most": {"$sum": self.orders[order]}}

    def figures(self, order: Order) -> Stages:
        """Group everything with the sums that an order needs."""
        return self.summing(self.ranked_by(order))

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


def wanted(keys: Sequence[Key], position: int) -> list[Any]:
    """Return the values that keys have at a position, each once."""
    return list(dict.fromkeys(key[position] for key in keys))
