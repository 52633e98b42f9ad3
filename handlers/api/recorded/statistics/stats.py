"""`GET /api/v2/aibridge/stats`: what calls add up to over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UNSET

from handlers.api.choices import choice, refuse, time
from handlers.api.names import read_names
from handlers.api.pagination import INVALID
from handlers.api.recorded.statistics.group_request import (
    MAX_BUCKETS,
    OLDEST_MINUTE,
    OWN_PARAMETERS,
    PREVIOUS,
    SERIES,
    USUAL_SPAN,
    needs_groups,
)
from handlers.api.recorded.statistics.grouped import GroupedHandler
from handlers.problems import ValidationProblem
from intercept.times import format_time
from resources.names import Names
from resources.recorded import stats as resources
from resources.recorded.stats import EarlierCalls, RefusedCalls, Statistics
from storage.aggregation.rollup import Bucket, GroupBy
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.selection import ENDED
from storage.queries.filters.time_ranges import ceiling
from storage.queries.grouped.row_reader import OnProgress
from storage.queries.grouped.series import group_query_of, series_of
from storage.queries.grouped.sources.found import CallFinder
from storage.queries.refusals import RefusalTotals
from storage.queries.side_by_side import side_by_side
from storage.queries.statistics import MAX_ROLLUPS, Series, StatsQuery, TooManyRollupsError

PARAMETERS = ("from", "to", "bucket", "group_by", *OWN_PARAMETERS)
OF_GROUPS = ("of", "order_by", "limit", "offset", "tz")
"""What series do not take."""

ANY_END = {"$in": list(ENDED)}
"""What a search that asks for no status means."""


class SeriesRequest(NamedTuple):
    """A request for series: of all calls, or of those of a search."""

    query: StatsQuery
    conditions: Mapping[str, Any]
    finder: CallFinder | None


class FoundSeries(NamedTuple):
    """The series that were found, and that of all calls of the time range before, where the request has `compare`."""

    series: Sequence[Series]
    uncounted: int
    earlier: Series | None
    recorded_since: datetime | None = None


class StatisticsHandler(GroupedHandler):
    """The statistics: of owners, auditors and readers over all calls, of members over their own."""

    async def respond(self) -> None:
        """Respond with a series, or one for each group; or groups, where a parameter needs them."""
        values = self.parameters(*PARAMETERS)
        if needs_groups(values):
            await self.write_groups(values)
            return
        query = parse_query(values, self.bridge.now())
        q = values.get("q", "").strip()
        conditions, finder = await self.search_calls(q) if q else ({}, None)
        read = partial(self._statistics, SeriesRequest(query, conditions, finder))
        if values.get("format") == SERIES:
            await self.write_with_progress(read)
        else:
            self.write_json(await read(self.check_client, None))

    async def _statistics(self, request: SeriesRequest, on_progress: OnProgress, seconds: float | None) -> Statistics:
        """Read the series of matching calls and, if the search has nothing but users, of the refusals of these."""
        query = request.query
        found, refused = await side_by_side(
            self._found(request, on_progress, seconds) if request.conditions else self._counted(query),
            self._refused(request),
        )
        names = await self._names(query.group_by, found.series, refused.initiators if refused else ())
        return Statistics(
            from_=format_time(query.start),
            to=format_time(query.end),
            bucket=query.bucket,
            group_by=query.group_by,
            uncounted=found.uncounted,
            refusals=UNSET
            if refused is None
            else RefusedCalls.by_rule(refused.rules, refused.initiators, refused.points, refused.shadow, names.users),
            series=[await _to_json(one, query.group_by, names) for one in found.series],
            previous=UNSET if found.earlier is None else _earlier(query, found.earlier),
            recorded_since=UNSET if found.recorded_since is None else format_time(found.recorded_since),
        )

    async def _refused(self, request: SeriesRequest) -> RefusalTotals | None:
        """The refusals of the same users; None where the search asks for more than users."""
        query, conditions, finder = request
        if (
            finder
            or not conditions.keys() <= {"initiator_id", "status"}
            or conditions.get("status", ANY_END) != ANY_END
        ):
            return None
        initiator = {name: value for name, value in conditions.items() if name == "initiator_id"}
        return await self.bridge.refusals.totals(query, visible_to=self.visible_to, initiator=initiator)

    async def _counted(self, query: StatsQuery) -> FoundSeries:
        """The series of all calls."""
        statistics = self.bridge.statistics
        try:
            earlier = None
            if query.compare:
                (uncounted, series), (_, (earlier,)) = await side_by_side(
                    statistics.read(query, visible_to=self.visible_to),
                    statistics.read(query.previous, visible_to=self.visible_to),
                )
            else:
                uncounted, series = await statistics.read(query, visible_to=self.visible_to)
        except TooManyRollupsError as error:
            detail = f"asks for more than {MAX_ROLLUPS:,} figures; choose a shorter range, a longer bucket or no groups"
            raise ValidationProblem(INVALID, validations=[("from", detail)]) from error
        return FoundSeries(series, uncounted, earlier)

    async def _found(self, request: SeriesRequest, on_progress: OnProgress, seconds: float | None) -> FoundSeries:
        """The series of the calls that match."""
        query, conditions, finder = request
        group_query = group_query_of(query, conditions, self.visible_to)
        result = await self.bridge.grouped.read(group_query, on_progress, seconds=seconds, finder=finder)
        earlier = Series(None, result.total.points_before) if query.compare else None
        return FoundSeries(series_of(query, result), result.uncounted, earlier, result.recorded_since)

    async def _names(self, group_by: GroupBy | None, series: Sequence[Series], others: Iterable[UUID | None]) -> Names:
        """Find out what the groups of series are called, and the users who are named besides."""
        found: set[Any] = {one.group for one in series} - {None}
        users = {id_ for id_ in others if id_ is not None} | (found if group_by is GroupBy.INITIATOR else set())
        by_group, by_token = group_by is GroupBy.GROUP, group_by is GroupBy.TOKEN
        return await read_names(self.bridge, users, found if by_group else (), found if by_token else ())


def parse_query(values: Mapping[str, str], now: datetime) -> StatsQuery:
    """Read the query, at the time `now`; an empty value counts as not given.

    Raises:
        ValidationProblem: it cannot be answered; every parameter that is wrong is named.
    """
    problems: list[tuple[str, str]] = []
    as_series = values.get("format") == SERIES
    bucket = Bucket(choice(Bucket if as_series else Period, "bucket", values, problems) or Bucket.HOUR)
    group_by = choice(GroupBy, "group_by", values, problems)
    to = time("to", values, problems) or now
    start = time("from", values, problems)
    compare = values.get("compare") or ""
    if compare not in {"", PREVIOUS}:
        problems.append(("compare", f"must be {PREVIOUS}"))
    if as_series:
        problems += [(name, "is of groups; series do not take it") for name in OF_GROUPS if values.get(name)]
    refuse(problems)
    try:
        first = bucket.floor(start or to - USUAL_SPAN)
        query = StatsQuery(first, ceiling(bucket, to), bucket, group_by, bool(compare))
        earliest = query.previous.start if query.compare else query.start
    except OverflowError as error:
        raise ValidationProblem(INVALID, validations=[("to", "is out of range")]) from error
    if query.start >= query.end or (start and start >= to):
        problems.append(("to", "must be after from"))
    elif (query.end - query.start) // bucket.length > MAX_BUCKETS:
        problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
    if bucket is Bucket.MINUTE and earliest < now - OLDEST_MINUTE - bucket.length:
        which = "minutes, also of the time before," if query.compare else "minutes"
        problems.append(("from", f"{which} are kept for {OLDEST_MINUTE.days} days; choose a longer bucket"))
    refuse(problems)
    return query


def _earlier(query: StatsQuery, series: Series) -> EarlierCalls:
    before = query.previous
    return EarlierCalls.between(before.start, before.end, series.total, series.points)


async def _to_json(series: Series, by: GroupBy | None, names: Names) -> resources.Series:
    """Return a series as the API shows it. Yields to other requests first."""
    await asyncio.sleep(0)
    group = names.show_series(by, series.group)
    return resources.Series.of(group, series.total, series.points, other=series.other)
