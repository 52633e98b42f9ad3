"""The ranking of groups reads as little as possible."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from storage.derived.rollup_job import RollupJob
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.grouped.grouped import Grouped
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY, HOUR = 86_400, 3_600


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


@pytest.mark.parametrize("order", [Order.COST, Order.CACHE, Order.CHANGE])
@pytest.mark.parametrize("names", ["user,model", "user", "token"])
@pytest.mark.gen_test
async def test_whole_days_are_ranked_from_the_index_alone(filled, order, names):
    by = tuple(map(parse_by, names.split(",")))
    query = GroupQuery(MIDNIGHT, MIDNIGHT + timedelta(days=4), by=by, order=order, compare=True)
    async with profiled(filled) as found:
        response = await Grouped(filled).read(query)
    ranking = [one["docsExamined"] for one in found if ranks(one)]
    assert ranking == [0] * (2 if order is Order.CHANGE else 1)
    assert response.count == (4 if names == "user,model" else 2)
