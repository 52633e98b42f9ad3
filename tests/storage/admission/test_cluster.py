from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from intercept.refusals import Rule
from limits.kinds.calendar import bounds_of
from limits.limit import SLOT_RETRY_NS, UNLIMITED, Amounts, Kind, Limit, Of, Period
from storage.admission.account import MS
from storage.admission.cluster import LEASE_SECONDS, ClusterAuthority, uptime_ns
from storage.admission.own_pauses import OwnPauseError, answer_within
from tests.storage.conditions import until

pytest_plugins = ["tests.storage.outages"]

ROOT = Path(__file__).parents[3]
# On a machine that has much else to do a late answer is no database that is unavailable.
PATIENCE_SECONDS = 30.0
SHORT_PATIENCE_SECONDS = 0.5
ALONE = r"^WARNING storage\.admission\.cluster: limits are server-local until the database is available: "


def rate(maximum, window_s=60, key="token:a"):
    return Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=round(window_s * 1000) * MS)


def slots(maximum, key="server"):
    return Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, key, maximum)


def tokens(maximum, *, reserve=False):
    return Limit(Kind.TOKENS, Rule.USER_TOKENS, Of.USER, "user:u", maximum, window_ns=60_000 * MS, reserve=reserve)


def budget(maximum):
    return Limit(Kind.BUDGET, Rule.USER_BUDGET, Of.USER, "user:u", maximum, period=Period.MONTH)


@asynccontextmanager
async def servers(number, database, *, patience=PATIENCE_SECONDS, **options):
    """So many servers of a cluster, which send heartbeats when `beat` is called."""
    started = [ClusterAuthority(database, process=uuid4(), patience=patience, **options) for _ in range(number)]
    for one in started:
        await one.open(lambda: {"holding": 0})
    yield started
    for one in started:
        await one.close()


async def beat(*authorities):
    for one in authorities:
        one._permits.tick()
        await one._beat()
        one._work()
    await until(lambda: not any(one._rounds for one in authorities))


async def burst(authorities, number, limits):
    return await asyncio.gather(*(one.start(limits) for one in authorities for _ in range(number)))


def admitted(decisions):
    return sum(decision.ticket is not None for decision in decisions)


async def ledgers(database):
    return await database.limit_ledgers.count_documents({"log": {"$ne": [], "$exists": True}})


async def commands(database):
    status = await database._client.admin.command("serverStatus")
    return sum(status["metrics"]["commands"][name]["total"] for name in ("find", "update", "insert"))


@pytest.mark.gen_test(timeout=30)
async def test_of_a_burst_on_three_servers_the_limit_is_admitted(database):
    async with servers(3, database) as three:
        decisions = await burst(three, 100, [rate(100)])
        assert admitted(decisions) == 100
        refused = [decision for decision in decisions if decision.ticket is None]
        assert {decision.refused_by.remaining for decision in refused} == {0}
        assert all(0 < decision.retry_after_ns <= 60_000 * MS for decision in refused)
        assert admitted(await burst(three, 30, [rate(1000, key="token:b")])) == 90


@pytest.mark.gen_test(timeout=30)
async def test_far_from_a_limit_nobody_is_asked(database):
    async with servers(1, database) as (one,):
        await burst([one], 50, [rate(100_000)])
        await burst([one], 50, [rate(100_000)])
        before = await commands(database)
        for _ in range(2_000):
            assert (await one.start([rate(100_000)])).ticket is not None
        assert await commands(database) - before < 200


@pytest.mark.gen_test(timeout=30)
async def test_what_is_taken_ahead_and_not_used_is_given_back(database):
    async with servers(2, database) as (ada, bob):
        await burst([ada], 10, [rate(100, 4)])
        await burst([ada], 10, [rate(100, 4)])
        (account,) = ada._permits._accounts.values()
        ahead = account.left()
        assert ahead > 0
        await until(lambda: not account.left())
        await beat(ada)
        assert admitted(await burst([bob], 100, [rate(100, 4)])) == 80


@pytest.mark.gen_test(timeout=30)
async def test_a_request_that_one_limit_refuses_counts_for_none(database):
    async with servers(2, database) as (ada, bob):
        both = [rate(5), slots(50)]
        assert admitted(await burst([ada], 9, both)) == 5
        refused = (await burst([bob], 1, both))[0]
        assert (refused.refused_by.limit.kind, refused.refused_by.remaining) == (Kind.RATE, 0)
        assert refused.states[1].used >= 5
        assert admitted(await burst([bob], 60, [slots(50)])) == 45


@pytest.mark.gen_test(timeout=30)
async def test_waiting_as_long_as_a_refusal_says_succeeds(database):
    async with servers(2, database) as (ada, bob):
        limits = [rate(1, 0.4)]
        for _ in range(3):
            await ada.start(limits)
            refused = await bob.start(limits)
            assert refused.ticket is None
            await asyncio.sleep(refused.retry_after_ns / 1e9 + 0.002)  # the clock of the database has milliseconds
            assert (await bob.start(limits)).ticket is not None
            await asyncio.sleep(0.41)


