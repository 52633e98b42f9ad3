"""The groups of `GET /api/v2/aibridge/stats`, answered as JSON, as rows or as CSV."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from msgspec import UNSET

from handlers.api.control import READ_PER_SECOND
from handlers.api.names import read_names
from handlers.api.pagination import INVALID
from handlers.api.recorded.progress import ProgressHandler
from handlers.api.recorded.statistics.group_request import parse_group_request
from handlers.api.recorded.visibility import INVALID_SEARCH
from handlers.problems import Problem, ValidationProblem
from intercept.times import format_time
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.flat_rows import FlatRows, columns, csv_text, flat_rows, json_cells
from resources.recorded.groups import GroupedStatistics, GroupPoint, GroupTotals, Histograms, show_group
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Subject
from storage.queries.filters.grouped.grouping import MAX_POINTS, GroupQuery
from storage.queries.filters.grouped.groups import GroupResult, TooManyPointsError, UnsupportedOrderError
from storage.queries.filters.refusals import parse_refusal_search
from storage.queries.grouped.row_reader import OnProgress
from storage.queries.grouped.sources.found import CallFinder
from storage.search.reading import MAX_CHECKED
from storage.search.sessions import MAX_CALLS

TOO_MANY_CALLS: Final = (
    f"more than {MAX_CALLS:,} calls match it, or {MAX_CHECKED:,} where words have to follow one another; ask for less"
)


class GroupedHandler(ProgressHandler):
    """Responds with groups: owners, auditors and readers of all calls, members of their own."""

    read_per_second = READ_PER_SECOND

    async def write_groups(self, values: Mapping[str, str]) -> None:
        """Respond with the groups.

        Raises:
            ValidationProblem: a parameter cannot be used, or it would take too long.
            Problem: 503, the server stops.
        """
        request = parse_group_request(values, self.bridge.now())
        conditions, finder = await self._narrowed(request.query.of, request.q)
        query = replace(request.query, visible_to=self.visible_to, conditions=conditions)
        if request.format == "json":
            await self.write_with_progress(partial(self._grouped, query, request.tz, finder))
            return
        result = await self.bridge.grouped.read(query, self.check_client, finder=finder)
        names = await self._names_of(query.by, result)
        groups = result.groups if query.by else [result.total]
        rows = list(flat_rows(query.of, query.period, query.by, groups, names, compare=query.compare))
        if request.format == "rows":
            self.write_json(FlatRows(result.count, list(map(json_cells, rows))))
            return
        self.set_header("Content-Type", CSV_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="stats.csv"')
        self.finish(csv_text(columns(query.of, query.period, query.by, compare=query.compare), rows))

    async def _grouped(
        self, query: GroupQuery, tz: str, finder: CallFinder | None, on_progress: OnProgress, seconds: float | None
    ) -> GroupedStatistics:
        result = await self.bridge.grouped.read(query, on_progress, seconds=seconds, finder=finder)
        return _to_json(query, tz, result, await self._names_of(query.by, result))

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


def _to_json(query: GroupQuery, tz: str, result: GroupResult, names: Names) -> GroupedStatistics:
    of, total = query.of, result.total
    return GroupedStatistics(
        of=of,
        from_=format_time(query.start),
        to=format_time(query.end),
        bucket=query.period,
        tz=tz,
        group_by=list(map(str, query.by)),
        order_by=query.order,
        count=result.count,
        uncounted=result.uncounted,
        total=GroupTotals.of(of, total.total),
        previous=UNSET if total.previous is None else GroupTotals.of(of, total.previous),
        points=UNSET if query.period is Period.ALL else GroupPoint.all_of(of, total.points),
        histograms=Histograms.of(total.total) if of is Subject.CALLS else UNSET,
        recorded_since=UNSET if result.recorded_since is None else format_time(result.recorded_since),
        groups=[show_group(of, query.by, found, names, query.period) for found in result.groups],
    )
