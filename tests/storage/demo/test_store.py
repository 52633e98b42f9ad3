"""The demo company is filled in beside a database, derived as real records are, and removed without a trace."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import uuid4

import pytest

from intercept.refusals import Rule
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.demo.company import company
from storage.demo.sessions import InventedPerson, refusals_of
from storage.demo.store import STALE, DemoState, DemoStore
from tests.clock import Clock
from tests.derived import derived_job

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)  # a Friday
LINKS = ("parent_id", "root_id", "session_id")


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def store(io_loop, database, clock):
    store = DemoStore(database, now=clock, days=2)
    yield store
    io_loop.run_sync(store.clear)


async def counts_of(database):
    names = [name for name in type(database).__annotations__ if name != "health"]
    counts = {name: await getattr(database, name).count_documents({}) for name in names}
    return {name: count for name, count in counts.items() if count}


async def test_it_is_filled_in_beside_the_database_and_removed_without_a_trace(store, database):
    assert (await store.read()).state is DemoState.NONE
    steps = []
    assert await store.fill(await store.begin(), steps.append)
    assert steps == sorted(steps)
    assert steps[-1] == 1
    demo, records = await store.read(), store.records
    assert (demo.state, demo.progress) == (DemoState.FILLED, 1)
    counts = await counts_of(records)
    assert counts["users"] == counts["tokens"] == 25 >= counts["token_uses"] > 20
    assert (counts["groups"], counts["policies"], counts["prices"]) == (5, 3, 1)
    assert demo.calls == counts["interceptions"] > 500
    assert min(counts[name] for name in ("sessions", "search_segments", "refusals", "audit")) > 0
    everyone = [
        {"$match": {"level": "everyone", "bucket": "day"}},
        {"$group": {"_id": 0, "n": {"$sum": "$interceptions"}}},
    ]
    assert await records.rollups.aggregate(everyone).to_list(1) == [{"_id": 0, "n": demo.calls}]
    assert [one["ended_at"] <= NOW async for one in records.interceptions.find({}, {"ended_at": True})]
    group, policy = await records.groups.find_one({"name": "platform"}), {"policy.limits.together": {"$exists": True}}
    (budget,) = [one["policy"]["limits"]["together"]["budget"] async for one in records.policies.find(policy)]
    priced = records.interceptions.find({"group_ids": group["_id"], "cost": {"$ne": None}})
    spent = sum([one["cost"]["usd"].to_decimal() async for one in priced])
    assert (budget["period"], 0.9 < spent / Decimal(budget["usd"]) < 0.96) == ("month", True)
    assert await counts_of(database) == {"audit": 1}
    async with records.demo.database.watch([{"$match": {"operationType": "drop"}}]) as drops:
        await store.remove()
        dropped = [(await drops.next())["ns"]["coll"]]
        while drop := await drops.try_next():
            dropped.append(drop["ns"]["coll"])
    assert dropped[-1] == "demo"  # so that nobody who fills it in anew loses anything to this removal
    assert await counts_of(records) == {}
    assert {one["action"] async for one in database.audit.find()} == {"demo.filled", "demo.removed"}
    with pytest.raises(UnknownIdentityError, match="there is no demo company"):
        await store.remove()


async def test_what_it_leaves_no_job_to_do_is_as_the_job_would_have_done_it(store):
    await store.fill(await store.begin())
    calls = store.records.interceptions
    asking = {"$or": [{"answered_tool_call_id": {"$ne": None}}, {"tool_results": {"$exists": True}}]}
    linked = {one["_id"]: one async for one in calls.find({"parent_id": {"$exists": True}}).limit(200)}
    assert linked
    assert await calls.count_documents(asking) == await calls.count_documents({"parent_id": {"$exists": True}})
    await calls.update_many(asking, {"$unset": {"parent_id": 1, "root_id": 1}})
    await derived_job(store.records).recount(NOW - timedelta(days=90))
    async for one in calls.find({"_id": {"$in": list(linked)}}):
        assert {name: one.get(name) for name in LINKS} == {name: linked[one["_id"]].get(name) for name in LINKS}


async def test_one_fills_it_in_at_a_time_until_that_was_broken_off(store, clock):
    first = await store.begin()
    with pytest.raises(IdentityConflictError, match="the demo company is being filled in or removed"):
        await store.begin()
    clock.time += STALE + timedelta(seconds=1)
    assert (await store.read()).state is DemoState.NONE
    assert (await store.begin()).fill != first.fill
    assert not await store.fill(first)  # whoever had begun before leaves it to the other one
    assert (await store.read()).state is DemoState.FILLING


def test_refusals_are_answered_as_a_bridge_answers_them():
    described, random = company(), Random(1)
    people = [InventedPerson(uuid4(), team, uuid4(), "token") for team in described.teams]
    days = [NOW.date() - timedelta(days=day) for day in range(30)]
    refused = [one for day in days for one in refusals_of(described, people, random, day, NOW)]
    assert {(one.rule, one.status, one.retry_after_ms is None) for _, one in refused} == {
        (Rule.POLICY_RATE, 429, False),
        (Rule.USER_CONCURRENCY, 429, False),
        (Rule.POLICY_BUDGET, 403, True),
        (Rule.MODEL_NOT_ALLOWED, 403, True),
    }
    assert max(at for at, _ in refused) <= NOW
