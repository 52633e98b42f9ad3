"""`GET /api/v2/aibridge/stats`: what calls add up to over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET

from handlers.api.choices import choice, time
from handlers.api.pagination import INVALID, single_values
from handlers.api.recorded.grouped import (
    MAX_BUCKETS,
    OLDEST_MINUTE,
    OWN_PARAMETERS,
    USUAL_SPAN,
    GroupedHandler,
    asks_for_groups,
)
from handlers.problems import ValidationProblem
from intercept.times import format_time
from resources.recorded import stats as resources
from resources.recorded.stats import RefusedCalls, Statistics
from storage.aggregation.rollup import Bucket, GroupBy
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.time_ranges import ceiling
from storage.queries.statistics import MAX_ROLLUPS, Series, StatsQuery, TooManyRollupsError

PARAMETERS = ("from", "to", "bucket", "group_by", *OWN_PARAMETERS)


class StatisticsHandler(GroupedHandler):
    """The statistics: of owners, auditors and readers over all calls, of members over their own."""

    async def respond(self) -> None:
        """Answer a series, or one for each group; or groups, where what only these tell is asked for.

        Raises:
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        if asks_for_groups(values):
            await self.write_groups(values)
            return
        query = parse_query(values, self.bridge.now())
        try:
            uncounted, series = await self.bridge.statistics.read(query, visible_to=self.visible_to)
        except TooManyRollupsError as error:
            detail = f"asks for more than {MAX_ROLLUPS:,} figures; choose a shorter range, a longer bucket or no groups"
            raise ValidationProblem(INVALID, validations=[("from", detail)]) from error
        refused = await self.bridge.refusals.totals(query, visible_to=self.visible_to)
        names = await self._names(query.group_by, series, refused.initiators)
        by_token = query.group_by in {GroupBy.GROUP, GroupBy.TOKEN}
        since = await self.bridge.statistics.by_token_since() if by_token else None
        self.write_json(
            Statistics(
                from_=format_time(query.start),
                to=format_time(query.end),
                bucket=query.bucket,
                group_by=query.group_by,
                uncounted=uncounted,
                refusals=RefusedCalls.by_rule(
                    refused.rules, refused.initiators, refused.points, refused.shadow, names.users
                ),
                series=[await _to_json(one, names) for one in series],
                since=UNSET if since is None else format_time(since),
            )
        )

    async def _names(
        self, group_by: GroupBy | None, series: Sequence[Series], others: Iterable[UUID | None]
    ) -> resources.SeriesNames:
        """Find out what the groups of series are called, and the users who are named besides."""
        found = {one.group for one in series}
        users = {id_ for id_ in others if id_ is not None}
        groups, tokens = None, {}
        if group_by is GroupBy.GROUP:
            groups = await self.bridge.groups.by_id(id_ for id_ in found if isinstance(id_, UUID))
        elif group_by is GroupBy.TOKEN:
            tokens = await self.bridge.tokens.by_id(id_ for id_ in found if isinstance(id_, str))
            users |= {token.user_id for token in tokens.values()}
        else:
            users |= {id_ for id_ in found if isinstance(id_, UUID)}
        return resources.SeriesNames(await self.bridge.identities.users_by_id(users), groups, tokens)


def parse_query(values: Mapping[str, str], now: datetime) -> StatsQuery:
    """Read the query, at the time `now`; an empty value counts as not given.

    Raises:
        ValidationProblem: it cannot be answered; every parameter that is wrong is named.
    """
    problems: list[tuple[str, str]] = []
    bucket = Bucket(choice(Period, "bucket", values, problems) or Bucket.HOUR)
    group_by = choice(GroupBy, "group_by", values, problems)
    to = time("to", values, problems) or now
    start = time("from", values, problems)
    if problems:
        raise ValidationProblem(INVALID, validations=problems)
    try:
        query = StatsQuery(bucket.floor(start or to - USUAL_SPAN), ceiling(bucket, to), bucket, group_by)
    except OverflowError as error:
        raise ValidationProblem(INVALID, validations=[("to", "is out of range")]) from error
    if query.start >= query.end or (start and start >= to):
        problems.append(("to", "must be after from"))
    elif (query.end - query.start) // bucket.length > MAX_BUCKETS:
        problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
    if bucket is Bucket.MINUTE and query.start < now - OLDEST_MINUTE - bucket.length:
        problems.append(("from", f"minutes are kept for {OLDEST_MINUTE.days} days; choose a longer bucket"))
    if problems:
        raise ValidationProblem(INVALID, validations=problems)
    return query


async def _to_json(series: Series, names: resources.SeriesNames) -> resources.Series:
    """Return a series as the API shows it. Yields to other requests first."""
    await asyncio.sleep(0)
    return resources.Series.of(series.group, series.total, series.points, names, other=series.other)
