"""Totals of groups are read once, and are right at every moment."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from intercept.records import EndReason
from storage.aggregation.rollup_job import RollupJob
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.search_language import parse_search
from storage.queries.grouped.grouped import Grouped
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START, END = MIDNIGHT - 3 * HOUR, MIDNIGHT + 3 * DAY + 5 * HOUR


async def count(database, *calls):
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()


def some_calls(first, seconds):
    return [
        Call(
            first + index,
            second=second,
            initiator=UUID(int=1 + index % 3),
            model=f"m{index % 4}",
            tags=(("project", f"p{index % 2}"),) if index % 3 else (),
            tools=("Bash",) if index % 2 else (),
        )
        for index, second in enumerate(seconds)
    ]


async def filled(database):
    await count(database, *some_calls(1, range(-10_800, 277_200, 21_600)))


def question(names="user,model", q="", **changes):
    known = {"order": Order.COST, "limit": 100, "compare": False} | changes
    conditions = parse_search(q, now=MIDNIGHT).filter(initiator_id=None)
    return GroupQuery(START, END, conditions, by=tuple(map(parse_by, filter(None, names.split(",")))), **known)


QUESTIONS = (
    *(question(names, compare=True) for names in ("", "tool")),
    *(question(names) for names in ("tag.project,model", "user,token")),
    question(q="status:failed"),
    question("user", period=Period.HOUR, in_full=True),
    question("user", visible_to=UUID(int=2)),
    question("user,model", order=Order.P95, limit=4, offset=1),
    question("model", order=Order.P95, period=Period.DAY),
    question("tag.project,model", order=Order.CHANGE, limit=3, compare=True),
    question("group", order=Order.CACHE),
    question("model", order=Order.CHANGE, period=Period.DAY, zone=ZoneInfo("Europe/Berlin"), compare=True),
    question("model", "model:m1,m2"),
)


async def read(grouped, query):
    """What is answered, as others may still add to it."""
    response = await grouped.read(query)
    groups = [(one.key, one.total, one.points, one.previous) for one in response.groups]
    return response.count, groups, response.total.total, response.total.points, response.total.previous


@asynccontextmanager
async def reading_totals(database):
    """How many documents MongoDB looked at for sums, once the block is over."""
    found = []
    raw = database._database
    await raw.command("profile", 2)
    yield found
    await raw.command("profile", 0)
    profiled = [one async for one in raw["system.profile"].find({"ns": {"$regex": "[.]rollups$"}})]
    await raw["system.profile"].drop()
    for one in profiled:
        stages = one["command"].get("pipeline", [])
        if any("durations" in stage.get("$group", {}) for stage in stages):
            found.append(one["docsExamined"])


@pytest.mark.gen_test(timeout=60)
async def test_answers_from_memory_are_those_of_the_database_and_only_new_groups_are_read(database):
    await filled(database)
    grouped = Grouped(database)
    expected = [await read(Grouped(database), query) for query in QUESTIONS]
    for _ in range(2):
        assert [await read(grouped, query) for query in QUESTIONS] == expected
    assert grouped._known.size > 100
    grouped = Grouped(database)
    await grouped.read(question("model", limit=3))
    async with reading_totals(database) as found:
        response = await read(grouped, question("model"))
    # One model, on three days and in some hours of two more.
    assert (len(response[1]), max(found), sum(found) <= 3 + 8) == (4, 3, True)
    # Minutes are read each time.
    grouped, hour = Grouped(database), {"start": MIDNIGHT, "end": MIDNIGHT + HOUR}
    query = GroupQuery(**hour, by=(parse_by("model"),), period=Period.MINUTE, in_full=True)
    before = await read(grouped, query)
    assert (grouped._known.size, await read(grouped, query)) == (0, before)


@pytest.mark.gen_test(timeout=60)
async def test_nothing_is_read_twice_and_what_changed_is_read_again(database):
    await filled(database)
    grouped, hours = Grouped(database), Grouped(database)
    query = question("model", order=Order.CALLS)
    by_hour = GroupQuery(START, MIDNIGHT + 5 * HOUR, by=(parse_by("model"),), period=Period.HOUR)
    before = await read(grouped, query)
    async with reading_totals(database) as found:
        assert await read(grouped, query) == before
    assert found == []
    await hours.read(by_hour)
    await count(database, Call(900, second=4 * 3_600, initiator=UUID(int=1), model="m1"))
    async with reading_totals(database) as found:
        after = await read(grouped, query)
    # Of all calls and of four models, on the three days that are read as one.
    assert sorted(found) == [3, 12]
    assert after[2]["interceptions"] == before[2]["interceptions"] + 1
    assert after == await read(Grouped(database), query)
    async with reading_totals(database) as found:
        after = await read(hours, by_hour)
    # Hours of today, of all calls and of three models.
    assert (max(found) <= 5, len(found)) == (True, 2)
    assert after == await read(Grouped(database), by_hour)


@pytest.mark.gen_test
async def test_calls_whose_presumed_end_is_replaced_are_read_again(database):
    await count(database, Call(1))
    grouped = Grouped(database)
    call = Call(900, second=90, initiator=UUID(int=9), model="new")
    await write(database, call.start, call.presumed_end())
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()
    query = question("model,end_reason")
    before = await read(grouped, query)
    await write(database, call.end(None, end_reason=EndReason.UPSTREAM_ERROR))
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()
    after = await read(grouped, query)
    assert after == await read(Grouped(database), query)
    assert {one[0] for one in after[1]} - {one[0] for one in before[1]} == {("new", "upstream_error")}
