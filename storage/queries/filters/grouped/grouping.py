"""A query for groups. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Order, Subject
from storage.queries.filters.selection import ENDED, Selection

MAX_POINTS: Final = 10_000
"""Most buckets of all groups of one result."""


@dataclass(frozen=True)
class GroupQuery:
    """A query for groups.

    Attributes:
        start: From then on, the start of a bucket.
        end: Until before then, the end of a bucket.
        conditions: What the documents must match beside their time, see `storage.queries.filters`.
        by: By what, at most two.
        period: How long buckets are.
        zone: Whose days these are.
        compare: Whether the time range before is requested too.
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
        """This query of the time range before."""
        start, end = calendar.previous(self.start, self.end, self.zone)
        return replace(self, start=start, end=end, compare=False)

    @property
    def selection(self) -> Selection | None:
        """The calls that are meant, which have ended; None where that is surely none."""
        found = Selection.of(self.conditions, self.visible_to)
        if found is None:
            return None
        statuses = ENDED if found.statuses is None else tuple(one for one in ENDED if one in found.statuses)
        within = replace(found.within(self.start, self.end), statuses=statuses)
        return within if statuses and within.start < within.end else None
