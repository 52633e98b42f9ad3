"""The ranking of groups and series reads as little as possible."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from storage.aggregation.rollup import Bucket, GroupBy
from storage.aggregation.rollup_job import RollupJob
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.grouped.grouped import Grouped
from storage.queries.grouped.sources import rollups
from storage.queries.statistics import Statistics, StatsQuery
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY, HOUR = 86_400, 3_600
BERLIN = ZoneInfo("Europe/Berlin")


def stages(profiled):
    return profiled["command"].get("pipeline", ())


def ranks(profiled):
    return any("number" in stage.get("$group", ()) for stage in stages(profiled))


async def fill(database):
    calls = [
        Call(
            10 * number + hour,
            second=number * DAY + hour * HOUR,
            initiator=UUID(int=1 + number % 2),
            model=f"m{hour % 2}",
            token=f"token{number % 2:05}",
        )
        for number in range(4)
        for hour in range(4)
    ]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()


@asynccontextmanager
async def profiled(database):
    """What MongoDB examined of rollups, query by query, once the block is over."""
    found = []
    raw = database._database
    await raw.command("profile", 2)
    yield found
    await raw.command("profile", 0)
    found += [
        one async for one in raw["system.profile"].find({"ns": {"$regex": "[.]rollups$"}}) if "planSummary" in one
    ]
    await raw["system.profile"].drop()


@pytest.mark.gen_test
async def test_groups_over_time_are_ranked_by_days_in_any_zone(filled):
    query = GroupQuery(
        MIDNIGHT - timedelta(hours=1),
        MIDNIGHT + timedelta(days=3, hours=23),
        by=tuple(map(parse_by, ("user", "model"))),
        period=Period.DAY,
        zone=BERLIN,
        order=Order.COST,
        limit=1,
    )
    async with profiled(filled) as found:
        response = await Grouped(filled).read(query)
    (ranking,) = [one for one in found if ranks(one)]
    # Of whole days the index alone, and four hours of the last one, which are said twice.
    assert (ranking["docsExamined"] <= 8, response.count) == (True, 4)
    assert [one.points.keys() for one in response.groups] == [
        {MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(days=1, hours=23)}
    ]


@pytest.mark.parametrize(("order", "ranges"), [(Order.CACHE, 1), (Order.CHANGE, 2)])
@pytest.mark.gen_test
async def test_whole_days_are_ranked_by_ratios_from_the_index_alone(filled, order, ranges):
    by = tuple(map(parse_by, ("user", "model")))
    query = GroupQuery(MIDNIGHT, MIDNIGHT + timedelta(days=4), by=by, order=order, compare=True)
    async with profiled(filled) as found:
        response = await Grouped(filled).read(query)
    ranking = [one for one in found if "SPENDERS" in one["planSummary"] or "cost: 1" in one["planSummary"]]
    assert [one["docsExamined"] for one in ranking] == [0] * ranges
    assert response.count == 4


@pytest.mark.gen_test
async def test_series_by_token_read_those_tokens_alone(database):
    await fill(database)
    others = [Call(1_000 + number, initiator=UUID(int=50 + number), token=f"other{number:05}") for number in range(30)]
    await write(database, *(call.start for call in others), *(call.end() for call in others))
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()
    query = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=4), Bucket.HOUR, GroupBy.TOKEN)
    async with profiled(database) as found:
        _, series = await Statistics(database).read(query, visible_to=None)
    ranking = [one["docsExamined"] for one in found if "pipeline" in one["command"]]
    read = [one["docsExamined"] for one in found if one["command"].get("filter", {}).get("level") == "token"]
    points = sum(len(one.points) for one in series if not one.other)
    assert (ranking[-1], read, len(series)) == (0, [points], 11)


@pytest.mark.gen_test
async def test_of_two_dimensions_the_pairs_of_the_page_alone_are_read(database, monkeypatch):
    often = [
        Call(number, second=number, initiator=UUID(int=1 + number % 2), model=f"m{number % 2}") for number in range(4)
    ]
    seldom = [
        Call(10 + number, second=number, initiator=UUID(int=2 - number), model=f"m{number}") for number in range(2)
    ]
    await write(database, *(call.start for call in (*often, *seldom)), *(call.end() for call in (*often, *seldom)))
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()
    by = tuple(map(parse_by, ("user", "model")))
    query = GroupQuery(MIDNIGHT, MIDNIGHT + timedelta(days=1), by=by, limit=2)
    returned, responses = [], []
    for most in (50, 0):
        monkeypatch.setattr(rollups, "MAX_PAIRED", most)
        async with profiled(database) as found:
            responses.append(await Grouped(database).read(query))
        of_totals = [one for one in found if any("$group" in part for part in stages(one)) and not ranks(one)]
        returned.append(max(one["nreturned"] for one in of_totals))
    assert responses[0] == responses[1]
    assert [one.key for one in responses[0].groups] == [(UUID(int=1), "m0"), (UUID(int=2), "m1")]
    assert returned == [2, 4]
