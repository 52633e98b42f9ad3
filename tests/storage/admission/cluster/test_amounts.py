"""Tokens and budgets that servers share: charged, restored from the records, and reserved."""

import time

import pytest

from limits.calendar import bounds_of
from limits.limit import SLOT_RETRY_NS, UNLIMITED, Amounts, BudgetPeriod, LimitKind
from limits.protection.overload import OverloadProtection
from storage.admission.ledger import MS
from storage.admission.rounds import RESTORED_NS
from storage.mongo.clocks import uptime_ns
from tests.storage.admission.cluster.servers import (
    ALONE,
    SHORT_ROUND_SECONDS,
    beat,
    budget,
    cut_off,
    join_again,
    ledgers,
    rate,
    servers,
    slots,
    tokens,
)


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
        assert (refused.refused_by.limit.kind, refused.refused_by.used) == (LimitKind.TOKENS, 1_100)
        assert [state.used for state in refused.states] == [1_100, 3_500]
        assert 0 < refused.retry_after_ns <= 60_000 * MS
        assert sorted(state.used for state in await bob.usage(5)) == [1_100, 3_500]


async def test_every_server_tells_what_all_of_them_have_used(database):
    async with servers(2, database) as (ada, bob):
        limits = [slots(50), tokens(1_000), budget(5_000), rate(12)]
        ticket = (await ada.start(limits)).ticket
        told = []
        for nth in (1, 2):  # at first to one who never had these limits, and then to one who remembers them
            ada.charge(ticket, Amounts(100 * nth, 1_000 * nth))
            await beat(ada)
            told += [state.used for state in await OverloadProtection(authority=bob).states(limits)]
        assert told == [1, 100, 1_000, 1, 1, 200, 2_000, 1]


def this_month(months=0):
    begin = bounds_of(BudgetPeriod.MONTH, "UTC", time.time_ns()).begin_ns
    for _ in range(months):
        begin = bounds_of(BudgetPeriod.MONTH, "UTC", begin - 1).begin_ns
    return begin


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
        later[0] = RESTORED_NS
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


async def test_a_budget_that_was_only_restored_is_told_of_when_it_is_used(database):
    later = [0]
    async with servers(2, database, now_ns=lambda: uptime_ns() + later[0]) as (ada, bob):
        ada.restore(budget(UNLIMITED), 3_000, this_month())
        later[0] += RESTORED_NS
        await beat(ada)
        assert list(await bob.usage(5)) == []
        assert (await bob.start([budget(5_000)])).states[0].used == 3_000
        bob.restore(budget(UNLIMITED), 3_500, this_month())
        later[0] += RESTORED_NS
        await beat(bob)
        assert [(state.limit, state.used) for state in await ada.usage(5)] == [(budget(5_000), 3_500)]


@pytest.mark.expects_log(ALONE)
@pytest.mark.gen_test(timeout=60)
async def test_a_budget_is_restored_when_the_database_is_back(private_database, private_mongodb):
    later = [0]
    # Twice four rounds without an answer are an outage.
    options = {"round_seconds": 0.2, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(1, private_database, **options) as (ada,):
        await ada.start([budget(5_000)])
        private_mongodb.freeze()
        ada.restore(budget(5_000), 5_000, this_month())
        later[0] = RESTORED_NS
        while not ada.unavailable:
            await beat(ada)
        assert (await ada.start([budget(5_000)])).refused_by.used == 5_000
        private_mongodb.thaw()
        while not await ledgers(private_database):
            await beat(ada)
        assert [state.used for state in await ada.usage(9)] == [5_000]


@pytest.mark.expects_log(ALONE)
async def test_what_is_charged_alone_leaves_its_window_and_its_period(database):
    later = [0]
    options = {"round_seconds": SHORT_ROUND_SECONDS, "now_ns": lambda: uptime_ns() + later[0]}
    async with servers(1, database, **options) as (ada,):
        limits = [tokens(1_000), budget(5_000)]
        ticket = (await ada.start(limits)).ticket
        ada.charge(ticket, Amounts(700, 3_000))  # a round that fails has it
        cut_off(ada)
        while not ada.unavailable:
            await beat(ada)
        later[0] += 10_000 * MS
        ada.charge(ticket, Amounts(1_000, 5_000))
        later[0] += 20_000 * MS
        waits = [(await ada.start([tokens(maximum)])).retry_after_ns for maximum in (301, 300)]
        assert [round(wait / (10_000 * MS)) for wait in waits] == [3, 4]
        seen = []
        for seconds in (0, 61, 32 * 86_400):
            later[0] += seconds * 1_000 * MS
            seen.append([state.used for state in (await ada.start(limits)).states])
        assert seen == [[1_000, 5_000], [0, 5_000], [0, 0]]
        ada.charge(ticket, Amounts(1_200, 5_600))
        join_again(ada, database)
        while ada.unavailable:
            await beat(ada)
            later[0] += 100 * MS
        await beat(ada)
        assert next(state.used for state in await ada.usage(9) if state.limit.kind is LimitKind.TOKENS) == 200


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
