"""What is asked about groups, and what of the database tells it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from storage.aggregation.rollup import BUCKETS, DIMENSIONS, Breakdown, Bucket
from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Order, Subject
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.filters.time_ranges import TimeRange, split

MAX_GROUPS: Final = 1_000
"""Most groups of one answer."""

MAX_POINTS: Final = 20_000
"""Most buckets of all groups of one answer."""


@dataclass(frozen=True)
class GroupQuery:
    """What is asked.

    Attributes:
        start: From then on, the start of a bucket.
        end: Until before then, the end of a bucket.
        conditions: What the documents must match beside their time, see `storage.queries.filters`.
        of: What is added up.
        by: By what, at most two.
        period: How long buckets are.
        zone: Whose days these are.
        order: What groups are sorted by.
        limit: How many groups.
        offset: How many to leave out.
        compare: Whether the time range before is asked for too.
        visible_to: The user whose calls alone count; None are all.
    """

    start: datetime
    end: datetime
    conditions: Mapping[str, Any] = field(default_factory=dict)
    of: Subject = Subject.CALLS
    by: tuple[By, ...] = ()
    period: Period = Period.ALL
    zone: tzinfo = UTC
    order: Order = Order.CALLS
    limit: int = 20
    offset: int = 0
    compare: bool = False
    visible_to: Any = None

    @property
    def previous(self) -> GroupQuery:
        """The same of the time range before, as one bucket."""
        start, end = calendar.previous(self.start, self.end, self.zone)
        return replace(self, start=start, end=end, period=Period.ALL, compare=False)

    @property
    def selection(self) -> Selection | None:
        """The calls that are meant, which have ended; None where that is surely none."""
        found = Selection.of(self.conditions, self.visible_to)
        if found is None:
            return None
        statuses = ENDED if found.statuses is None else tuple(one for one in ENDED if one in found.statuses)
        within = replace(found.within(self.start, self.end), statuses=statuses)
        return within if statuses and within.start < within.end else None


class RollupPlan(Struct, frozen=True):
    """The rollups that tell it.

    Attributes:
        breakdown: What these have in common.
        ranges: Their buckets.
        values: What is asked of their dimensions.
        fields: Where they have what groups are made by.
    """

    breakdown: Breakdown
    ranges: Sequence[TimeRange]
    values: Mapping[str, Any]
    fields: Mapping[By, str]

    @property
    def filter(self) -> dict[str, Any]:
        """What MongoDB finds them by. All of it is in each part: what stands beside an `$or` does not bound the index."""
        return self._filter(self.ranges)

    @property
    def days(self) -> dict[str, Any] | None:
        """The same of the days alone; None where there are none."""
        days = [one for one in self.ranges if one.bucket is Bucket.DAY]
        return self._filter(days) if days else None

    @property
    def beside_days(self) -> dict[str, Any] | None:
        """The same of all that is no day; None where there is nothing."""
        others = [one for one in self.ranges if one.bucket is not Bucket.DAY]
        return self._filter(others) if others else None

    def _level(self, part: TimeRange) -> str:
        """The breakdown of a part: what has no rollups of hours is summed from those that have more in common."""
        has_it = part.bucket in BUCKETS[self.breakdown]
        return (self.breakdown if has_it else Breakdown.USER_COMBINATION).value

    def _filter(self, ranges: Sequence[TimeRange]) -> dict[str, Any]:
        parts = [
            {
                "level": self._level(one),
                "bucket": one.bucket,
                "at": {"$gte": one.start, "$lt": one.end},
                **self.values,
            }
            for one in ranges
        ]
        return {"$or": parts} if len(parts) != 1 else parts[0]


_FIELDS: Final = MappingProxyType(
    {
        Dimension.USER: "initiator_id",
        Dimension.TOKEN: "api_key_id",
        Dimension.MODEL: "model",
        Dimension.PROVIDER: "provider_name",
        Dimension.CLIENT: "client",
    }
)
_BY_SIZE: Final = (
    Breakdown.ALL,
    Breakdown.PROVIDER,
    Breakdown.MODEL,
    Breakdown.CLIENT,
    Breakdown.GROUP,
    Breakdown.COMBINATION,
    Breakdown.USER,
    Breakdown.TOKEN,
    Breakdown.USER_COMBINATION,
)
_LONGEST_FIRST: Final = (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE)
_BY_TOKEN: Final = frozenset({Breakdown.GROUP, Breakdown.TOKEN})


def plan(query: GroupQuery, by_token_since: datetime | None) -> RollupPlan | None:
    """Choose the fewest rollups that tell it exactly; None where only the records do.

    Args:
        query: What is asked of calls.
        by_token_since: Since when calls are counted by token and group; None from the first on.
    """
    selection = query.selection
    if selection is None or selection.statuses is None or set(selection.statuses) != set(ENDED):
        return None
    if not all(map(_is_plain, selection.values.values())):
        return None
    for breakdown in _BY_SIZE:
        fields = {one: _field(breakdown, one) for one in query.by}
        if None in fields.values() or not selection.values.keys() <= set(DIMENSIONS[breakdown]):
            continue
        if breakdown in _BY_TOKEN and by_token_since is not None and selection.start < by_token_since:
            continue
        ranges = list(split(selection.start, selection.end, _buckets(query, breakdown)))
        if all(one.bucket for one in ranges):
            known = {one: field for one, field in fields.items() if field}
            return RollupPlan(breakdown, ranges, selection.values, known)
    return None


def _field(breakdown: Breakdown, by: By) -> str | None:
    if by.dimension is Dimension.GROUP:
        return {Breakdown.GROUP: "group_id", Breakdown.TOKEN: "group_ids"}.get(breakdown)
    field = _FIELDS.get(by.dimension)
    return field if field in DIMENSIONS[breakdown] else None


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping) or value.keys() <= {"$in", "$nin", "$ne"}


def _buckets(query: GroupQuery, breakdown: Breakdown) -> list[Bucket]:
    """The buckets of rollups that are whole in those that are asked for, longest first."""
    kept = {*BUCKETS[breakdown]} | ({Bucket.HOUR} if breakdown is Breakdown.COMBINATION else set())
    there = [one for one in _LONGEST_FIRST if one in kept]
    match query.period:
        case Period.ALL:
            return [one for one in there if one is not Bucket.MINUTE]
        case Period.MINUTE:
            return [one for one in there if one is Bucket.MINUTE]
    clock = calendar.offsets(query.start, query.end, query.zone)
    if not calendar.are_whole_hours(clock):
        return []
    is_utc = all(not one.ahead for one in clock)
    fit = {Bucket.HOUR} if query.period is Period.HOUR or not is_utc else {Bucket.HOUR, Bucket.DAY}
    return [one for one in there if one in fit]
