from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason
from storage.derived.histograms import histogram, pack
from storage.derived.rollup_job import RollupJob
from tests.examples import examples
from tests.storage.rollup_checks import MIDNIGHT, Call, expected, has_counted_all, read_rollups, write

NOON = MIDNIGHT + timedelta(hours=12)
DIVERSE = [
    Call(1),
    Call(2, second=59.999, tools=("Bash", "Read", "Bash")),
    Call(3, second=60, model="$b.c", client="", tags=(("project", "apollo"), ("env", "ci"))),
    Call(4, second=3_600, initiator=UUID(int=5), tools=("$a.b",), tags=(("project", "zeus"),)),
    Call(5, second=86_400, provider_name="openai-eu"),
]


@pytest.fixture
def rollups(database):
    return RollupJob(database, now=lambda: NOON)


@pytest.mark.gen_test
async def test_a_rollup_looks_like_this_and_minutes_that_are_too_old_are_not_made(database, rollups):
    first, second = Call(1), Call(2, second=1)
    await write(database, first.start, first.end(5), second.start, second.end(7, took=0, first_byte=0))
    await rollups.add_pending()
    document = await database.rollups.find_one({"level": "model", "bucket": "minute"}, {"_id": False})
    assert document == {
        "level": "model",
        "bucket": "minute",
        "at": MIDNIGHT,
        "model": "gpt-5",
        "expires_at": MIDNIGHT + timedelta(days=8),
        "interceptions": 2,
        "completed": 2,
        "ends": {"completed": 2},
        "input_tokens": 12,
        "output_tokens": 2,
        "priced": 2,
        "cost": Decimal128("0.000012000000"),
        "durations": pack(histogram([0, 80])),
        "first_bytes": pack(histogram([0, 73])),
        "bridges": pack(histogram([0, 0])),
        "speeds": pack(histogram([0])),
        "input_cost": Decimal128("0.0000015"),
        "output_cost": Decimal128("0.000003500000"),
    }
    await database.rollups.delete_many({})
    await database.interceptions.delete_one({"_id": second.id})
    await database.interceptions.update_one({}, {"$set": {"uncounted": MIDNIGHT}})
    await RollupJob(database, now=lambda: MIDNIGHT + timedelta(days=8)).add_pending()
    found = await read_rollups(database)
    assert {about[1] for about in found} == {"hour", "day"}
    assert found == {about: totals for about, totals in (await expected(database)).items() if about[1] != "minute"}


@pytest.mark.gen_test
async def test_a_true_end_takes_the_place_of_a_presumed_one_counted_or_not(database, rollups):
    call, other, moved, soon = map(Call, range(1, 5))
    begun = [(one.start, one.checkpoint(3), one.presumed_end()) for one in (call, moved)]
    await write(database, *(one for each in begun for one in each), other.start, other.end())
    await write(database, soon.start, soon.presumed_end(), soon.end())
    assert await rollups.add_pending() == 4
    await has_counted_all(database)
    assert (await database.interceptions.find_one({"_id": call.id}))["counted"]["ends"] == {"server_crashed": 1}
    # Another provider served one of them: what was counted with the first is taken from that.
    await write(database, call.end(9, took=80), moved.end(9, served_by="eastus"))
    assert await rollups.add_pending() == 2
    await has_counted_all(database)
    assert await database.interceptions.count_documents({"counted": {"$exists": True}}) == 0
    await write(database, call.start, call.checkpoint(5), call.presumed_end(), call.end(1))
    assert await rollups.add_pending() == 0
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_a_rollup_that_has_expired_in_between_does_not_hold_up_counting(database, rollups):
    await write(database, Call(1).start, Call(1).presumed_end(took=80))
    await rollups.add_pending()
    await database.rollups.delete_many({"bucket": "minute"})
    await write(database, Call(1).end(took=2))
    assert await rollups.add_pending() == 1
    found, wanted = await read_rollups(database), await expected(database)
    for about, totals in wanted.items():
        assert about[1] == "minute" or found[about] == totals


kinds = st.sampled_from(["start", "checkpoint", "presume", "end", "end otherwise", "count", "count twice at once"])


def operation(kind, call):
    match kind:
        case "start":
            return call.start
        case "checkpoint":
            return call.checkpoint(3)
        case "presume":
            return call.presumed_end(took=call.number)
        case "end":
            return call.end(call.number)
        case _:
            return call.end(None, first_byte=None, end_reason=EndReason.UPSTREAM_ERROR, took=90)


@settings(max_examples=examples(4, 80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(kinds, st.sampled_from(DIVERSE)), max_size=25))
def test_rollups_are_the_sums_of_the_interceptions_in_any_order_of_events(io_loop, database, steps):
    async def happen():
        for collection in (database.interceptions, database.rollups):
            await collection.delete_many({})
        one, other = (RollupJob(database, now=lambda: NOON) for _ in range(2))
        for kind, call in steps:
            if kind == "count":
                await one.add_pending()
                await has_counted_all(database)
            elif kind == "count twice at once":
                await asyncio.gather(one.add_pending(), other.add_pending(), write(database, call.end()))
            else:
                await write(database, operation(kind, call))
        await other.add_pending()
        await has_counted_all(database)

    io_loop.run_sync(happen)