@pytest.mark.gen_test(timeout=30)
async def test_slots_are_shared_and_those_given_back_near_the_limit_are_free_at_once(database):
    async with servers(2, database) as (ada, bob):
        held = await burst([ada, bob], 10, [slots(8)])
        assert admitted(held) == 8
        refused = await bob.start([slots(8)])
        assert (refused.refused_by.used, refused.retry_after_ns) == (8, SLOT_RETRY_NS)
        for one, decision in zip([ada] * 10 + [bob] * 10, held, strict=True):
            if decision.ticket is not None:
                one.end(decision.ticket)
        await until(lambda: not (ada._rounds or bob._rounds))
        assert admitted(await burst([bob], 9, [slots(8)])) == 8


@pytest.mark.gen_test(timeout=30)
async def test_the_slots_of_a_dead_server_are_free_when_its_lease_is_over(database):
    async with servers(1, database, lease=0.3) as (ada,):
        dead = ClusterAuthority(database, process=uuid4(), patience=PATIENCE_SECONDS)
        await dead.open()
        assert admitted(await burst([dead], 8, [slots(8)])) == 8
        began = time.monotonic()
        while admitted(await burst([ada], 1, [slots(8)])) == 0:
            await beat(ada)
        assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.gen_test(timeout=30)
async def test_what_others_charged_is_known_after_a_heartbeat(database):
    async with servers(2, database) as (ada, bob):
        limits = [tokens(1_000), budget(5_000)]
        first, second = await ada.start(limits), await bob.start(limits)
        ada.charge(first.ticket, Amounts(600, 1_000))
        ada.charge(first.ticket, Amounts(900, 3_000))
        bob.charge(second.ticket, Amounts(200, 500))
        for one in (ada, bob, ada):
            await beat(one)
        refused = await ada.start(limits)
        assert (refused.refused_by.limit.kind, refused.refused_by.used) == (Kind.TOKENS, 1_100)
        assert [state.used for state in refused.states] == [1_100, 3_500]
        assert 0 < refused.retry_after_ns <= 60_000 * MS
        assert sorted(state.used for state in await bob.usage(5)) == [1_100, 3_500]


def this_month(months=0):
    begin = bounds_of(Period.MONTH, "UTC", time.time_ns()).begin_ns
    for _ in range(months):
        begin = bounds_of(Period.MONTH, "UTC", begin - 1).begin_ns
    return begin


@pytest.mark.gen_test(timeout=30)
async def test_what_the_records_say_of_a_budget_counts_once_for_all_servers(database):
    async with servers(3, database) as three:
        ticket = (await three[0].start([budget(5_000)])).ticket
        three[0].charge(ticket, Amounts(0, 700))  # reported, or not yet, when the others restore it
        for one, spent in zip(three, (3_000, 3_100, 3_000), strict=True):
            one.restore(budget(5_000), spent, this_month())
            one.restore(budget(5_000), 9_000, this_month(1))
        await until(lambda: not any(one._rounds for one in three))
        assert [state.used for state in await three[1].usage(5)] == [3_100]
        three[0].charge(ticket, Amounts(0, 1_700))
        await beat(*three)
        assert [state.used for state in await three[2].usage(5)] == [4_100]
    async with servers(1, database) as (again,):  # it starts again
        again.restore(budget(5_000), 3_800, this_month())
        assert (await again.start([budget(5_000)])).states[0].used == 4_100
        again.restore(budget(5_000), 5_000, this_month())
        refused = await again.start([budget(5_000)])
        assert (refused.refused_by.limit, refused.refused_by.used) == (budget(5_000), 5_000)


@pytest.mark.gen_test(timeout=30)
async def test_a_budget_that_was_only_restored_is_told_of_when_it_is_used(database):
    async with servers(2, database) as (ada, bob):
        ada.restore(budget(UNLIMITED), 3_000, this_month())
        await until(lambda: not ada._rounds)
        assert list(await bob.usage(5)) == []
        assert (await bob.start([budget(5_000)])).states[0].used == 3_000
        bob.restore(budget(UNLIMITED), 3_500, this_month())
        await beat(bob)
        assert [(state.limit, state.used) for state in await ada.usage(5)] == [(budget(5_000), 3_500)]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_a_budget_is_restored_when_the_database_is_back(private_database, private_mongodb):
    async with servers(1, private_database, patience=SHORT_PATIENCE_SECONDS) as (ada,):
        await ada.start([budget(5_000)])
        private_mongodb.freeze()
        ada.restore(budget(5_000), 5_000, this_month())
        while not ada.unavailable:
            await beat(ada)
        assert (await ada.start([budget(5_000)])).refused_by.used == 5_000
        private_mongodb.thaw()
        while not await ledgers(private_database):
            await beat(ada)
        assert [state.used for state in await ada.usage(9)] == [5_000]


