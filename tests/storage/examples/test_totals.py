"""Totals in memory equal those of the database after each step of the removal of invented calls."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from intercept.ids import FIRST_EXAMPLE
from storage.aggregation.rollup_job import RollupJob
from storage.examples import totals
from storage.mongo.codec import binary
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.grouped.grouped import Grouped
from tests.storage.records import ADA
from tests.storage.rollup_checks import MIDNIGHT, Call, read_rollups, write

DAY = 86_400
INVENTED = [UUID(int=FIRST_EXAMPLE.int + number) for number in range(4)]
QUERIES = [
    GroupQuery(MIDNIGHT, MIDNIGHT + timedelta(days=3), by=(parse_by(by),), order=order, limit=50)
    for by, order in (
        ("user", Order.CALLS),
        ("group", Order.P95),
        ("token", Order.CALLS),
        ("model", Order.P95),
        ("tool", Order.CALLS),
        ("tag.project", Order.P95),
    )
]


def calls():
    """Real ones on the first day, invented ones on the first two, with and without a group."""
    yield Call(1, second=60, tags=(("project", "real"),), tools=("Bash",))
    for number, second in enumerate((120, 7_200, DAY + 60, DAY + 3_660), 2):
        groups = (INVENTED[3],) if number % 2 else ()
        of = {"initiator": INVENTED[number % 2], "token": f"example{number % 2}", "model": f"m{number % 2}"}
        yield Call(FIRST_EXAMPLE.int + number, second, groups=groups, tools=("Read",), tags=(("project", "x"),), **of)


async def summary(grouped):
    responses = [await grouped.read(query) for query in QUERIES]
    return [(one.count, [(of.key, of.total) for of in one.groups], one.total.total) for one in responses]


@pytest.mark.gen_test(timeout=60)
async def test_after_each_step_memory_has_what_the_database_has(database, monkeypatch):
    monkeypatch.setattr(totals, "BATCH", 40)
    made = list(calls())
    await write(database, *(call.start for call in made[:1]), *(call.end() for call in made[:1]))
    job = RollupJob(database, now=lambda: MIDNIGHT)
    await job.add_pending()
    before = await read_rollups(database)
    await write(database, *(call.start for call in made[1:]), *(call.end() for call in made[1:]))
    await job.add_pending()
    grouped = Grouped(database)
    assert await summary(grouped) == await summary(Grouped(database))
    for some in (made[1:3], made[3:]):
        await database.together(partial(totals.delete_counted, database, [binary(call.id) for call in some]))
        assert await summary(grouped) == await summary(Grouped(database))
    while await totals.take_out(database):
        assert await summary(grouped) == await summary(Grouped(database))
    assert await read_rollups(database) == before
    users = (await grouped.read(QUERIES[0])).groups
    assert [one.key for one in users] == [(ADA.id,)]
