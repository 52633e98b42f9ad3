"""Series of a search equal the sums of its calls, from every source."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.aggregation.rollup import NO_GROUP, Bucket, GroupBy, add
from storage.queries.filters.search_language import parse_search
from storage.queries.grouped import slices as slices_module
from storage.queries.grouped.grouped import Grouped
from storage.queries.grouped.series import group_query_of, series_of
from storage.queries.statistics import Statistics, StatsQuery
from tests.examples import examples
from tests.storage.queries.grouped.test_grouped import (
    ADA,
    BOB,
    CALLS,
    DAY,
    ENDS,
    HOUR,
    SEARCHES,
    count,
    keys_of,
    nonzero,
)
from tests.storage.rollup_checks import MIDNIGHT, Call, totals_of_call

SHOWN = {"interceptions", "completed", "failed", "priced", "unpriced", "no_usage", "cost", "durations", "first_bytes"}


def figures(points):
    """Figures that every series has, without nothing."""
    figures = {
        at: {name: value for name, value in nonzero(totals).items() if name in SHOWN or name.startswith("ends.")}
        for at, totals in points.items()
    }
    return {at: one for at, one in figures.items() if one}


def by_group(series):
    return {(one.group, one.other): figures(one.points) for one in series if figures(one.points)}


async def series_by_search(database, query, conditions=None, visible_to=None):
    response = await Grouped(database).read(group_query_of(query, conditions or {}, visible_to))
    return series_of(query, response), response


@settings(max_examples=examples(4, 100), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    calls=CALLS,
    group_by=st.sampled_from([None, *GroupBy]),
    bucket=st.sampled_from([Bucket.HOUR, Bucket.DAY]),
    visible_to=st.sampled_from([None, ADA]),
    q=st.sampled_from(SEARCHES),
    data=st.data(),
)
def test_every_series_is_what_the_calls_found_add_up_to(
    io_loop, database, monkeypatch, *, calls, group_by, bucket, visible_to, q, data
):
    ends = [data.draw(ENDS) for _ in calls]
    monkeypatch.setattr(slices_module, "SLICE_CALLS", 2)
    query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=4), bucket, group_by, compare=True)

    async def compare():
        await database.interceptions.delete_many({})
        await database.rollups.delete_many({})
        made = [Call(number, *row) for number, row in enumerate(calls)]
        await count(database, *made, ends=ends)
        conditions = parse_search(q).filter(initiator_id=None)
        series, response = await series_by_search(database, query, conditions, visible_to)
        requested = group_query_of(query, conditions, visible_to)
        selection, before = requested.selection, query.previous
        expected, earlier = {}, {}
        async for document in database.interceptions.find({**selection.values, "status": {"$in": selection.statuses}}):
            at, totals = document["started_at"], totals_of_call(document)
            if before.start <= at < before.end:
                add(earlier.setdefault(bucket.floor(at), {}), totals)
            if query.start <= at < query.end:
                for key in keys_of(document, requested.by):
                    group = key[0] if key else None
                    if group_by is GroupBy.GROUP and group is None:
                        group = NO_GROUP
                    add(expected.setdefault((group, False), {}).setdefault(bucket.floor(at), {}), totals)
        assert by_group(series) == {group: figures(points) for group, points in expected.items()}
        assert figures(response.total.points_before) == figures(earlier)

    io_loop.run_sync(compare, timeout=60)


@pytest.mark.gen_test
async def test_without_a_search_they_are_the_series_of_all_calls(database):
    calls = [
        Call(number, second=number * 1_977, model=f"m{number % 15:02}", initiator=(ADA, BOB)[number % 2])
        for number in range(20)
    ]
    await count(database, *calls, Call(50, second=-HOUR), Call(51, second=-DAY))
    for bucket, group_by, visible_to in (
        *((Bucket.HOUR, one, None) for one in (None, *GroupBy)),
        *((Bucket.DAY, GroupBy.MODEL, None), (Bucket.MINUTE, None, None), (Bucket.MINUTE, GroupBy.MODEL, BOB)),
    ):
        query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=1), bucket, group_by)
        _, counted = await Statistics(database).read(query, visible_to=visible_to)
        series, _ = await series_by_search(database, query, visible_to=visible_to)
        assert by_group(series) == by_group(counted)
        assert [(one.group, one.other) for one in series] == [(one.group, one.other) for one in counted]
        assert sum(one.total["interceptions"] for one in series) >= (20 if visible_to is None else 10)


@pytest.mark.gen_test
async def test_groups_that_have_no_series_of_their_own_share_the_last_one(database):
    await count(database, *(Call(number, second=number, model=f"m{number // 2:02}") for number in range(44)))
    query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=2), Bucket.HOUR, GroupBy.MODEL)
    for q in ("-model:zzz", "took:>=0s"):  # of totals, and of records
        series, _ = await series_by_search(database, query, parse_search(q).filter(initiator_id=None))
        assert [one.group for one in series[:-1]] == [f"m{number:02}" for number in range(query.max_groups)]
        assert series[-1].other
        assert series[-1].total["interceptions"] == 44 - 2 * query.max_groups


@pytest.mark.gen_test
async def test_a_search_that_finds_nothing_has_an_empty_series(database):
    await count(database, Call(1))
    query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=1), Bucket.HOUR, compare=True)
    for conditions in ({"initiator_id": BOB}, {"model": "nobody"}):
        (only,), response = await series_by_search(database, query, conditions, visible_to=ADA)
        assert (only.group, only.points, only.total, response.total.points_before) == (
            None,
            {},
            {"interceptions": 0},
            {},
        )
    assert (await series_by_search(database, replace(query, group_by=GroupBy.MODEL), {"model": "nobody"}))[0] == []


@pytest.mark.gen_test
async def test_the_time_before_is_read_once_more_without_groups(database, monkeypatch):
    monkeypatch.setattr(slices_module, "SLICE_CALLS", 1)
    await count(database, Call(1), Call(2, second=HOUR), Call(3, second=-HOUR))
    result = []

    async def on_progress(progress):
        result.append(tuple(progress))

    query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=1), Bucket.HOUR, GroupBy.MODEL, compare=True)
    requested = group_query_of(query, parse_search("took:>0s").filter(initiator_id=None), None)
    await Grouped(database).read(requested, on_progress)
    assert (result[0], result[-1]) == ((0, 7), (5, 5))


def test_the_time_before_a_month_is_the_month_before():
    march = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=31), Bucket.DAY, GroupBy.MODEL, compare=True)
    assert march.previous == StatsQuery(MIDNIGHT - timedelta(days=28), MIDNIGHT, Bucket.DAY)
    hours = replace(march, end=MIDNIGHT + timedelta(hours=5), bucket=Bucket.HOUR)
    assert hours.previous.start == MIDNIGHT - timedelta(hours=5)
