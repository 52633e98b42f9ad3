"""Servers that lose the database decide alone, within their shares, and return."""

import time

import pytest

from storage.admission.ledger import MS
from tests.storage.admission.cluster.servers import (
    ALONE,
    MISSING_SECONDS,
    SHORT_ROUND_SECONDS,
    admitted,
    beat,
    burst,
    cut_off,
    join_again,
    rate,
    servers,
    slots,
    two_with_a_clock,
)


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_without_the_database_each_server_has_its_share_and_reports_what_it_admitted(
    private_database, private_mongodb
):
    async with two_with_a_clock(private_database) as (ada, bob, later):
        assert admitted(await burst([ada, bob], 20, [rate(100)])) == 40
        private_mongodb.freeze()
        began = time.monotonic()
        decisions = await burst([ada, bob], 100, [rate(100)])
        assert time.monotonic() - began < 20 * SHORT_ROUND_SECONDS
        assert (ada.unavailable, bob.unavailable) == (True, True)
        assert admitted(decisions) == 60  # with the 20 that each had before, its share
        refused = [decision for decision in decisions if decision.ticket is None]
        assert {(one.refused_by.remaining, one.refused_by.limit.maximum) for one in refused} == {(0, 100)}
        assert all(0 < decision.retry_after_ns <= 60_000 * MS for decision in refused)
        later[0] += 61_000 * MS
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 100
        assert admitted(await burst([ada, bob], 100, [rate(101, key="token:new")])) == 101
        private_mongodb.thaw()
        while ada.unavailable or bob.unavailable:
            await beat(ada, bob)
            later[0] += 500 * MS
        await beat(ada, bob)
        used = {state.limit.key: state.used for state in await ada.usage(9)}
        assert (used["token:a"] >= 100, used["token:new"]) == (True, 101)
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 0


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_what_one_server_may_admit_that_is_cut_off_is_left_to_it(database):
    async with two_with_a_clock(database) as (ada, bob, later):
        await beat(ada)
        cut_off(bob)
        await beat(bob)
        later[0] += round(MISSING_SECONDS * 1000) * MS
        await beat(ada)
        limits = [rate(100), slots(8)]
        assert [admitted(await burst([one], 100, limits)) for one in (ada, bob)] == [4, 4]
        assert [admitted(await burst([one], 100, limits[:1])) for one in (ada, bob)] == [46, 46]
        join_again(bob, database)
        while bob.unavailable:
            await beat(bob, ada)
            later[0] += 500 * MS
        await beat(bob, ada)
        assert admitted(await burst([ada, bob], 100, limits)) == 0
        assert admitted(await burst([ada, bob], 100, [rate(150)])) == 50


@pytest.mark.expects_log(ALONE)
async def test_the_only_server_has_the_whole_limit_when_it_decides_alone(database):
    async with servers(1, database, round_seconds=SHORT_ROUND_SECONDS) as (ada,):
        held = await burst([ada], 20, [rate(60), slots(30)])
        assert admitted(held) == 20
        cut_off(ada)
        assert admitted(await burst([ada], 100, [rate(60), slots(30)])) == 10
        assert ada.unavailable
        ada.end(held[0].ticket)
        assert admitted(await burst([ada], 100, [rate(60), slots(30)])) == 1
        assert admitted(await burst([ada], 100, [rate(60)])) == 29
        assert (await ada.start([rate(60)])).ticket is None
