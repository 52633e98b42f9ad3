"""Servers that share limits while all of them reach the database."""

from msgspec import structs

from limits.limit import SLOT_RETRY_NS, Amounts, LimitKind
from storage.admission.ledger import MS
from tests.bridge import until
from tests.storage.admission.cluster.servers import (
    admitted,
    beat,
    budget,
    burst,
    rate,
    servers,
    slots,
    tokens,
)


async def test_of_a_burst_on_three_servers_the_limit_is_admitted(database):
    async with servers(3, database) as three:
        decisions = await burst(three, 100, [rate(100)])
        assert admitted(decisions) == 100
        refused = [decision for decision in decisions if decision.ticket is None]
        assert {decision.refused_by.remaining for decision in refused} == {0}
        assert all(0 < decision.retry_after_ns <= 60_000 * MS for decision in refused)
        assert admitted(await burst(three, 30, [rate(1000, key="token:b")])) == 90


async def test_a_request_that_one_limit_refuses_counts_for_none(database):
    async with servers(2, database) as (ada, bob):
        both = [rate(5), slots(50)]
        assert admitted(await burst([ada], 9, both)) == 5
        await until(lambda: not ada.busy)
        refused = (await burst([bob], 1, both))[0]
        assert (refused.refused_by.limit.kind, refused.refused_by.remaining) == (LimitKind.RATE, 0)
        assert refused.states[1].used >= 5
        await until(lambda: not bob.busy)
        assert admitted(await burst([bob], 60, [slots(50)])) == 45


async def test_slots_are_shared_and_those_given_back_near_the_limit_are_free_at_once(database):
    async with servers(2, database) as (ada, bob):
        held = await burst([ada, bob], 10, [slots(8)])
        assert admitted(held) == 8
        refused = await bob.start([slots(8)])
        assert (refused.refused_by.used, refused.retry_after_ns) == (8, SLOT_RETRY_NS)
        for one, decision in zip([ada] * 10 + [bob] * 10, held, strict=True):
            if decision.ticket is not None:
                one.end(decision.ticket)
        await until(lambda: not (ada.busy or bob.busy))
        assert admitted(await burst([bob], 9, [slots(8)])) == 8


async def test_a_burst_costs_two_commands_for_each_of_its_rounds(database):
    async with servers(2, database) as (ada, bob):
        limits = [slots(500), tokens(1_000), budget(5_000), rate(1_200)]
        before = ada.commands
        assert admitted(await burst([ada], 100, limits)) == 100
        assert ada.commands - before <= 4
        decisions = await burst([ada], 3, limits)
        assert [decision.states[3].remaining for decision in decisions] == [1_099, 1_098, 1_097]
        assert (await bob.start(limits)).states[3].used == 104


async def test_a_round_costs_one_command_where_little_is_used_and_every_ledger_was_just_read(database):
    async with servers(2, database) as (ada, bob):
        limits, costs, said = [slots(500), tokens(10_000), rate(1_000)], [], []
        while 1 not in costs:  # the ledgers are read again a second after they were read
            before = ada.commands
            decision = await ada.start(limits)
            costs.append(ada.commands - before)
            said.append(decision.states[2].used)
        assert costs[0] == 2
        assert said == [*range(1, len(said) + 1)]
        assert (await bob.start(limits)).states[2].used == len(said) + 1
        await burst([bob], 500, [rate(1_000)])
        before = ada.commands
        assert (await ada.start(limits)).states[2].used == len(said) + 502
        assert ada.commands - before == 2  # half is used


async def test_a_limit_that_became_less_is_read_again_where_half_of_it_is_used(database):
    async with servers(1, database) as (ada,):
        decision = await ada.start([slots(500), tokens(10_000)])
        ada.charge(decision.ticket, Amounts(tokens=3_000))
        await beat(ada)
        costs = []
        while 1 not in costs:
            before = ada.commands
            await ada.start([slots(500), tokens(10_000)])
            costs.append(ada.commands - before)
        before = ada.commands
        assert (await ada.start([slots(500), tokens(5_000)])).states[1].used == 3_000
        assert ada.commands - before == 2


async def test_what_another_limit_refuses_is_given_back_by_the_next_round(database):
    async with servers(2, database) as (ada, bob):
        await burst([ada], 5, [rate(100), slots(5)])
        assert admitted(await burst([ada], 50, [rate(100), slots(5)])) == 0
        await until(lambda: not ada.busy)
        assert admitted(await burst([bob], 100, [rate(100)])) == 95


async def test_limits_of_one_ledger_count_a_request_once_each_with_its_own_maximum(database):
    async with servers(2, database) as (ada, bob):
        both = [rate(8), rate(5)]
        assert admitted(await burst([ada], 4, both)) == 4
        assert admitted(await burst([bob], 4, both)) == 1
        await until(lambda: not bob.busy)
        assert admitted(await burst([ada], 9, [rate(8)])) == 3


async def test_a_shadow_limit_refuses_nothing_and_is_told(database):
    async with servers(1, database) as (ada,):
        limits = [structs.replace(rate(2), shadow=True), slots(9)]
        decisions = await burst([ada], 3, limits)
        assert [len(decision.shadow) for decision in decisions] == [0, 0, 1]
        assert admitted(decisions) == 3
        assert decisions[2].shadow[0].retry_after_ns > 0