@pytest.mark.gen_test(timeout=30)
async def test_what_is_reserved_elsewhere_is_held_back(database):
    async with servers(2, database) as (ada, bob):
        limits = [tokens(1_000, reserve=True)]
        first = await ada.start(limits, Amounts(700))
        refused = await bob.start(limits, Amounts(400))
        assert (refused.retry_after_ns, refused.states[0].reserved) == (SLOT_RETRY_NS, 700)
        ada.charge(first.ticket, Amounts(100), Amounts(0))
        ada.end(first.ticket)
        await beat(ada)
        await beat(bob)
        assert (await bob.start(limits, Amounts(400))).states[0].used == 100


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_while_the_database_does_not_answer_each_server_admits_its_share(private_database, private_mongodb):
    async with servers(2, private_database, patience=SHORT_PATIENCE_SECONDS) as (ada, bob):
        await beat(ada, bob, ada)
        assert admitted(await burst([ada, bob], 20, [rate(100)])) == 40
        private_mongodb.freeze()
        began = time.monotonic()
        decisions = await burst([ada, bob], 100, [rate(100), rate(100, key="token:new")])
        assert time.monotonic() - began < 20 * SHORT_PATIENCE_SECONDS
        assert ada.unavailable
        assert 30 <= admitted(decisions) <= 60
        private_mongodb.thaw()
        while ada.unavailable or bob.unavailable:
            await beat(ada, bob)
        used = {state.limit.key: state.used for state in await ada.usage(9)}
        assert used["token:a"] >= 40 + admitted(decisions)
        assert admitted(await burst([ada, bob], 100, [rate(100)])) <= 60 - admitted(decisions)


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_servers_that_return_one_after_the_other_do_not_exceed_a_limit(private_database, private_mongodb):
    later = [0]
    options = {"patience": SHORT_PATIENCE_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(2, private_database, **options) as (ada, bob):
        await beat(ada, bob, ada)
        private_mongodb.freeze()
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 100
        private_mongodb.thaw()
        while not await ledgers(private_database):  # ada is back, bob does not know it yet
            await beat(ada)
        assert ada.unavailable
        assert admitted(await burst([ada], 100, [rate(100)])) == 0
        await beat(bob)
        later[0] = round(LEASE_SECONDS * 1000) * MS
        while ada.unavailable or bob.unavailable:
            await beat(ada, bob)
        assert [state.used for state in await ada.usage(9)] == [100]
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 0


@pytest.mark.gen_test
async def test_one_late_answer_does_not_open_a_limit(database, monkeypatch):
    async with servers(1, database) as (one,):
        read, failed = one._store.read, []

        async def late(names):
            if not failed:
                failed.append(True)
                raise TimeoutError
            return await read(names)

        monkeypatch.setattr(one._store, "read", late)
        assert admitted(await burst([one], 20, [rate(10)])) == 10
        assert failed
        assert not one.unavailable


@pytest.mark.gen_test
async def test_a_request_that_leaves_while_it_waits_holds_nothing(database):
    async with servers(1, database) as (one,):
        waiting = [asyncio.ensure_future(one.start([slots(3)])) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await until(lambda: not one._rounds)
        assert one._permits.requests == 0
        assert admitted(await burst([one], 5, [slots(3)])) == 3


@pytest.mark.gen_test
async def test_a_silent_other_side_is_told_from_a_pause_of_ones_own():
    async def silent():
        await asyncio.Event().wait()

    async def fails():
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - this process is paused
        raise ConnectionError

    with pytest.raises(TimeoutError):
        await answer_within(0.2, silent())
    with pytest.raises(OwnPauseError):
        await answer_within(0.2, fails())
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    with pytest.raises(OwnPauseError):
        await answer_within(0.2, silent())


@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_is_paused_four_times_never_opens_a_limit(mongodb_uri, database_name, database):
    paused = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.storage.admission.cluster_server", mongodb_uri, database_name),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with servers(1, database) as (ada,):
        limits, mine = [rate(100, 60)], 0
        for _ in range(4):
            await paused.stdout.readline()
            os.kill(paused.pid, signal.SIGSTOP)
            mine += admitted(await burst([ada], 10, limits))
            await asyncio.sleep(1.2)  # longer than any answer may take
            os.kill(paused.pid, signal.SIGCONT)
        paused.terminate()
        out, _ = await paused.communicate()
        theirs = json.loads(out.splitlines()[-1])
        assert theirs["alone"] == 0
        assert mine + theirs["admitted"] <= 100
        assert mine + admitted(await burst([ada], 100, limits)) + theirs["admitted"] <= 100
