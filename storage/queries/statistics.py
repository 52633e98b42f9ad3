"""What calls add up to over time, read from the rollups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias
from uuid import UUID

from storage.aggregation.rollup import (
    BUCKETS,
    FEWEST_GROUPS,
    FIELDS,
    MAX_GROUPS,
    NO_GROUP,
    Breakdown,
    Bucket,
    GroupBy,
    Totals,
    add,
    totals_of,
)
from storage.aggregation.uncounted import count_uncounted
from storage.mongo.database import Database, Session
from storage.mongo.indexes import BUSIEST, BUSIEST_TOKENS, ROLLUPS, ROLLUPS_BY_INITIATOR
from storage.queries.filters.grouped import calendar
from storage.queries.filters.time_ranges import TimeRange, split
from storage.queries.grouped.totals import rest_of
from storage.queries.paging import visible

MAX_POINTS = 1_000
"""Points of all series; above that there are fewer groups. A point takes 30 us."""

MAX_ROLLUPS = 100_000
"""Most rollups that are read for one result, which takes about a second."""

_AT_ONCE = 1_000
_RANKED_BY = {Breakdown.USER: BUSIEST, Breakdown.TOKEN: BUSIEST_TOKENS}
_FOUND_BY = {"initiator_id": ROLLUPS_BY_INITIATOR, "api_key_id": BUSIEST_TOKENS}

Group: TypeAlias = str | UUID | None
Points: TypeAlias = dict[datetime, Totals]
Groups: TypeAlias = dict[Group, Points]


class TooManyRollupsError(Exception):
    """It would take more than `MAX_ROLLUPS`."""


@dataclass(frozen=True)
class StatsQuery:
    """A query for series of the calls of [start, end), whole buckets in UTC; with `compare` of the time before too."""

    start: datetime
    end: datetime
    bucket: Bucket
    group_by: GroupBy | None = None
    compare: bool = False

    @property
    def max_groups(self) -> int:
        """How many groups have a series of their own."""
        buckets = (self.end - self.start) // self.bucket.length
        return min(MAX_GROUPS, max(FEWEST_GROUPS, MAX_POINTS // buckets))

    @property
    def previous(self) -> StatsQuery:
        """The same of the time range before, without groups.

        Raises:
            OverflowError: That is before the year 1.
        """
        start, end = calendar.previous(self.start, self.end, UTC)
        return StatsQuery(start, end, self.bucket)


@dataclass(frozen=True)
class Series:
    """A group over time. `group` is None without groups, and of all others together."""

    group: Group
    points: Points
    other: bool = False

    @cached_property
    def total(self) -> Totals:
        """The sum of its points."""
        total: Totals = {"interceptions": 0}
        for point in self.points.values():
            add(total, point)
        return total


class Statistics:
    """The statistics of a database. Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, query: StatsQuery, *, visible_to: UUID | None) -> tuple[int, list[Series]]:
        """Return how many calls are not counted yet, at most `MAX_UNCOUNTED`, and the series of all others.

        The series with the most calls come first, and last that of the groups that have none of their own. Without groups
        there is always one. By groups of users a call is in as many series as its user was in groups, so the last one,
        which would have it more than once, is left out.

        Raises:
            TooManyRollupsError: It is too much.
        """
        async with self._database.query(), self._database.snapshot() as session:
            reading = _Reading(self._database, session, query, visible_to)
            uncounted = await count_uncounted(self._database, session, (query.start, query.end), visible_to)
            return uncounted, await reading.series()


