"""Servers that share limits while all of them reach the database."""

from __future__ import annotations

import asyncio

import pytest

from limits.limit import SLOT_RETRY_NS, Kind
from storage.admission.kinds.parameters import MS
from tests.storage.admission.cluster.servers import (
    admitted,
    beat,
    budget,
    burst,
    commands,
    rate,
    servers,
    slots,
    tokens,
)
from tests.storage.conditions import until


@pytest.mark.gen_test
async def test_of_a_burst_on_three_servers_the_limit_is_admitted(database):
    async with servers(3, database) as three:
        decisions = await burst(three, 100, [rate(100)])
        assert admitted(decisions) == 100
        refused = [decision for decision in decisions if decision.ticket is None]
        assert {decision.refused_by.remaining for decision in refused} == {0}
        assert all(0 < decision.retry_after_ns <= 60_000 * MS for decision in refused)
        assert admitted(await burst(three, 30, [rate(1000, key="token:b")])) == 90


@pytest.mark.gen_test
async def test_far_from_a_limit_nobody_is_asked(database):
    async with servers(1, database) as (one,):
        await burst([one], 50, [rate(100_000)])
        await burst([one], 50, [rate(100_000)])
        before = await commands(database)
        for _ in range(2_000):
            assert (await one.start([rate(100_000)])).ticket is not None
        assert await commands(database) - before < 200


@pytest.mark.gen_test
async def test_a_new_or_rare_key_and_one_near_its_limit_cost_one_round_trip(database, monkeypatch):
    async with servers(2, database) as (ada, bob):
        looks = []
        for one in (ada, bob):
            look = one._store.snapshot
            monkeypatch.setattr(
                one._store, "snapshot", lambda names, look=look: looks.append(list(names)) or look(names)
            )
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


@pytest.mark.gen_test
async def test_what_is_taken_ahead_and_not_used_is_given_back(database):
    async with servers(2, database) as (ada, bob):
        await burst([ada], 4, [rate(1_000, 4)])
        await burst([ada], 4, [rate(1_000, 4)])
        (account,) = ada._permits._accounts.values()
        ahead = account.left()
        assert ahead > 0
        await until(lambda: not account.left())
        await beat(ada)
        assert admitted(await burst([bob], 1_000, [rate(1_000, 4)])) == 992


@pytest.mark.gen_test
async def test_a_server_that_leaves_gives_back_what_it_has_taken_ahead(database):
    async with servers(2, database) as (ada, bob):
        for _ in range(2):
            await burst([ada], 4, [rate(1_000)])
        (account,) = ada._permits._accounts.values()
        assert account.left() > 0
        await ada.close()
        assert admitted(await burst([bob], 1_000, [rate(1_000)])) == 992


@pytest.mark.gen_test
async def test_a_request_that_one_limit_refuses_counts_for_none(database):
    async with servers(2, database) as (ada, bob):
        both = [rate(5), slots(50)]
        assert admitted(await burst([ada], 9, both)) == 5
        refused = (await burst([bob], 1, both))[0]
        assert (refused.refused_by.limit.kind, refused.refused_by.remaining) == (Kind.RATE, 0)
        assert refused.states[1].used >= 5
        assert admitted(await burst([bob], 60, [slots(50)])) == 45


@pytest.mark.gen_test
async def test_waiting_as_long_as_a_refusal_says_succeeds(database):
    async with servers(2, database) as (ada, bob):
        limits = [rate(1, 0.4)]
        decision = None
        while decision is None or decision.ticket is not None:  # the window may have passed between the two
            await ada.start(limits)
            decision = await bob.start(limits)
        waits = 0
        while decision.ticket is None:
            await asyncio.sleep(decision.retry_after_ns / 1e9)
            decision = await bob.start(limits)
            waits += 1
        assert waits <= 3  # how late the database answers, its clock is known to be off


@pytest.mark.gen_test
async def test_slots_are_shared_and_those_given_back_near_the_limit_are_free_at_once(database):
    async with servers(2, database) as (ada, bob):
        held = await burst([ada, bob], 10, [slots(8)])
        assert admitted(held) == 8
        refused = await bob.start([slots(8)])
        assert (refused.refused_by.used, refused.retry_after_ns) == (8, SLOT_RETRY_NS)
        for one, decision in zip([ada] * 10 + [bob] * 10, held, strict=True):
            if decision.ticket is not None:
                one.end(decision.ticket)
        await until(lambda: not (ada._rounds._task or bob._rounds._task))
        assert admitted(await burst([bob], 9, [slots(8)])) == 8
