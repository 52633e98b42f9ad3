"""What is found of groups, and why nothing is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from storage.derived.rollup import Totals, add

Key: TypeAlias = tuple[Any, ...]
"""The values that a group has in common."""


def least_first(key: Key) -> list[tuple[bool, Any]]:
    """What groups are sorted by as MongoDB sorts: nothing comes before anything."""
    return [(value is not None, value) for value in key]


class UnsupportedOrderError(ValueError):
    """What is added up cannot be sorted by this. Its text names both."""


class TooMuchError(Exception):
    """It would take longer than the bound of `storage.queries.grouped`, or is more than is read.

    Attributes:
        calls: How many calls there are in the time range, as far as these are counted.
        seconds: The bound.
    """

    def __init__(self, calls: int = 0, seconds: float = 0.0) -> None:
        super().__init__(calls, seconds)
        self.calls = calls
        self.seconds = seconds


class TooManyPointsError(Exception):
    """More buckets of groups are requested than `storage.queries.filters.grouped.grouping.MAX_POINTS`."""


class Found(Struct):
    """What a group adds up to, the same over time by the start of a bucket, and both of the time range before.

    `points_before` is known of all as one alone.
    """

    key: Key
    total: Totals
    points: dict[datetime, Totals]
    previous: Totals | None = None
    points_before: dict[datetime, Totals] = msgspec.field(default_factory=dict)


class GroupResult(Struct):
    """What was found.

    Attributes:
        count: How many groups there are.
        groups: Those that were requested, in their order.
        total: All of it as one, each document once.
        uncounted: Calls that are in no figure yet.
        recorded_since: Where records that would be needed are gone: since when all are there.
    """

    count: int
    groups: list[Found]
    total: Found
    uncounted: int = 0
    recorded_since: datetime | None = None


def sum_of(groups: Iterable[Found]) -> Found:
    """Return all groups as one, where nothing is in two of them."""
    total = Found((), {}, {})
    for group in groups:
        add(total.total, group.total)
        for at, point in group.points.items():
            add(total.points.setdefault(at, {}), point)
    return total


def without(found: Found, others: Found | None) -> Found:
    """Take others away from a group that has them too."""
    if others is None:
        return found
    add(found.total, others.total, -1)
    for at in others.points.keys() & found.points.keys():  # the rollups of a minute expire one by one
        add(found.points[at], others.points[at], -1)
    found.points = {at: point for at, point in found.points.items() if any(point.values())}
    return found


def rest_of(result: GroupResult) -> Found:
    """What is in none of the groups of a result, where nothing is in two of them."""
    total = result.total
    rest = Found((), dict(total.total), {at: dict(point) for at, point in total.points.items()})
    return without(rest, sum_of(result.groups))
