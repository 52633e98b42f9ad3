"""Details are made of calls that were counted without them, by a version before or beside this one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import ExecutionTimeout

from intercept.records import EndReason
from storage.aggregation import detail_state
from storage.aggregation.detail_state import NEVER, DetailState
from storage.aggregation.rollup import DETAILS, Breakdown
from storage.aggregation.rollup_job import JOB_STATE, RollupJob
from tests.examples import examples
from tests.storage.rollup_checks import MIDNIGHT, Call, has_counted_all, write

NOON = MIDNIGHT + timedelta(hours=12)
LEVELS = {"level": {"$in": sorted(DETAILS)}}
CALLS = [
    Call(1),
    Call(2, second=59.999, tools=("Bash", "Read")),
    Call(3, second=60, model="b", tags=(("project", "apollo"),)),
    Call(4, second=3_600, initiator=UUID(int=5), tools=("Bash",), tags=(("project", "zeus"),)),
    Call(5, second=86_400, provider_name="eu"),
]


def job(database):
    return RollupJob(database, now=lambda: NOON)


async def forget(database, *, stale=False):
    """Leave what a version that knows nothing of details leaves; stale ones are still there where one ran in between."""
    if not stale:
        await database.rollups.delete_many(LEVELS)
    change = {"$inc": {"turn": 1}} if stale else {"$unset": {"details": ""}}
    await database.rollups.update_one(JOB_STATE, change)


async def state_of(database):
    return DetailState.left(await database.rollups.find_one(JOB_STATE))


def test_what_is_in_details_is_told_by_the_last_run():
    assert DetailState.left(None) == DetailState(0)
    assert DetailState.of({"turn": 1}, 1) == DetailState(1)
    missing = DetailState(4, NEVER, is_stale=True, is_whole=False)
    assert DetailState.left({"turn": 3}) == missing
    before = {"turn": 2, "since": MIDNIGHT, "is_stale": False, "is_whole": False}
    assert DetailState.left({"turn": 3, "details": before}) == missing
    known = DetailState.left({"turn": 2, "details": before})
    assert known == DetailState(3, MIDNIGHT, is_whole=False)
    assert known.stored == {**before, "turn": 3}
    assert (known.has(MIDNIGHT), known.has(MIDNIGHT - timedelta(minutes=1))) == (True, False)
    assert DetailState(1).has(MIDNIGHT)


@pytest.mark.gen_test
async def test_details_are_made_of_all_that_was_counted_without_them(database, monkeypatch):
    monkeypatch.setattr(detail_state, "STALE_AT_ONCE", 7)
    monkeypatch.setattr(RollupJob, "batch", 2)
    await write(database, *(call.start for call in CALLS), *(call.end(call.number) for call in CALLS[:4]))
    await write(database, CALLS[4].end(end_reason=EndReason.UPSTREAM_ERROR))
    assert await job(database).add_pending() == 5
    for stale in (False, True):
        await forget(database, stale=stale)
        assert (await state_of(database)).since == NEVER, stale
        assert await job(database).add_pending() == 0
        await has_counted_all(database)
        assert await state_of(database) == DetailState((await state_of(database)).turn), stale


@pytest.mark.gen_test
async def test_presumed_ends_and_what_waits_are_in_details_once(database):
    first, second, third, fourth = (Call(number, tools=("Bash",)) for number in range(1, 5))
    await write(database, *(call.start for call in (first, second, third, fourth)))
    await write(database, first.presumed_end(), second.presumed_end(), third.end(5))
    await job(database).add_pending()
    await forget(database)
    # One has had its true end since, one is presumed still, and one waits for the first time.
    await write(database, second.end(9), fourth.end(3))
    counting = job(database)
    async with database.transaction() as session:
        details, rollups = await detail_state.step(
            counting._interceptions, database.rollups, DetailState(9, NEVER, is_whole=False), 100, session
        )
    outcomes = {key.values: totals["interceptions"] for _, (key, totals) in rollups if key.breakdown == "outcome"}
    crashed = ("server_crashed", None, None, True)
    assert outcomes == {crashed: 2, ("completed", 200, None, True): 1}
    assert details == DetailState(9, MIDNIGHT, is_whole=False)
    await counting.add_pending()
    await has_counted_all(database)
    await write(database, first.end(1))
    await counting.add_pending()
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_where_records_are_gone_details_say_since_when_all_are_in_them(database):
    await write(database, *(call.start for call in CALLS), *(call.end() for call in CALLS))
    await job(database).add_pending()
    await forget(database)
    await database.interceptions.delete_one({"_id": CALLS[0].id})
    await job(database).add_pending()
    assert (await state_of(database)).since == MIDNIGHT + timedelta(days=1)
    day = {"level": Breakdown.OUTCOME.value, "bucket": "day"}
    days = {one["at"]: one["interceptions"] async for one in database.rollups.find(day)}
    assert days == {MIDNIGHT: 3, MIDNIGHT + timedelta(days=1): 1}
    # What ends now and started before that is left out, as its day is not whole.
    late = Call(9)
    await write(database, late.start, late.end())
    await job(database).add_pending()
    assert (await database.rollups.find_one({**day, "at": MIDNIGHT}))["interceptions"] == 3
    await database.interceptions.delete_many({})
    await database.rollups.update_one(JOB_STATE, {"$unset": {"details": ""}})
    await job(database).add_pending()
    assert (await state_of(database)).since == NEVER


@pytest.mark.gen_test
async def test_details_of_earlier_calls_hurry_nobody(database, monkeypatch):
    await write(database, *(call.start for call in CALLS), *(call.end() for call in CALLS))
    await job(database).add_pending()
    await forget(database)
    monkeypatch.setattr(RollupJob, "batch", 2)
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        if (await state_of(database)).is_whole:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await RollupJob(database, now=lambda: NOON, pause=pause).run()
    assert pauses == [1.0] * 4
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_details_that_take_too_long_are_made_of_fewer_calls_at_once(database, monkeypatch):
    await write(database, *(call.start for call in CALLS), *(call.end() for call in CALLS))
    await job(database).add_pending()
    await forget(database)
    monkeypatch.setattr(RollupJob, "batch", 8)
    step, sizes = detail_state.step, []

    async def slow_step(interceptions, rollups, details, limit, session):
        sizes.append(limit)
        if limit > 2:
            raise ExecutionTimeout("operation exceeded time limit", 50)
        return await step(interceptions, rollups, details, limit, session)

    monkeypatch.setattr(detail_state, "step", slow_step)
    await job(database).add_pending()
    assert sizes[:3] == [8, 4, 2]
    await has_counted_all(database)


STEPS = st.lists(
    st.tuples(st.sampled_from(["presume", "end", "fail", "count", "forget", "old version"]), st.sampled_from(CALLS)),
    max_size=15,
)


@settings(max_examples=examples(4, 100), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=STEPS)
def test_in_any_order_of_events_details_are_the_sums_of_calls(io_loop, database, steps):
    async def happen():
        for collection in (database.interceptions, database.rollups):
            await collection.delete_many({})
        one, other = job(database), job(database)
        one._batch_limit = 2
        await write(database, *(call.start for call in CALLS))
        for kind, call in steps:
            match kind:
                case "presume":
                    await write(database, call.presumed_end(took=call.number))
                case "end":
                    await write(database, call.end(call.number))
                case "fail":
                    await write(database, call.end(None, end_reason=EndReason.UPSTREAM_ERROR))
                case "count":
                    await asyncio.gather(one._run_once(), other._run_once())
                case "forget" if await database.rollups.find_one(JOB_STATE):
                    await forget(database)
                case "old version" if await database.rollups.find_one({**JOB_STATE, "note": {"$exists": False}}):
                    await forget(database, stale=True)
        await asyncio.gather(one.add_pending(), other.add_pending())
        await other.add_pending()
        await has_counted_all(database)

    io_loop.run_sync(happen, timeout=60)
