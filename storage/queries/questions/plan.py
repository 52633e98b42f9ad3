"""Which documents have the answer to a question: as few rollups as possible, else the records. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from intercept.records import EndReason
from storage.derived.rollup import DIMENSIONS, OF_OUTCOMES, OF_TAGS, OF_TOOLS, Breakdown, Bucket
from storage.mongo.indexes import BY_TOKEN, ROLLUPS, ROLLUPS_BY_INITIATOR, TAGGED, Keys
from storage.queries.filters.selection import ENDED, Selection, is_one_of
from storage.queries.filters.time_ranges import TimeRange, split
from storage.queries.questions import calendar, sources
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import By, Counted, Dimension, Question
from storage.queries.questions.sources import OF_ROLLUPS, Source

MAX_FOUND_BY_KEY: Final = 200
"""Most users whose rollups are read user by user."""


class Plan(NamedTuple):
    """Where groups are read, and where all of it as one; each the sum of some sources."""

    groups: Sequence[Source]
    whole: Sequence[Source]

    @property
    def is_scan(self) -> bool:
        """Whether it takes long."""
        return any(one.is_scan for one in self.groups)

    @property
    def is_of_rollups(self) -> bool:
        """Whether the calls are counted already, and not read one by one."""
        return any(one.collection == "rollups" for one in self.groups)


NOTHING: Final = Plan((), ())

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
        Dimension.GROUPS: "group_ids",
    }
)
_TAGS: Final = "tags."
_RECORDED_AS: Final = MappingProxyType({"error.type": "error_type", "tool_usages.tool": "tool"})


def plan(question: Question, found: bytes | None = None) -> Plan:
    """Choose where the answer is read.

    Args:
        question: What is asked.
        found: The ids of the calls that are meant, one behind the other; None where all that match are.
    """
    alone = replace(question, by=())
    match question.of:
        case Counted.REFUSALS:
            return Plan([sources.refusals(question)], [sources.refusals(alone)])
        case Counted.SESSIONS:
            return Plan([sources.sessions(question)], [sources.sessions(alone)])
    selection = selection_of(question)
    if selection is None:
        return NOTHING
    if found is None:
        # Both from rollups or none, so that groups and their sum agree.
        groups, whole = _rollups(question, selection), _rollups(alone, selection)
        if groups and whole:
            return Plan(groups, whole)
    return Plan([sources.records(question, selection, found)], [sources.records(alone, selection, found)])


def selection_of(question: Question) -> Selection | None:
    """Return the calls that are meant, which have ended; None where that is surely none."""
    found = Selection.of(question.conditions, question.visible_to)
    if found is None:
        return None
    statuses = ENDED if found.statuses is None else tuple(one for one in ENDED if one in found.statuses)
    within = replace(found.within(question.start, question.end), statuses=statuses)
    return within if statuses and within.start < within.end else None


def _rollups(question: Question, selection: Selection) -> list[Source]:
    """The fewest rollups that have the exact answer; none where only the records do."""
    if not all(map(_is_plain, selection.values.values())):
        return []
    for breakdown in Breakdown:
        fields = [_field(breakdown, one) for one in question.by]
        values = _values(breakdown, selection, question)
        if None in fields or values is None:
            continue
        ranges = list(split(selection.start, selection.end, _buckets_of(question)))
        if not all(one.bucket for one in ranges):
            continue
        found = _source(question, breakdown, ranges, values, fields)
        tag = next((at for at, by in enumerate(question.by) if by.dimension is Dimension.TAG), None)
        if tag is None or "tag_value" in values:
            return [found]
        return _with_untagged(question, selection, found, tag)
    return []


def _with_untagged(question: Question, selection: Selection, tagged: Source, tag: int) -> list[Source]:
    """Add the calls without the tag by which groups are made: all calls, less those that have it."""
    without = replace(question, by=(*question.by[:tag], *question.by[tag + 1 :]))
    found = [tagged]
    for one, sign in [*((every, 1) for every in _rollups(without, selection)), (tagged, -1)]:
        values = [value for value in one.keys.values() if sign == 1 or value != "$tag_value"]
        values.insert(tag, {"$literal": None})
        found.append(replace(one, keys=dict(zip(tagged.keys, values, strict=True)), sign=sign))
    return found if len(found) > 2 else []  # noqa: PLR2004 - then there is nothing that has all calls


def _source(
    question: Question,
    breakdown: Breakdown,
    ranges: Sequence[TimeRange],
    values: Mapping[str, Any],
    fields: Sequence[str | None],
) -> Source:
    index: Keys = TAGGED if breakdown in OF_TAGS else ROLLUPS
    if is_one_of(values.get("initiator_id")):
        index = ROLLUPS_BY_INITIATOR
    keys = {f"k{position}": f"${field}" for position, field in enumerate(fields)}
    return Source(
        "rollups",
        [one.of(breakdown) for one in ranges],
        values,
        index,
        OF_ROLLUPS,
        keys,
        frozenset(
            name
            for (name, field), by in zip(keys.items(), question.by, strict=True)
            if field == "$group_ids" and by.dimension is Dimension.GROUP
        ),
        indexes_of={
            "initiator_id": (ROLLUPS_BY_INITIATOR, MAX_FOUND_BY_KEY),
            "api_key_id": (BY_TOKEN, MAX_FOUND_BY_KEY),
        },
    )


def _field(breakdown: Breakdown, by: By) -> str | None:
    if by.dimension is Dimension.GROUP:
        return {Breakdown.GROUP: "group_id", Breakdown.TOKEN: "group_ids"}.get(breakdown)
    field = _FIELDS.get(by.dimension)
    return field if field in DIMENSIONS[breakdown] else None


def _values(breakdown: Breakdown, selection: Selection, question: Question) -> dict[str, Any] | None:
    """Return what rollups of a breakdown must have to be of these calls; None where they do not show it."""
    values = dict(selection.values)
    tags = {name: values.pop(name) for name in list(values) if name.startswith(_TAGS)}
    values = {_RECORDED_AS.get(name, name): value for name, value in values.items()}
    if breakdown in OF_OUTCOMES:
        values = _of_end(values, selection)
    elif set(selection.statuses or ()) != set(ENDED):
        return None
    if not values.keys() <= set(DIMENSIONS[breakdown]):
        return None
    if breakdown in OF_TAGS:
        return _of_tag(values, tags, question)
    if tags:
        return None
    return values if breakdown not in OF_TOOLS else _of_tool(values, question)


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


def _of_tool(values: dict[str, Any], question: Question) -> dict[str, Any] | None:
    """A call is in the rollups of each of its tools: one is requested, or groups are made of all."""
    is_by = any(one.dimension is Dimension.TOOL for one in question.by)
    if "tool" not in values:
        return values if is_by else None
    one = _only(values["tool"])
    return None if is_by or one is None else {**values, "tool": one}


def _of_tag(values: dict[str, Any], tags: dict[str, Any], question: Question) -> dict[str, Any] | None:
    """A call is in the rollups of each of its tags: values of one are requested, or groups are made of one."""
    names = {one.tag for one in question.by if one.dimension is Dimension.TAG} | {
        name.removeprefix(_TAGS) for name in tags
    }
    if len(names) != 1:
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


def _buckets_of(question: Question) -> list[Bucket]:
    """The buckets of rollups that are whole in those that are requested, longest first."""
    match question.period:
        case Period.ALL:
            return [Bucket.DAY, Bucket.HOUR]
        case Period.MINUTE:
            return []
    clock = calendar.offsets(question.start, question.end, question.zone)
    if not calendar.are_whole_hours(clock):
        return []
    is_utc = all(not one.ahead for one in clock)
    return [Bucket.DAY, Bucket.HOUR] if is_utc and question.period is not Period.HOUR else [Bucket.HOUR]
