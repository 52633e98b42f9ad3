"""Servers that lose the database decide alone, within their shares, and return."""

from __future__ import annotations

import asyncio
import time

import pytest

from limits.limit import SLOT_RETRY_NS
from storage.admission.cluster import RETURN_SECONDS, uptime_ns
from storage.admission.kinds.parameters import MS
from tests.storage.admission.cluster.servers import (
    ALONE,
    HIDDEN_NS,
    SHORT_ROUND_SECONDS,
    admitted,
    beat,
    burst,
    cut_off,
    ledgers,
    rate,
    servers,
    slots,
    two_with_a_clock,
)
from tests.storage.conditions import until

pytest_plugins = ["tests.storage.outages"]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_without_the_database_servers_go_on_at_their_pace_then_with_their_share(
    private_database, private_mongodb
):
    async with two_with_a_clock(private_database) as (ada, bob, later):
        assert admitted(await burst([ada, bob], 20, [rate(100)])) == 40
        private_mongodb.freeze()
        later[0] = HIDDEN_NS
        began = time.monotonic()
        refused = await burst([ada, bob], 100, [rate(100)])
        assert time.monotonic() - began < 20 * SHORT_ROUND_SECONDS
        assert ada.unavailable
        assert admitted(refused) == 0  # the other one may have used up what was left
        assert {decision.refused_by.remaining for decision in refused} == {0}
        assert all(0 < decision.retry_after_ns <= 63_000 * MS for decision in refused)
        later[0] += 64_000 * MS  # nobody else admitted more than a share in the window that ends now
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 100
        assert admitted(await burst([ada, bob], 100, [rate(101, key="token:new")])) == 101
        private_mongodb.thaw()
        while ada.unavailable or bob.unavailable:
            await beat(ada, bob)
            later[0] += 100 * MS
        used = {state.limit.key: state.used for state in await ada.usage(9)}
        assert (used["token:a"] >= 100, used["token:new"]) == (True, 101)
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 0


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_what_one_server_may_admit_that_is_cut_off_is_left_to_it(database):
    async with two_with_a_clock(database) as (ada, bob, later):
        assert admitted(await burst([ada, bob], 30, [rate(100)])) == 60
        store = bob._store
        cut_off(bob)
        later[0] = HIDDEN_NS
        await beat(bob)
        await beat(ada)
        both = await burst([ada, bob], 100, [rate(100)])
        assert (admitted(both), {decision.refused_by.remaining for decision in both}) == (0, {0})
        later[0] += 61_000 * MS
        assert admitted(await burst([ada, bob], 100, [rate(101, key="token:new")])) == 101
        bob._store = bob._presence._store = bob._rounds._store = store
        while bob.unavailable or bob._permits.unreported:
            await beat(bob, ada)
            later[0] += 100 * MS
        await beat(bob, ada)
        assert {state.limit.key: state.used for state in await ada.usage(9)}["token:new"] == 101
        assert admitted(await burst([ada, bob], 100, [rate(150, key="token:new")])) == 49


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test
async def test_requests_wait_until_the_others_leave_a_server_its_share(database):
    async with two_with_a_clock(database) as (ada, bob, later):
        cut = cut_off(bob)
        waiting = [asyncio.ensure_future(bob.start([slots(8), rate(100)])) for _ in range(9)]
        beating = asyncio.ensure_future(bob._beat())
        await until(lambda: cut.requests > 9)
        assert not bob.unavailable
        assert not any(task.done() for task in waiting)
        later[0] = HIDDEN_NS
        await asyncio.wait([*waiting, beating])
        assert bob.unavailable
        assert admitted([task.result() for task in waiting]) == 0  # no pace was known
        later[0] += 61_000 * MS
        # A share of each, and the greater one of the limit that cannot be shared out evenly.
        rest = await burst([bob], 9, [slots(8), rate(9)])
        assert admitted(rest) in {4, 5}
        assert bob.reports() == []
        cut_off(ada)
        await beat(ada)
        later[0] += 61_000 * MS  # the one that has the share of it may be either
        one = await burst([ada, bob], 1, [rate(1, key="token:one")])
        assert admitted(one) == 1
        (refused,) = [decision for decision in one if decision.ticket is None]
        assert (refused.refused_by.remaining, refused.retry_after_ns) == (0, SLOT_RETRY_NS)


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test
async def test_the_only_server_has_the_whole_limit_when_it_decides_alone(database):
    async with servers(1, database) as (ada,):
        assert admitted(await burst([ada], 20, [rate(60)])) == 20
        cut_off(ada)
        assert admitted(await burst([ada], 100, [rate(60), slots(30)])) == 30
        assert ada.unavailable
        assert admitted(await burst([ada], 100, [rate(60)])) == 10
        assert admitted(await burst([ada], 100, [rate(60, key="token:new")])) == 60


