"""Series of calls that a search finds: the largest groups over time, from wherever groups are read. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.aggregation.rollup import NO_GROUP, GroupBy
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import GroupResult
from storage.queries.grouped.totals import rest_of
from storage.queries.statistics import Series, StatsQuery


def group_query_of(query: StatsQuery, conditions: Mapping[str, Any], visible_to: Any) -> GroupQuery:
    """Make the query for the groups that have a series, with the total of all."""
    by = () if query.group_by is None else (parse_by(query.group_by),)
    return GroupQuery(
        start=query.start,
        end=query.end,
        conditions=conditions,
        by=by,
        period=Period(query.bucket.value),
        limit=query.max_groups,
        compare=query.compare,
        visible_to=visible_to,
        in_full=True,
    )


def series_of(query: StatsQuery, result: GroupResult) -> list[Series]:
    """Make series of the groups that were found, as `storage.queries.statistics.Statistics.read` returns them."""
    if query.group_by is None:
        return [Series(None, result.total.points)]
    by_group = query.group_by is GroupBy.GROUP
    series = [
        Series(NO_GROUP if found.key[0] is None else found.key[0], found.points)
        for found in result.groups
        if by_group or found.key[0] is not None
    ]
    others = {} if by_group else rest_of(result.total.points, [one.points for one in series])
    return series + ([Series(None, others, other=True)] if others else [])
