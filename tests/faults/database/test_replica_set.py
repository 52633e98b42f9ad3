"""The primary of a replica set dies under load, and comes back as a secondary."""

import pytest

from tests.faults.audit import Audit
from tests.faults.deployment import DATABASE_UNAVAILABLE, all_written, database_is
from tests.mongodb.replica_set import ReplicaSet

RECOVERY_SECONDS = 60
MAX_WAIT_SECONDS = 6
CALLS = 100

pytestmark = [pytest.mark.faults, pytest.mark.server_says(*DATABASE_UNAVAILABLE)]


@pytest.fixture
def mongod(io_loop, tmp_path):
    replica_set = ReplicaSet(tmp_path / "mongod")
    io_loop.run_sync(replica_set.start)
    yield replica_set
    io_loop.run_sync(replica_set.kill)


@pytest.mark.gen_test(timeout=180)
async def test_no_call_fails_and_each_is_recorded_once_when_the_primary_dies(scenario, mongod):
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running():
        await load.more(CALLS)
        first = await mongod.primary()
        await mongod.kill_member(first)
        await load.more(CALLS)
        second = await mongod.primary()
        await database_is(server, "ok", RECOVERY_SECONDS)
        await load.more(CALLS)
        mongod.start_member(first)
        await mongod.complete()
        await load.more(CALLS)
    assert second != first
    await all_written(server, RECOVERY_SECONDS)
    assert [seen for seen in load.seen if not seen.served] == []
    assert await scenario.audit() == Audit()
    assert scenario.records.end_reasons() == {"completed": len(load.seen)}
    assert scenario.deployment.spool == []
    assert load.longest_wait < MAX_WAIT_SECONDS
