"""What a server that was killed leaves behind, and when it is free."""

import asyncio
import os
import time

import pytest

from storage.admission.ledger import MS
from storage.members.membership import Waits
from storage.mongo.clocks import uptime_ns
from tests.storage.admission.cluster.servers import (
    MEMBERSHIPS,
    MISSING_SECONDS,
    admitted,
    beat,
    burst,
    join,
    leave,
    rate,
    servers,
    slots,
)


async def test_the_slots_of_a_dead_server_are_free_when_its_lease_is_over(database):
    async with servers(2, database, waits=Waits(lease=0.3, missing=MISSING_SECONDS, dead=0.3)) as (ada, dead):
        assert admitted(await burst([dead], 8, [slots(8)])) == 8
        began = time.monotonic()
        while admitted(await burst([ada], 1, [slots(8)])) == 0:
            await asyncio.sleep(0.02)
            await beat(ada)
        assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.parametrize("says", ["a new server in its folder", "the operator"])
async def test_what_is_left_to_a_killed_server_is_free_when_somebody_says_that_it_is_gone(database, tmp_path, says):
    later = [0]
    async with servers(1, database, now_ns=lambda: uptime_ns() + later[0]) as (ada,):
        killed = await join(database)
        await beat(ada, killed, ada)
        assert admitted(await burst([killed], 8, [slots(8)])) == 8
        later[0] = round(MISSING_SECONDS * 1000) * MS
        assert admitted(await burst([ada], 8, [slots(8)])) == 0
        assert admitted(await burst([ada], 100, [rate(100)])) == 50
        killed_id, others = MEMBERSHIPS[killed].id, []
        if says == "the operator":
            await database.members.delete_one({"_id": killed_id})
        else:
            (tmp_path / "lock").write_text(f"1 {killed_id}")
            others.append(await join(database, folder=tmp_path))
            assert (tmp_path / "lock").read_text() == f"{os.getpid()} {MEMBERSHIPS[others[0]].id}"
        await beat(*others, ada, *others, ada)
        assert admitted(await burst([ada], 8, [slots(8)])) == 8
        assert admitted(await burst([ada, *others], 100, [rate(100)])) == 50
        for one in others:
            await leave(one)
