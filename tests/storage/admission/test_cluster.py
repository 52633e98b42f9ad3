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
from storage.admission.cluster import RETURN_SECONDS, ClusterAuthority, uptime_ns
from storage.admission.kinds.amount_account import TOLD_NS
from storage.admission.kinds.terms import MS
from storage.admission.ledger_store import BEAT_MS
from storage.admission.own_pauses import OwnPauseError, answer_within
from storage.admission.round import Snapshot
from storage.mongo.errors import DatabaseUnavailableError
from tests.storage.conditions import until

pytest_plugins = ["tests.storage.outages"]

ROOT = Path(__file__).parents[3]
# On a machine that has much else to do a late answer is no database that is unavailable.
PATIENCE_SECONDS = 30.0
SHORT_PATIENCE_SECONDS = 0.5
# As heartbeats are sent only when a test says so.
MISSING_SECONDS = 60.0
HIDDEN_NS = round(1000 * (MISSING_SECONDS + SHORT_PATIENCE_SECONDS)) * MS + 2 * BEAT_MS * MS
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
async def servers(number, database, *, patience=PATIENCE_SECONDS, missing=MISSING_SECONDS, **options):
    """So many servers of a cluster, which know of one another. They send heartbeats when `beat` is called."""
    started, opening = [], True

    async def pause(seconds):
        if not opening:
            await asyncio.sleep(seconds)
        for one in started if opening else ():
            await one._beat()

    for _ in range(number):
        one = ClusterAuthority(database, process=uuid4(), patience=patience, missing=missing, pause=pause, **options)
        await one.open(lambda: {"holding": 0})
        started.append(one)
    await pause(0)  # all know of all
    opening = False
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
async def test_a_new_or_rare_key_and_one_near_its_limit_cost_one_round_trip(database, monkeypatch):
    async with servers(2, database) as (ada, bob):
        looks = []
        for one in (ada, bob):
            look = one._store.look
            monkeypatch.setattr(one._store, "look", lambda names, look=look: looks.append(list(names)) or look(names))
        limits = [slots(50), tokens(1_000), budget(5_000), rate(12)]
        both = [await one.start(limits) for one in (ada, bob)]  # new to each of them
        assert [decision.states[3].remaining for decision in both] == [11, 10]
        assert looks == [[], []]
        for nth, one in enumerate((ada, bob, ada, bob, ada), 3):  # each changes once what the other one remembers
            assert (await one.start([rate(12)])).states[0].used == nth
        assert looks == [[]] * (2 + 2 + 2 + 3)
        before = ada.commands
        for nth in range(8, 13):  # nobody else changes it any more
            assert (await ada.start([rate(12)])).states[0].used == nth
        assert ada.commands - before == 6
        looks.clear()
        assert (await ada.start([rate(12)])).refused_by.remaining == 0
        assert (await bob.start([rate(12)])).refused_by.remaining == 0
        name = "rate:60000:token:a"
        assert [one for one in looks if one] == [[name], [name]]


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
            await asyncio.sleep(refused.retry_after_ns / 1e9 + 0.005)  # the clock of the database has milliseconds
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
    async with servers(2, database, lease=0.3, dead=0.3) as (ada, dead):
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
    later = [0]
    options = {"now_ns": lambda: uptime_ns() + later[0]}
    async with servers(3, database, **options) as three:
        ticket = (await three[0].start([budget(5_000)])).ticket
        three[0].charge(ticket, Amounts(0, 700))  # the records have it, the ledger does not
        for one, spent in zip(three, (3_000, 3_100, 3_000), strict=True):
            one.restore(budget(5_000), spent, this_month())
            one.restore(budget(5_000), 9_000, this_month(1))
        await beat(*three)
        assert [state.used for state in await three[1].usage(5)] == [700]
        assert (await three[1].start([budget(3_100)])).refused_by.used == 3_100  # it knows better already
        later[0] = TOLD_NS
        await beat(*three)
        assert [state.used for state in await three[1].usage(5)] == [3_100]
        three[0].charge(ticket, Amounts(0, 1_700))
        await beat(*three)
        assert [state.used for state in await three[2].usage(5)] == [4_100]
    async with servers(1, database, **options) as (again,):  # it starts again
        again.restore(budget(5_000), 3_800, this_month())
        assert (await again.start([budget(5_000)])).states[0].used == 4_100
        again.restore(budget(5_000), 5_000, this_month())
        refused = await again.start([budget(5_000)])
        assert (refused.refused_by.limit, refused.refused_by.used) == (budget(5_000), 5_000)