class _Reading:
    """The result of one query, as of one moment."""

    def __init__(self, database: Database, session: Session, query: StatsQuery, visible_to: UUID | None) -> None:
        self._rollups = database.rollups
        self._session = session
        self._query = query
        self._visible = visible(visible_to)
        self._group = query.group_by.field if query.group_by else ""

    async def series(self) -> list[Series]:
        if not self._group:
            groups = await self._read(self._breakdown, self._visible)
            return [Series(None, groups.get(None, {}))]
        # Of one person there are not many more groups than are shown.
        groups = await (self._read(self._breakdown, self._visible) if self._visible else self._largest())
        series = _ranked(groups, self._query.max_groups)
        return [one for one in series if not (one.other and self._query.group_by is GroupBy.GROUP)]

    @property
    def _breakdown(self) -> Breakdown:
        """The breakdown with the fewest rollups that has the result."""
        group_by = self._query.group_by
        if self._visible and group_by in {GroupBy.TOKEN, GroupBy.GROUP}:
            return Breakdown.TOKEN
        if self._visible or group_by is GroupBy.INITIATOR:
            alone = group_by in {None, GroupBy.INITIATOR} and self._query.bucket in BUCKETS[Breakdown.USER]
            return Breakdown.USER if alone else Breakdown.USER_COMBINATION
        return Breakdown(group_by or Breakdown.ALL)

    async def _largest(self) -> Groups:
        """Read the largest groups of all calls; the others are what the rollups of everyone have beside these."""
        names, max_groups = await self._largest_groups(), self._query.max_groups
        groups = await self._read(self._breakdown, {self._group: {"$in": names[:max_groups]}})
        if len(names) > max_groups and self._query.group_by is not GroupBy.GROUP:
            every = (await self._read(Breakdown.ALL, {})).get(None, {})
            groups[None] = rest_of(every, groups.values())
        return groups

    async def _largest_groups(self) -> list[Any]:
        """Return the groups with the most calls, one more than have a series, by the longest buckets there are."""
        query = self._query
        buckets = [one for one in (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE) if one.length >= query.bucket.length]
        rollups = [part.of(self._breakdown) for part in split(query.start, query.end, buckets)]
        pipeline: list[dict[str, Any]] = [
            {"$match": {"$or": rollups}},
            {"$group": {"_id": f"${self._group}", "number": {"$sum": "$interceptions"}}},
            {"$sort": {"number": -1, "_id": 1}},
            {"$limit": self._query.max_groups + 1},
        ]
        index = _RANKED_BY.get(self._breakdown, ROLLUPS)
        cursor = self._rollups.aggregate(pipeline, hint=dict(index), session=self._session)
        return [row["_id"] for row in await cursor.to_list(None)]

    async def _read(self, breakdown: Breakdown, values: Mapping[str, Any]) -> Groups:
        """Read the rollups that have these values, and sum them by group and time."""
        query = self._query
        rollups = {**TimeRange(query.bucket, query.start, query.end).of(breakdown), **values}
        group = "group_ids" if self._group == "group_id" and breakdown is Breakdown.TOKEN else self._group
        names = ("at", *filter(None, [group]), *FIELDS)
        projection = {"_id": False, **dict.fromkeys(names, True)}
        cursor = (
            self._rollups.find(rollups, projection, batch_size=_AT_ONCE, session=self._session)
            .hint(next((index for name, index in _FOUND_BY.items() if name in values), ROLLUPS))
            .limit(MAX_ROLLUPS + 1)
        )
        groups: Groups = {}
        number = 0
        # As many at once as take a few milliseconds, so that others have their turn.
        while read := await cursor.to_list(_AT_ONCE):
            number += len(read)
            for rollup in read:
                found = rollup.get(group)
                for one in (found or [NO_GROUP]) if group == "group_ids" else [found]:
                    points, totals = groups.setdefault(one, {}), totals_of(rollup)
                    if (total := points.setdefault(rollup["at"], totals)) is not totals:
                        add(total, totals)
        if number > MAX_ROLLUPS:
            raise TooManyRollupsError
        return groups


def _ranked(groups: Groups, max_groups: int) -> list[Series]:
    """Return the largest groups, largest first, and the others as one."""
    others = groups.pop(None, {})
    ranked = sorted(groups, key=lambda group: (-_number(groups[group]), str(group)))
    for group in ranked[max_groups:]:
        for at, totals in groups[group].items():
            add(others.setdefault(at, {}), totals)
    series = [Series(group, groups[group]) for group in ranked[:max_groups]]
    return series + ([Series(None, others, other=True)] if others else [])


def _number(points: Points) -> int:
    """Return how many calls they are."""
    return sum(totals.get("interceptions", 0) for totals in points.values())
