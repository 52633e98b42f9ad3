"""Which rollups have the result of a query for groups. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace as replace_struct

from intercept.records import EndReason
from storage.derived.rollup import (
    BUCKETS,
    DIMENSIONS,
    OF_OUTCOMES,
    OF_TAGS,
    OF_TOOLS,
    Breakdown,
    Bucket,
)
from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.filters.time_ranges import TimeRange, split


class RollupPlan(Struct, frozen=True):
    """The rollups that have the result.

    Attributes:
        breakdown: What these have in common.
        ranges: Their buckets.
        values: The wanted values of their dimensions.
        fields: Where they have what groups are made by.
        rest: Of groups by a tag the rollups that have those calls too that do not have it; None where there is no such group.
    """

    breakdown: Breakdown
    ranges: Sequence[TimeRange]
    values: Mapping[str, Any]
    fields: Mapping[By, str]
    rest: RollupPlan | None = None

    @property
    def filter(self) -> dict[str, Any]:
        """What MongoDB finds them by."""
        return self.filter_of(self.ranges)

    def _level(self, part: TimeRange) -> Breakdown:
        """The breakdown of a part: what has no rollups of hours is summed from those that have more in common."""
        has_it = part.bucket in BUCKETS[self.breakdown]
        return self.breakdown if has_it else Breakdown.USER_COMBINATION

    def filter_of(self, ranges: Sequence[TimeRange]) -> dict[str, Any]:
        """The same of some ranges. All of it is in each part: what stands beside an `$or` does not bound the index."""
        parts = [{**one.of(self._level(one)), **self.values} for one in ranges]
        return {"$or": parts} if len(parts) != 1 else parts[0]


_FIELDS: Final = MappingProxyType(
    {
        Dimension.USER: "initiator_id",
        Dimension.TOKEN: "api_key_id",
        Dimension.MODEL: "model",
        Dimension.PROVIDER: "provider_name",
        Dimension.CLIENT: "client",
        Dimension.END_REASON: "end_reason",
        Dimension.HTTP_STATUS: "upstream_status",
        Dimension.ERROR_TYPE: "error_type",
        Dimension.STREAMING: "streaming",
        Dimension.TOOL: "tool",
        Dimension.TAG: "tag_value",
    }
)
_BY_SIZE: Final = (
    Breakdown.ALL,
    Breakdown.PROVIDER,
    Breakdown.MODEL,
    Breakdown.CLIENT,
    Breakdown.GROUP,
    Breakdown.OUTCOME,
    Breakdown.TOOL,
    Breakdown.TAG,
    Breakdown.COMBINATION,
    Breakdown.USER,
    Breakdown.TOKEN,
    Breakdown.USER_COMBINATION,
    Breakdown.MODEL_OUTCOME,
    Breakdown.MODEL_TOOL,
    Breakdown.MODEL_TAG,
    Breakdown.USER_OUTCOME,
    Breakdown.USER_TAG,
)
_BY_LENGTH: Final = (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE)
_TAGS: Final = "tags."
_RECORDED_AS: Final = MappingProxyType({"error.type": "error_type", "tool_usages.tool": "tool"})


def plan(query: GroupQuery) -> RollupPlan | None:
    """Choose the fewest rollups that have the exact result; None where only the records do."""
    selection = query.selection
    if selection is None or not all(map(_is_plain, selection.values.values())):
        return None
    for breakdown in _BY_SIZE:
        fields = {one: _field(breakdown, one) for one in query.by}
        values = _values(breakdown, selection, query)
        if None in fields.values() or values is None:
            continue
        ranges = list(split(selection.start, selection.end, buckets_of(query, breakdown)))
        if not all(one.bucket for one in ranges):
            continue
        known = {one: field for one, field in fields.items() if field}
        found = RollupPlan(breakdown, ranges, values, known)
        if breakdown in OF_TAGS and "tag_value" not in values:
            return _with_rest(found, query)
        return found
    return None


def _with_rest(found: RollupPlan, query: GroupQuery) -> RollupPlan | None:
    """Add where those calls are that do not have the tag by which groups are made."""
    rest = plan(replace(query, by=without_tag(query.by)))
    # How slow these are only records show: histograms are not subtracted where groups are ranked.
    return None if rest is None or query.order is Order.P95 else replace_struct(found, rest=rest)


def without_tag(by: Sequence[By]) -> tuple[By, ...]:
    """Return the other dimensions."""
    return tuple(one for one in by if one.dimension is not Dimension.TAG)


def _field(breakdown: Breakdown, by: By) -> str | None:
    if by.dimension is Dimension.GROUP:
        return {Breakdown.GROUP: "group_id", Breakdown.TOKEN: "group_ids"}.get(breakdown)
    field = _FIELDS.get(by.dimension)
    return field if field in DIMENSIONS[breakdown] else None


def _values(breakdown: Breakdown, selection: Selection, query: GroupQuery) -> dict[str, Any] | None:
    """Return what rollups of a breakdown must have to be of these calls; None where they do not show it."""
    values = dict(selection.values)
    tags = {name: values.pop(name) for name in list(values) if name.startswith(_TAGS)}
    values = {_RECORDED_AS.get(name, name): value for name, value in values.items()}
    if breakdown in OF_OUTCOMES:
        values = _of_end(values, selection)
    elif set(selection.statuses or ()) != set(ENDED):
        return None
    if breakdown in OF_TAGS:
        return _of_tag(values, tags, query, breakdown)
    if tags or not values.keys() <= set(DIMENSIONS[breakdown]):
        return None
    return values if breakdown not in OF_TOOLS else _of_tool(values, query)


def _of_end(values: dict[str, Any], selection: Selection) -> dict[str, Any]:
    """Replace a status by the end reasons that it has."""
    if set(selection.statuses or ()) == set(ENDED):
        return values
    wanted = values.get("end_reason", {})
    condition = wanted if isinstance(wanted, Mapping) else {"$in": [wanted]}
    reasons = [
        one.value
        for one in EndReason
        if one.status in (selection.statuses or ())
        and one.value in condition.get("$in", [one.value])
        and one.value not in condition.get("$nin", ())
        and one.value != condition.get("$ne")
    ]
    return {**values, "end_reason": {"$in": reasons}}


def _of_tool(values: dict[str, Any], query: GroupQuery) -> dict[str, Any] | None:
    """A call is in the rollups of each of its tools: one is requested, or groups are made of all."""
    is_by = any(one.dimension is Dimension.TOOL for one in query.by)
    if "tool" not in values:
        return values if is_by else None
    one = _only(values["tool"])
    return None if is_by or one is None else {**values, "tool": one}


def _of_tag(
    values: dict[str, Any], tags: dict[str, Any], query: GroupQuery, breakdown: Breakdown
) -> dict[str, Any] | None:
    """A call is in the rollups of each of its tags: values of one are requested, or groups are made of one."""
    names = {one.tag for one in query.by if one.dimension is Dimension.TAG} | {
        name.removeprefix(_TAGS) for name in tags
    }
    if len(names) != 1 or not values.keys() <= set(DIMENSIONS[breakdown]):
        return None
    for wanted in tags.values():
        if isinstance(wanted, Mapping) and wanted.keys() != {"$in"}:
            return None
        values["tag_value"] = wanted
    return {**values, "tag": names.pop()}


def _only(condition: Any) -> Any:
    """The one value that a condition is true of; None where there may be others."""
    if not isinstance(condition, Mapping):
        return condition
    return condition["$in"][0] if condition.keys() == {"$in"} and len(condition["$in"]) == 1 else None


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping) or value.keys() <= {"$in", "$nin", "$ne"}


def buckets_of(query: GroupQuery, breakdown: Breakdown) -> list[Bucket]:
    """The buckets of rollups that are whole in those that are requested, longest first."""
    kept = {*BUCKETS[breakdown]} | ({Bucket.HOUR} if breakdown is Breakdown.COMBINATION else set())
    there = [one for one in _BY_LENGTH if one in kept]
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
