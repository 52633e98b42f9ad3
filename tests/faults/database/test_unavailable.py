"""The database freezes or dies under load, and comes back."""

import asyncio
import os

import pytest

from tests.faults.audit import Audit
from tests.faults.database.outages import frozen, killed
from tests.faults.deployment import DATABASE_UNAVAILABLE, all_written, database_is, spooled
from tests.faults.load import CLIENTS
from version import VERSION

OUTAGE_SECONDS = float(os.environ.get("FAULTS_OUTAGE_SECONDS", "20"))
# The server finds out when an acknowledgement is late, not before.
NOTICE_SECONDS = 10
# After the outage: a killed mongod recovers its journal, and the server looks for it at most every two seconds.
RECOVERY_SECONDS = 60
MAX_WAIT_SECONDS = 6
CALLS = 100

pytestmark = pytest.mark.server_says(*DATABASE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("outage", "seconds", "clients"),
    [
        # Until it is missed, and with two clients, so that calls are in different stages.
        pytest.param(killed, 0, 2, id="killed for a moment"),
        pytest.param(frozen, OUTAGE_SECONDS, CLIENTS, id="frozen", marks=pytest.mark.faults),
        pytest.param(killed, OUTAGE_SECONDS, CLIENTS, id="killed", marks=pytest.mark.faults),
    ],
)
@pytest.mark.gen_test(timeout=180)
async def test_no_call_fails_and_each_is_recorded_once_while_the_database_is_unavailable(
    outage, seconds, clients, scenario, mongod
):
    server = await scenario.deployment.start()
    load, calls = scenario.load, CALLS * clients // CLIENTS
    async with load.running(clients):
        await load.more(calls)
        async with outage(mongod):
            await asyncio.gather(asyncio.sleep(seconds), database_is(server, "unreachable", NOTICE_SECONDS))
            await spooled(server, NOTICE_SECONDS)
            status, said = await server.get("/readyz")
            # What is followed of providers and policies, and since when not, is told too, once it has been noticed.
            expected = {
                "status": "ready",
                "database": "unreachable",
                "recording": "ok",
                "jobs": "ok",
                "version": VERSION,
            }
            assert (status, said | expected) == (200, said)
            await load.more(calls)
        await database_is(server, "ok", RECOVERY_SECONDS)
        await load.more(calls)
    await all_written(server, RECOVERY_SECONDS)
    assert [seen for seen in load.seen if not seen.served] == []
    assert await scenario.audit() == Audit()
    assert scenario.records.end_reasons() == {"completed": len(load.seen)}
    assert scenario.deployment.spool == []
    assert load.longest_wait < MAX_WAIT_SECONDS


@pytest.mark.faults
@pytest.mark.server(AIBRIDGE_RECORD_POLICY="strict")
@pytest.mark.parametrize("outage", [frozen, killed])
@pytest.mark.gen_test(timeout=180)
async def test_under_strict_a_call_that_cannot_be_recorded_is_not_made(outage, scenario, mongod):
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running():
        await load.more(CALLS)
        async with outage(mongod):
            await database_is(server, "unreachable", NOTICE_SECONDS)
            await load.more(CALLS)
            away = {
                "status": "not ready",
                "database": "unreachable",
                "recording": "the database is unavailable",
                "jobs": "ok",
                "version": VERSION,
            }
            status, said = await server.get("/readyz")
            # Whether those of the database are followed is noticed at another moment.
            assert (status, {name: said[name] for name in said.keys() - {"providers", "policies"}}) == (503, away)
            requested = scenario.provider.requested.total()
            during = len(load.seen)
            await load.more(CALLS)
            assert {seen.status for seen in load.seen[during:]} == {503}
            assert scenario.provider.requested.total() == requested
        await database_is(server, "ok", RECOVERY_SECONDS)
        await load.more(CALLS)
    refused = [seen for seen in load.seen if not seen.served]
    assert {seen.status for seen in refused} == {503}
    assert {seen.interception_id for seen in refused} == {None}
    assert [seen.call.number for seen in refused if seen.call.number in scenario.provider.requested] == []
    assert await scenario.audit() == Audit()
    scenario.tell(f"{len(refused)} calls were refused")
