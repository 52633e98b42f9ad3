"""What calls add up to over time, read from the cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias
from uuid import UUID

from storage.aggregation.cells import (
    BUCKETS,
    FEWEST_GROUPS,
    FIELDS,
    MAX_GROUPS,
    Bucket,
    Figures,
    GroupBy,
    Level,
    add,
    figures_of,
)
from storage.aggregation.uncounted import read_uncounted
from storage.mongo.database import Database, Session, database_errors
from storage.mongo.indexes import BUSIEST, CELLS, CELLS_BY_INITIATOR, UNCOUNTED
from storage.queries.counts import QUERY_MILLISECONDS
from storage.queries.time_ranges import split

MAX_POINTS = 1_000
"""Points of all series; above that there are fewer groups. A point takes 30 us."""

MAX_ROLLUPS = 100_000
"""Most cells that are read for one answer, which takes about a second."""

MAX_UNCOUNTED = 10_000
"""How many of those that are not counted yet are looked at, to say how many there are."""

_AT_ONCE = 1_000

Group: TypeAlias = str | UUID | None
Points: TypeAlias = dict[datetime, Figures]
Groups: TypeAlias = dict[Group, Points]


class TooManyCellsError(Exception):
    """It would take more than `MAX_ROLLUPS`."""


@dataclass(frozen=True)
class Question:
    """What is asked: of the calls that started in [start, end), both whole buckets in UTC."""

    start: datetime
    end: datetime
    bucket: Bucket
    group_by: GroupBy | None = None

    @property
    def most_groups(self) -> int:
        """How many groups have a series of their own."""
        buckets = (self.end - self.start) // self.bucket.length
        return min(MAX_GROUPS, max(FEWEST_GROUPS, MAX_POINTS // buckets))


@dataclass(frozen=True)
class Series:
    """A group over time. `group` is None without groups, and of all others together."""

    group: Group
    points: Points
    other: bool = False

    @cached_property
    def total(self) -> Figures:
        """The sum of its points."""
        total: Figures = {"interceptions": 0}
        for point in self.points.values():
            add(total, point)
        return total


class Statistics:
    """The statistics of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, question: Question, *, visible_to: UUID | None) -> tuple[int, list[Series]]:
        """Return how many calls are not counted yet, at most `MAX_UNCOUNTED`, and the series of all others.

        The series with the most calls come first, and last that of the groups that have none of their own. Without groups
        there is always one.

        Args:
            question: What is asked.
            visible_to: The user whose calls alone may be seen or counted; None sees all.

        Raises:
            TooManyCellsError: It is too much.
            DatabaseUnavailableError: The database is away, or took longer than `QUERY_MILLISECONDS` for a query.
        """
        with database_errors():
            async with self._database.snapshot() as session:
                reading = _Reading(self._database, session, question, visible_to)
                return await reading.uncounted(), await reading.series()