@pytest.mark.gen_test(timeout=30)
async def test_a_budget_that_was_only_restored_is_told_of_when_it_is_used(database):
    later = [0]
    async with servers(2, database, now_ns=lambda: uptime_ns() + later[0]) as (ada, bob):
        ada.restore(budget(UNLIMITED), 3_000, this_month())
        later[0] += TOLD_NS
        await beat(ada)
        assert list(await bob.usage(5)) == []
        assert (await bob.start([budget(5_000)])).states[0].used == 3_000
        bob.restore(budget(UNLIMITED), 3_500, this_month())
        later[0] += TOLD_NS
        await beat(bob)
        assert [(state.limit, state.used) for state in await ada.usage(5)] == [(budget(5_000), 3_500)]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_a_budget_is_restored_when_the_database_is_back(private_database, private_mongodb):
    later = [0]
    options = {"patience": SHORT_PATIENCE_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(1, private_database, **options) as (ada,):
        await ada.start([budget(5_000)])
        private_mongodb.freeze()
        ada.restore(budget(5_000), 5_000, this_month())
        later[0] = TOLD_NS
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


class Cut:
    """The database as a server sees it that is cut off from it."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = 0

    async def look(self, names):
        """What time it is can be known without the database."""
        told = self.clock.read()
        return Snapshot({}, *told) if told is not None and not names else await self.read(names)

    def __getattr__(self, name):
        async def ask(*_):
            self.asked += 1
            raise DatabaseUnavailableError("it is cut off")

        return ask


def cut_off(server):
    cut = Cut(server._store.clock)
    server._store = server._presence._store = cut
    return cut


@asynccontextmanager
async def two_with_a_clock(database):
    """Two servers, and by how many nanoseconds their clock is ahead."""
    later = [0]
    options = {"patience": SHORT_PATIENCE_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(2, database, **options) as (ada, bob):
        yield ada, bob, later


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
        assert time.monotonic() - began < 20 * SHORT_PATIENCE_SECONDS
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
        used = {state.limit.key: state.used for state in await ada.usage(9)}
        assert (used["token:a"] >= 100, used["token:new"]) == (True, 101)
        assert admitted(await burst([ada, bob], 100, [rate(100)])) == 0


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
        bob._store = bob._presence._store = store
        while bob.unavailable or bob._permits.untold:
            await beat(bob, ada)
        await beat(bob, ada)
        assert {state.limit.key: state.used for state in await ada.usage(9)}["token:new"] == 101
        assert admitted(await burst([ada, bob], 100, [rate(150, key="token:new")])) == 49


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=30)
async def test_requests_wait_until_the_others_leave_a_server_its_share(database):
    async with two_with_a_clock(database) as (ada, bob, later):
        cut = cut_off(bob)
        waiting = [asyncio.ensure_future(bob.start([slots(8), rate(100)])) for _ in range(9)]
        beating = asyncio.ensure_future(bob._beat())
        await until(lambda: cut.asked > 9)
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
@pytest.mark.gen_test(timeout=30)
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
@pytest.mark.gen_test(timeout=30)
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


@pytest.mark.gen_test(timeout=30)
async def test_one_that_starts_in_place_of_the_only_server_waits_until_that_is_dead(database):
    async with servers(1, database) as (gone,):
        assert admitted(await burst([gone], 8, [slots(8), rate(100)])) == 8
        began = time.monotonic()
        other = ClusterAuthority(database, process=uuid4(), patience=PATIENCE_SECONDS, lease=2.0)
        await other.open()
        assert time.monotonic() - began >= 2.0
        assert admitted(await burst([other], 100, [rate(100)])) == 92
        assert admitted(await burst([other], 9, [slots(8)])) == 8
        await other.close()


@pytest.mark.gen_test(timeout=30)
async def test_what_a_worker_admitted_alone_is_counted(database):
    async with servers(2, database) as (ada, bob):
        assert ada.start_now([rate(100)]) is None
        tickets = [ada.count([rate(100), slots(8)], charged=Amounts(5)) for _ in range(3)]
        await beat(ada, bob, ada, bob)
        assert {state.used for state in await bob.usage(5)} == {3}
        assert bob.reports() == [{"holding": 0}]
        for ticket in tickets:
            ada.end(ticket)
            ada.end(ticket)
        ada.charge(tickets[0], Amounts(7))


@pytest.mark.gen_test(timeout=30)
async def test_a_server_that_was_killed_frees_its_share_when_one_starts_in_its_folder(database, tmp_path):
    later = [0]
    async with servers(1, database, now_ns=lambda: uptime_ns() + later[0]) as (ada,):
        killed = ClusterAuthority(database, process=uuid4(), folder=tmp_path, pause=lambda _: ada._beat())
        await killed.open()
        await beat(ada)
        assert admitted(await burst([killed], 8, [slots(8)])) == 8
        later[0] = round(MISSING_SECONDS * 1000) * MS
        assert admitted(await burst([ada], 8, [slots(8)])) == 0
        assert admitted(await burst([ada], 100, [rate(100)])) == 50
        killed._presence.close()
        again = ClusterAuthority(database, process=uuid4(), folder=tmp_path, pause=lambda _: ada._beat())
        await again.open()
        await beat(again, ada, again, ada)
        assert admitted(await burst([ada], 8, [slots(8)])) == 8
        assert admitted(await burst([ada], 100, [rate(100)])) == 50
        await again.close()


@pytest.mark.gen_test(timeout=30)
async def test_what_is_left_to_a_dead_server_is_free_when_its_heartbeat_is_removed(database):
    later = [0]
    async with servers(1, database, now_ns=lambda: uptime_ns() + later[0]) as (ada,):
        killed = ClusterAuthority(database, process=uuid4(), pause=lambda _: ada._beat())
        await killed.open()
        await beat(ada)
        assert admitted(await burst([killed], 8, [slots(8)])) == 8
        later[0] = round(MISSING_SECONDS * 1000) * MS
        assert admitted(await burst([ada], 100, [slots(8), rate(100)])) == 0
        await database.limit_ledgers.delete_one({"_id": killed._store._id})
        await beat(ada)
        assert admitted(await burst([ada], 8, [slots(8)])) == 8
        assert admitted(await burst([ada], 100, [rate(100)])) == 100


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
        while bob.unavailable or bob._permits.untold:
            await beat(bob, ada)
            later[0] += 500 * MS
        await beat(bob, ada)
        assert [admitted(await burst([ada, bob], 100, [one])) for one in keys] == [0, 50]


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


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.gen_test
async def test_what_was_granted_without_an_answer_is_used_after_all(database, monkeypatch, before, written):
    async with servers(1, database) as (one,):
        assert admitted(await burst([one], before, [rate(10)])) == before
        write, failed = one._store.write, []

        async def late(changes):
            if failed:
                return await write(changes)
            failed.append(await write(changes) if written else True)
            raise TimeoutError

        monkeypatch.setattr(one._store, "write", late)
        assert admitted(await burst([one], 20, [rate(10)])) == 10 - before
        assert failed
        assert admitted(await burst([one], 5, [rate(10)])) == 0
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
async def test_an_event_loop_that_ends_is_given_nothing_more_to_do(database):
    async with servers(1, database) as (one,):
        waiting = [asyncio.ensure_future(one.start([slots(3)])) for _ in range(2)]
        for _ in range(2):  # until it has begun
            await asyncio.sleep(0)
        rounds = one._rounds
        rounds.cancel()
        await asyncio.wait({rounds})
        assert (rounds.cancelled(), one._rounds) == (True, None)
        await asyncio.gather(*waiting)


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
        running = asyncio.create_task(ada.run())
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
        assert theirs["admitted"] > 0
        running.cancel()
        await asyncio.wait({running})
