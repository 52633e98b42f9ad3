"""The bridge is told to stop while the database is unavailable."""

import asyncio
import signal

import pytest

from tests.faults.audit import COMPLETED, Audit
from tests.faults.database.outages import frozen
from tests.faults.deployment import DATABASE_UNAVAILABLE, LEFT_IN_FLIGHT, all_written, spooled

DRAIN_SECONDS = 1
# What an absent database may add to that: nobody cancels what a thread waits for, which is at most ten seconds.
BOUND_SECONDS = 15
NOTICE_SECONDS = 10
RECOVERY_SECONDS = 60
CALLS = 100


@pytest.mark.faults
@pytest.mark.server(AIBRIDGE_DRAIN_TIMEOUT=f"{DRAIN_SECONDS}s")
@pytest.mark.server_says(
    *DATABASE_UNAVAILABLE,
    LEFT_IN_FLIGHT,
    r"WARNING aibridge: drain-timeout is over: \d+ requests were ended$",
)
@pytest.mark.gen_test(timeout=120)
async def test_a_server_without_its_database_stops_in_time_and_loses_no_record(scenario, mongod):
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running():
        await load.more(CALLS)
        async with frozen(mongod):
            await spooled(server, NOTICE_SECONDS)
            await load.more(CALLS)
            began = asyncio.get_running_loop().time()
            server.send(signal.SIGTERM)
            await load.more(CALLS)
            load.hold()
            async with asyncio.timeout(DRAIN_SECONDS + BOUND_SECONDS):
                assert await server.ended() == 0
            took = asyncio.get_running_loop().time() - began
    assert scenario.deployment.spool != []
    successor = await scenario.deployment.start()
    await all_written(successor, RECOVERY_SECONDS)
    assert await scenario.audit() == Audit()
    assert scenario.deployment.spool == []
    assert scenario.records.end_reasons().keys() <= COMPLETED | {"server_shutdown"}
    scenario.tell(f"ended {took:.1f} s after the signal")
