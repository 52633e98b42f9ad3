"""Which interceptions are requested, and what of the database has them: the index, and the breakdown of rollups. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from intercept.records import Status
from storage.derived.rollup import COMBINATION, DIMENSIONS, Breakdown, smallest_with
from storage.mongo.indexes import BY_COMBINATION, BY_INITIATOR, BY_LINK, BY_REQUEST, BY_TIME, Keys
from storage.queries.filters.time_ranges import EARLIEST, LATEST
from storage.recording.documents import Link

ENDED = (Status.COMPLETED.value, Status.FAILED.value)

_MILLISECOND = timedelta(milliseconds=1)
_INDEX_OF = {"request_ids": BY_REQUEST, "client_session_id": BY_LINK, "initiator_id": BY_INITIATOR}


@dataclass(frozen=True)
class Selection:
    """Interceptions with these values that started in [start, end), and have one of the statuses; None is any."""

    values: Mapping[str, Any]
    statuses: tuple[str, ...] | None
    start: datetime
    end: datetime

    @classmethod
    def of(cls, search_filter: Mapping[str, Any], visible_to: UUID | None) -> Self | None:
        """Return those that a `Search.filter` finds and `visible_to` may see; None if that is surely none."""
        values = dict(search_filter)
        if visible_to is not None:
            if not _may_be(values.get("initiator_id", visible_to), visible_to):
                return None
            values["initiator_id"] = visible_to
        times, status = values.pop("started_at", {}), values.pop("status", None)
        return cls(
            values=values,
            statuses=None if status is None else tuple(one.value for one in Status if _may_be(status, one.value)),
            start=times.get("$gte", EARLIEST),
            end=min(times.get("$lte", LATEST), LATEST - _MILLISECOND) + _MILLISECOND,
        )

    def within(self, start: datetime, end: datetime) -> Self:
        """Return those of them that started in that time range."""
        return replace(self, start=max(self.start, start), end=min(self.end, end))

    @property
    def index(self) -> Keys:
        """The index that they stand in, in the order of a list, with the least beside them.

        The database would choose by samples, and now and then one by which it has to sort.
        """
        if "request_ids" not in self.values and self.statuses == (Status.IN_FLIGHT,):
            return BY_COMBINATION  # it has those in flight side by side; they are few, so sorting them takes no time
        return next((index for name, index in _INDEX_OF.items() if is_one_of(self.values.get(name))), BY_TIME)

    @property
    def count_index(self) -> Keys:
        """The index that has the least beside them, in whatever order."""
        if self.index is BY_TIME and self.values and self.values.keys() <= set(COMBINATION):
            return BY_COMBINATION
        return self.index

    @property
    def filter(self) -> dict[str, Any]:
        """What MongoDB finds them by. The time is always in it.

        Without, the database would bound the index by its first key alone, and fetch every document to filter it.
        """
        conditions = {**self.values, "started_at": {"$gte": self.start, "$lt": self.end}}
        if self.index is BY_LINK:
            named = self.values["client_session_id"]
            names = named["$in"] if isinstance(named, Mapping) else [named]
            conditions["links"] = {"$in": list(map(Link.SESSION.of, names))}
        if self.statuses is not None:
            conditions["status"] = self.statuses[0] if len(self.statuses) == 1 else {"$in": list(self.statuses)}
        return conditions

    @property
    def breakdown(self) -> Breakdown | None:
        """The breakdown of rollups that counts them, of the fewest rollups; None if they are not counted."""
        is_of_ended = self.statuses is not None and set(self.statuses) <= set(ENDED)
        is_counted = is_of_ended and self.values.keys() <= set(DIMENSIONS[Breakdown.USER_COMBINATION])
        return smallest_with(self.values) if is_counted else None

    @property
    def count_field(self) -> str:
        """The field of a rollup that counts them."""
        return "interceptions" if self.statuses is None or len(self.statuses) > 1 else self.statuses[0]


def _may_be(condition: Any, value: Any) -> bool:
    """Whether a condition is true of a value."""
    if not isinstance(condition, Mapping):
        return bool(condition == value)
    return value in condition.get("$in", (value,)) and value not in condition.get("$nin", ())


def is_one_of(condition: Any) -> bool:
    """Whether a condition names the values that it finds, and not only those that it does not."""
    return condition is not None and (not isinstance(condition, Mapping) or "$in" in condition)
