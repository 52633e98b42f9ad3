"""Past calls are priced again: exactly once each, with rollups and sessions that follow."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from bson.decimal128 import Decimal128

from intercept.tokens import web_searches
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.derived.rollup import TOKENS
from storage.prices import recosting as module
from storage.prices.pricing import PRECISION, Cost
from storage.prices.recosting import (
    BATCH_PAUSE_SECONDS,
    FOLLOWED,
    IDLE_SECONDS,
    LEASE_SECONDS,
    Recosting,
)
from storage.prices.recosts import ENDED, ONE_AT_A_TIME, UNKNOWN, Recosts, RecostState
from storage.recording.figures import figures_of
from tests.clock import Clock
from tests.derived import derive
from tests.storage.rollup_checks import MIDNIGHT, Call, has_counted_all, write

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
CALLS = [
    Call(1),
    Call(2, second=59),
    Call(3, second=60, model="other"),
    Call(4, second=3_600, initiator=UUID(int=5)),
    Call(5, second=7_200),
]


class Prices:
    """A token, and a search, costs as many micro-dollars as is set; a model may have no price."""

    def __init__(self):
        self.usd = 3
        self.version = "v1"

    def cost(self, provider_name, model, usages, at):
        if not usages or "unknown" in {model, *(usage.model for usage in usages)}:
            return None
        tokens = sum((usage.input_tokens or 0) + web_searches(usage.usage) for usage in usages)
        return Cost((Decimal(tokens * self.usd) / 10**6).quantize(PRECISION), f"table {self.usd}")

    async def newest(self):
        return self.version


@pytest.fixture
def clock():
    return Clock(MIDNIGHT + DAY)


@pytest.fixture
def prices():
    return Prices()


@pytest.fixture
def few_at_once(monkeypatch, prices):
    monkeypatch.setattr(module, "BATCH", 2)
    return prices


@pytest.fixture
def jobs(database, clock):
    return Recosts(database, now=clock)


@pytest.fixture
def recosting(database, clock, prices):
    return Recosting(database, prices.cost, prices.newest, holder=uuid4(), now=clock)


async def count(database):
    await derive(database, now=lambda: MIDNIGHT + DAY)


async def recorded(database, calls=CALLS, **ends):
    await write(database, *(one for call in calls for one in (call.start, call.end(call.number, **ends))))
    await count(database)


async def begin(recosting, clock):
    """Wait until every server follows the prices, and begin."""
    assert await recosting.step() == IDLE_SECONDS
    clock.time += FOLLOWED
    assert await recosting.step() == BATCH_PAUSE_SECONDS


async def finish(recosting, jobs):
    while (job := (await jobs.list_newest())[0]).state is RecostState.RUNNING:
        await recosting.step()
    return job


async def sessions(database):
    return {one["_id"]: one["cost"].to_decimal() async for one in database.sessions.find({"cost": {"$exists": True}})}


async def test_calls_cost_what_prices_say_now_and_totals_and_sessions_follow(
    database, recosting, jobs, clock, monkeypatch
):
    monkeypatch.setattr(module, "BATCH", 2)
    await recorded(database, [*CALLS[:2], *CALLS[3:]])
    await recorded(
        database, CALLS[2:3], took=86_342
    )  # two seconds after the request, at a server with the prices before
    assert await recosting.step() == IDLE_SECONDS
    requested = await jobs.request(MIDNIGHT, MIDNIGHT + 2 * 3_600 * SECOND)
    await begin(recosting, clock)
    job = await finish(recosting, jobs)
    assert (job.id, job.state, job.total, job.done, job.changed, job.skipped) == (
        *(requested.id, RecostState.DONE, 4, 4, 4, 0),
    )
    assert (job.before, job.after) == (Decimal("0.000010000000"), Decimal("0.000030000000"))
    assert (job.prices_version, job.requested_at, job.ended_at) == ("v1", MIDNIGHT + DAY, clock.time)
    costs = [one["cost"]["usd"].to_decimal() * 10**6 async for one in database.interceptions.find().sort("_id")]
    assert costs == [3, 6, 9, 12, 5]
    first = await database.interceptions.find_one({"_id": UUID(int=1)})
    assert first["earlier_costs"] == [
        {"usd": Decimal128("0.000001000000"), "prices": "table 1", "replaced_at": clock.time}
    ]
    await count(database)
    await has_counted_all(database)
    assert sorted(usd * 10**6 for usd in (await sessions(database)).values()) == [12, 23]


@pytest.mark.expects_log("the call 00000000-0000-0000-0000-000000000002 cannot be priced: TypeError")
async def test_a_call_that_cannot_be_read_keeps_its_cost_and_the_others_are_priced(database, recosting, jobs, clock):
    await recorded(database, CALLS[:3])
    unreadable = {"$set": {"token_usages.0.input_tokens": "two"}}
    await database.interceptions.update_one({"_id": UUID(int=2)}, unreadable)
    await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    await begin(recosting, clock)
    assert (await finish(recosting, jobs)).changed == 2
    costs = [one["cost"]["usd"].to_decimal() * 10**6 async for one in database.interceptions.find().sort("_id")]
    assert costs == [3, 2, 9]


async def test_a_call_gets_a_price_that_had_none_and_keeps_one_that_is_not_known_now(database, recosting, jobs, clock):
    unpriced, unknown, silent, advised, searched = Call(7), Call(8, model="unknown"), *map(Call, (9, 10, 11))
    await write(database, unpriced.start, unpriced.end(7, priced=False), unknown.start, unknown.end(8))
    await write(
        database, silent.start, silent.end(None), advised.start, advised.end(7), searched.start, searched.end(7)
    )
    advice = {"$push": {"token_usages": {"model": "unknown", **dict.fromkeys(TOKENS, 1)}}}
    await database.interceptions.update_one({"_id": advised.id}, advice)
    searches = {"token_usages.0.metadata.usage": '{"server_tool_use":{"web_search_requests":2}}'}
    await database.interceptions.update_one({"_id": searched.id}, {"$set": searches})
    document = await database.interceptions.find_one({"_id": advised.id})
    await database.interceptions.update_one({"_id": advised.id}, {"$set": figures_of(document)})
    await count(database)
    await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    await begin(recosting, clock)
    job = await finish(recosting, jobs)
    # Of the last two: what was kept for one, and 7 tokens and 2 searches at 3 for the other.
    assert (job.done, job.changed, job.before, job.after) == (5, 2, Decimal("0.000022"), Decimal("0.000063"))
    await count(database)
    await has_counted_all(database)
    before = {
        one["_id"].int: [cost["usd"] for cost in one.get("earlier_costs", ())]
        async for one in database.interceptions.find()
    }
    assert before == {7: [None], 8: [], 9: [], 10: [], 11: [Decimal128("0.000007000000")]}


async def test_calls_in_flight_later_ones_and_presumed_ends_keep_their_cost(database, recosting, jobs, clock):
    flying, late, dead = Call(7), Call(8, second=86_399), Call(9)
    await write(database, flying.start, late.start, dead.start, dead.checkpoint(9), dead.presumed_end())
    await count(database)
    await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    await write(database, late.end(8, took=20))  # ends 19 seconds after the request
    await begin(recosting, clock)
    job = await finish(recosting, jobs)
    assert (job.total, job.done, job.changed, job.skipped) == (1, 1, 0, 1)
    await write(database, dead.end(10))
    await count(database)
    await has_counted_all(database)


async def test_another_process_goes_on_where_a_dead_one_stopped(database, recosting, jobs, clock, few_at_once):
    await recorded(database)
    await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    await begin(recosting, clock)
    await recosting.step()
    other = Recosting(database, few_at_once.cost, few_at_once.newest, holder=uuid4(), now=clock)
    assert (await other.step(), (await jobs.list_newest())[0].done) == (IDLE_SECONDS, 2)
    clock.time += (LEASE_SECONDS + 1) * SECOND
    await other.step()
    assert (await jobs.list_newest())[0].done == 4
    assert await recosting.step() == IDLE_SECONDS  # it has lost the job
    job = await finish(other, jobs)
    assert (job.done, job.changed) == (5, 5)
    await count(database)
    await has_counted_all(database)


async def test_a_cancelled_job_ends_where_it_is_and_another_one_may_follow(
    database, recosting, jobs, clock, monkeypatch
):
    monkeypatch.setattr(module, "BATCH", 2)
    await recorded(database, CALLS[:3])
    job = await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    with pytest.raises(IdentityConflictError, match=ONE_AT_A_TIME):
        await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    await begin(recosting, clock)
    await recosting.step()
    cancelled = await jobs.cancel(job.id)
    assert (cancelled.state, cancelled.done, await recosting.step()) == (RecostState.CANCELLED, 2, IDLE_SECONDS)
    assert await jobs.find(job.id) == cancelled
    with pytest.raises(IdentityConflictError, match=ENDED):
        await jobs.cancel(job.id)
    for unknown in (jobs.find, jobs.cancel):
        with pytest.raises(UnknownIdentityError, match=UNKNOWN):
            await unknown(uuid4())
    await count(database)
    await has_counted_all(database)
    at_once = (jobs.request(MIDNIGHT, MIDNIGHT + DAY) for _ in range(2))
    requested = await asyncio.gather(*at_once, return_exceptions=True)
    assert [str(one) for one in requested if isinstance(one, IdentityConflictError)] == [ONE_AT_A_TIME]
    actions = [entry["action"] async for entry in database.audit.find()]
    assert sorted(actions) == ["recost.cancelled", "recost.requested", "recost.requested"]


async def test_calls_that_are_too_many_to_count_are_priced_all_the_same(database, clock, prices, jobs, monkeypatch):
    monkeypatch.setattr(module, "COUNT_SECONDS", 0.000_001)
    await recorded(database, CALLS[:1])
    await jobs.request(MIDNIGHT, MIDNIGHT + DAY)
    recosting = Recosting(database, prices.cost, prices.newest, holder=uuid4(), now=clock)
    clock.time += FOLLOWED
    for _ in range(3):
        await recosting.step()
    (job,) = await jobs.list_newest()
    assert (job.state, job.total, job.done, job.changed) == (RecostState.DONE, None, 1, 1)