class _Reading:
    """The answer to one question, as of one moment."""

    def __init__(
        self, database: Database, session: Session | None, question: Question, visible_to: UUID | None
    ) -> None:
        self._cells = database.rollups
        self._interceptions = database.interceptions
        self._session = session
        self._question = question
        self._visible = {} if visible_to is None else {"initiator_id": visible_to}
        self._group = question.group_by.field if question.group_by else ""

    async def uncounted(self) -> int:
        marks = await read_uncounted(self._cells, self._session, QUERY_MILLISECONDS)
        asked = {"started_at": {"$gte": self._question.start, "$lt": self._question.end}, **self._visible}
        pipeline: list[dict[str, Any]] = [
            {"$match": marks.filter},
            {"$limit": MAX_UNCOUNTED},
            {"$match": asked},
            {"$count": "number"},
        ]
        cursor = self._interceptions.aggregate(
            pipeline, hint=dict(UNCOUNTED), maxTimeMS=QUERY_MILLISECONDS, session=self._session
        )
        return sum([row["number"] for row in await cursor.to_list(1)])

    async def series(self) -> list[Series]:
        if not self._group:
            groups = await self._read(self._level, self._visible)
            return [Series(None, groups.get(None, {}))]
        # Of one person there are not many more groups than are shown.
        groups = await (self._read(self._level, self._visible) if self._visible else self._largest())
        return _ranked(groups, self._question.most_groups)

    @property
    def _level(self) -> Level:
        """The level of the fewest cells that tell."""
        group_by = self._question.group_by
        if self._visible or group_by is GroupBy.INITIATOR:
            alone = group_by in {None, GroupBy.INITIATOR} and self._question.bucket in BUCKETS[Level.PERSON]
            return Level.PERSON if alone else Level.INITIATOR
        return Level(group_by or Level.EVERYONE)

    async def _largest(self) -> Groups:
        """Read the largest groups of all calls; the others are what the cells of everyone have beside these."""
        names, most = await self._names(), self._question.most_groups
        groups = await self._read(self._level, {self._group: {"$in": names[:most]}})
        if len(names) > most:
            others = (await self._read(Level.EVERYONE, {})).get(None, {})
            for points in groups.values():
                for at, figures in points.items():
                    if at in others:  # the cells of a minute expire one by one
                        add(others[at], figures, -1)
            groups[None] = {at: figures for at, figures in others.items() if figures.get("interceptions")}
        return groups

    async def _names(self) -> list[Any]:
        """Return the groups with the most calls, one more than have a series, by the longest buckets there are."""
        question = self._question
        buckets = [one for one in (Bucket.DAY, Bucket.HOUR, Bucket.MINUTE) if one.length >= question.bucket.length]
        cells = [
            {"level": self._level, "bucket": part.bucket, "at": {"$gte": part.start, "$lt": part.end}}
            for part in split(question.start, question.end, buckets)
        ]
        pipeline: list[dict[str, Any]] = [
            {"$match": {"$or": cells}},
            {"$group": {"_id": f"${self._group}", "number": {"$sum": "$interceptions"}}},
            {"$sort": {"number": -1, "_id": 1}},
            {"$limit": self._question.most_groups + 1},
        ]
        index = BUSIEST if self._level is Level.PERSON else CELLS
        cursor = self._cells.aggregate(pipeline, hint=dict(index), maxTimeMS=QUERY_MILLISECONDS, session=self._session)
        return [row["_id"] for row in await cursor.to_list(None)]

    async def _read(self, level: Level, values: Mapping[str, Any]) -> Groups:
        """Read the cells that have these values, and sum them by group and time."""
        times = {"$gte": self._question.start, "$lt": self._question.end}
        cells = {"level": level, "bucket": self._question.bucket, "at": times, **values}
        names = ("at", *filter(None, [self._group]), *FIELDS)
        asked = {"_id": False, **dict.fromkeys(names, True)}
        cursor = (
            self._cells.find(cells, asked, batch_size=_AT_ONCE, session=self._session)
            .hint(CELLS_BY_INITIATOR if "initiator_id" in values else CELLS)
            .limit(MAX_ROLLUPS + 1)
            .max_time_ms(QUERY_MILLISECONDS)
        )
        groups: Groups = {}
        number = 0
        # As many at once as take a few milliseconds, so that others have their turn.
        while read := await cursor.to_list(_AT_ONCE):
            number += len(read)
            for cell in read:
                points, figures = groups.setdefault(cell.get(self._group), {}), figures_of(cell)
                if (total := points.setdefault(cell["at"], figures)) is not figures:
                    add(total, figures)
        if number > MAX_ROLLUPS:
            raise TooManyCellsError
        return groups


def _ranked(groups: Groups, most: int) -> list[Series]:
    """Return the largest groups, largest first, and the others as one."""
    others = groups.pop(None, {})
    ranked = sorted(groups, key=lambda group: (-_number(groups[group]), str(group)))
    for group in ranked[most:]:
        for at, figures in groups[group].items():
            add(others.setdefault(at, {}), figures)
    series = [Series(group, groups[group]) for group in ranked[:most]]
    return series + ([Series(None, others, other=True)] if others else [])


def _number(points: Points) -> int:
    """Return how many calls they are."""
    return sum(figures.get("interceptions", 0) for figures in points.values())