@pytest.mark.parametrize("maximum", [60, 1_000])
@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test
async def test_what_was_asked_for_when_the_database_was_lost_is_not_used_up(database, maximum):
    async with servers(1, database) as (ada,):
        assert admitted(await burst([ada], 20, [rate(maximum)])) == 20
        cut_off(ada)
        keys = [[rate(maximum)], [rate(maximum, key="token:new")]]
        first = await asyncio.gather(*(burst([ada], 15, limits) for limits in keys))
        assert [admitted(one) for one in first] == [15, 15]
        assert ada.unavailable
        rest = [admitted(await burst([ada], maximum, limits)) for limits in keys]
        assert rest == [maximum - 35, maximum - 15]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_servers_that_return_one_after_the_other_do_not_exceed_a_limit(private_database, private_mongodb):
    async with two_with_a_clock(private_database) as (ada, bob, later):
        private_mongodb.freeze()
        later[0] = HIDDEN_NS
        assert admitted(await burst([ada, bob], 1, [rate(100)])) == 0
        later[0] += 61_000 * MS
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 100
        private_mongodb.thaw()
        while not await ledgers(private_database):  # ada is back, bob does not know it yet
            await beat(ada)
        assert ada.unavailable
        assert admitted(await burst([ada], 100, [rate(100)])) == 0
        await beat(bob)
        later[0] += round(RETURN_SECONDS * 1000) * MS
        while ada.unavailable or bob.unavailable:
            await beat(ada, bob)
        assert [state.used for state in await ada.usage(9)] == [100]
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 0


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_returns_first_grants_a_new_key_its_share(private_database, private_mongodb):
    async with two_with_a_clock(private_database) as (ada, bob, later):
        private_mongodb.freeze()
        later[0] = HIDDEN_NS
        keys = [rate(100), rate(100, key="token:new")]
        assert admitted(await burst([ada, bob], 1, keys[:1])) == 0
        later[0] += 61_000 * MS
        assert admitted(await burst([bob], 100, keys[:1])) == 50
        private_mongodb.thaw()
        while ada.unavailable:
            await beat(ada)
            later[0] += 500 * MS
        assert bob.unavailable  # and nobody knows yet what it admitted
        assert [admitted(await burst([ada], 100, [one])) for one in keys] == [50, 50]
        while bob.unavailable or bob._permits.unreported:
            await beat(bob, ada)
            later[0] += 500 * MS
        await beat(bob, ada)
        assert [admitted(await burst([ada, bob], 100, [one])) for one in keys] == [0, 50]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test
async def test_keys_that_are_idle_for_a_window_are_forgotten_alone_too(database):
    later = [0]
    options = {"round_seconds": SHORT_ROUND_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(1, database, **options) as (ada,):
        store = ada._store
        cut_off(ada)
        while not ada.unavailable:
            await beat(ada)
        kept = []
        for seconds in (30, 65):
            for number in range(20):
                await ada.start([rate(9, key=f"address:{seconds}.{number}")])
            later[0] += seconds * 1_000 * MS
            await beat(ada)
            kept.append(len(ada._permits._accounts))
        assert kept == [20, 0]
        ada._store = ada._presence._store = ada._rounds._store = store
