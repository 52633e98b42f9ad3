"""`GET /api/v2/aibridge/stats`: what calls, refusals and sessions add up to, answered as JSON or as CSV."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from msgspec import UNSET, UnsetType

from handlers.api.control import READ_PER_SECOND
from handlers.api.names import read_names
from handlers.api.pagination import INVALID
from handlers.api.recorded.progress import ProgressHandler
from handlers.api.recorded.statistics.group_request import PARAMETERS, parse_group_request
from handlers.operations.problems import INVALID_SEARCH
from handlers.problems import Problem, ValidationProblem
from intercept.times import format_time
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.flat_rows import columns, csv_text, flat_rows
from resources.recorded.statistics import (
    GroupPoint,
    GroupTotals,
    Histograms,
    OtherGroups,
    Statistics,
    StatisticsGroup,
    TimeBefore,
)
from storage.queries.filters.grouped.dimensions import By, Dimension, Subject
from storage.queries.filters.grouped.grouping import MAX_POINTS, GroupQuery
from storage.queries.filters.grouped.groups import Found, GroupResult, TooManyPointsError, UnsupportedOrderError
from storage.queries.filters.refusals import parse_refusal_search
from storage.queries.grouped.row_reader import OnProgress
from storage.queries.grouped.sources.found import CallFinder
from storage.search.find import MAX_CALLS, MAX_CHECKED

TOO_MANY_CALLS: Final = (
    f"more than {MAX_CALLS:,} calls match it, or {MAX_CHECKED:,} where words have to follow one another; ask for less"
)


class StatisticsHandler(ProgressHandler):
    """The statistics: of owners, auditors and readers over all calls, of members over their own."""

    read_per_second = READ_PER_SECOND

    async def respond(self) -> None:
        """Respond with the groups, and what all of it adds up to."""
        request = parse_group_request(self.parameters(*PARAMETERS), self.bridge.now())
        conditions, finder = await self._narrowed(request.query.of, request.q)
        query = replace(request.query, visible_to=self.visible_to, conditions=conditions)
        if request.format == "json":
            await self.write_with_progress(partial(self._statistics, query, request.tz, finder))
            return
        result = await self.bridge.grouped.read(query, self.check_client, finder=finder)
        names = await self._names_of(query.by, result)
        groups = result.groups if query.by else [result.total]
        rows = list(flat_rows(query.of, query.period, query.by, groups, names, compare=query.compare))
        self.set_header("Content-Type", CSV_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="stats.csv"')
        self.finish(csv_text(columns(query.of, query.period, query.by, compare=query.compare), rows))

    async def _statistics(
        self, query: GroupQuery, tz: str, finder: CallFinder | None, on_progress: OnProgress, seconds: float | None
    ) -> Statistics:
        result = await self.bridge.grouped.read(query, on_progress, seconds=seconds, finder=finder)
        names = await self._names_of(query.by, result)
        # In a thread, as ten thousand buckets take some 100 ms.
        return await asyncio.to_thread(_to_json, query, tz, result, names)

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say also why there are no groups."""
        match error:
            case UnsupportedOrderError():
                return ValidationProblem(INVALID, validations=[("order_by", str(error))])
            case TooManyPointsError():
                detail = f"asks for more than {MAX_POINTS:,} buckets; choose fewer groups or longer buckets"
                return ValidationProblem(INVALID, validations=[("limit", detail)])
        return super().problem_of(error)

    async def search_calls(self, q: str) -> tuple[Mapping[str, Any], CallFinder | None]:
        """The filter of a search for calls, and what finds those that say its words, where it has any.

        Raises:
            Problem: 403, it has words, and the caller may not read texts.
            InvalidSearchError: it cannot be understood.
            ValidationProblem: its initiator is nobody that the caller may see.
        """
        found = await self.query(q)
        return found.conditions, self.bridge.search.every(found) if found.search.texts is not None else None

    async def _narrowed(self, of: Subject, q: str) -> tuple[Mapping[str, Any], CallFinder | None]:
        """The filter of a search, in the language of the list of the same things, and what finds calls by words."""
        if of is Subject.CALLS:
            return await self.search_calls(q)
        if of is Subject.SESSIONS:
            found = await self.session_search(q)
            if not found.is_exact:
                raise ValidationProblem(INVALID_SEARCH, validations=[("q", TOO_MANY_CALLS)])
            return found.conditions, None
        refused = parse_refusal_search(q)
        return refused.filter(initiator_id=await self.initiator_of(refused)), None

    async def _names_of(self, by: Sequence[By], result: GroupResult) -> Names:
        found: dict[Dimension, set[Any]] = defaultdict(set)
        for position, one in enumerate(by):
            found[one.dimension] = {group.key[position] for group in result.groups} - {None}
        return await read_names(
            self.bridge, *(found[one] for one in (Dimension.USER, Dimension.GROUP, Dimension.TOKEN))
        )


def _to_json(query: GroupQuery, tz: str, result: GroupResult, names: Names) -> Statistics:
    of, period, by, total = query.of, query.period, query.by, result.total
    return Statistics(
        of=of,
        from_=format_time(query.start),
        to=format_time(query.end),
        bucket=period,
        tz=tz,
        group_by=list(map(str, by)),
        order_by=query.order,
        count=result.count,
        uncounted=result.uncounted,
        total=GroupTotals.of(of, total.total),
        points=GroupPoint.all_of(of, period, total.points),
        previous=_before(query, total),
        histograms=Histograms.of(total.total) if of is Subject.CALLS else UNSET,
        recorded_since=UNSET if result.recorded_since is None else format_time(result.recorded_since),
        groups=[StatisticsGroup.show(of, period, by, found, names) for found in result.groups],
        other=OtherGroups.show(of, period, by, result),
    )


def _before(query: GroupQuery, total: Found) -> TimeBefore | UnsetType:
    if total.previous is None:
        return UNSET
    return TimeBefore(
        format_time(query.previous.start),
        format_time(query.previous.end),
        GroupTotals.of(query.of, total.previous),
        GroupPoint.all_of(query.of, query.period, total.points_before),
    )
