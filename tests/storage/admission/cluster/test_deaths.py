"""What a server that was killed leaves behind, and when it is free."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from storage.admission.cluster import ClusterAuthority, uptime_ns
from storage.admission.ledger import MS
from tests.storage.admission.cluster.servers import (
    MISSING_SECONDS,
    admitted,
    beat,
    burst,
    rate,
    servers,
    slots,
)


@pytest.mark.gen_test
async def test_the_slots_of_a_dead_server_are_free_when_its_lease_is_over(database):
    async with servers(2, database, lease=0.3, dead=0.3) as (ada, dead):
        assert admitted(await burst([dead], 8, [slots(8)])) == 8
        began = time.monotonic()
        while admitted(await burst([ada], 1, [slots(8)])) == 0:
            await asyncio.sleep(0.02)
            await beat(ada)
        assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.gen_test
async def test_a_server_that_was_killed_frees_its_share_when_one_starts_in_its_folder(database, tmp_path):
    later = [0]
    async with servers(1, database, now_ns=lambda: uptime_ns() + later[0]) as (ada,):
        killed = ClusterAuthority(database, process=uuid4(), folder=tmp_path)
        await killed.open()
        await beat(ada, killed, ada)
        assert admitted(await burst([killed], 8, [slots(8)])) == 8
        later[0] = round(MISSING_SECONDS * 1000) * MS
        assert admitted(await burst([ada], 8, [slots(8)])) == 0
        assert admitted(await burst([ada], 100, [rate(100)])) == 50
        killed._last.close()
        again = ClusterAuthority(database, process=uuid4(), folder=tmp_path)
        await again.open()
        await beat(again, ada, again, ada)
        assert admitted(await burst([ada], 8, [slots(8)])) == 8
        assert admitted(await burst([ada], 100, [rate(100)])) == 50
        await again.close()


@pytest.mark.gen_test
async def test_what_is_left_to_a_dead_server_is_free_when_its_heartbeat_is_removed(database):
    later = [0]
    async with servers(1, database, now_ns=lambda: uptime_ns() + later[0]) as (ada,):
        killed = ClusterAuthority(database, process=uuid4())
        await killed.open()
        await beat(ada, killed, ada)
        assert admitted(await burst([killed], 8, [slots(8)])) == 8
        later[0] = round(MISSING_SECONDS * 1000) * MS
        assert admitted(await burst([ada], 100, [slots(8), rate(100)])) == 0
        await database.limit_ledgers.delete_one({"_id": killed._store._id})
        await beat(ada)
        assert admitted(await burst([ada], 8, [slots(8)])) == 8
        assert admitted(await burst([ada], 100, [rate(100)])) == 100
