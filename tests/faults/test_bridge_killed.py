"""The bridge is killed under load, and started again."""

import asyncio
import random
import signal

import pytest

from tests.faults.audit import COMPLETED, Audit, usage
from tests.faults.calls import STREAM_HEAD, Call
from tests.faults.database.outages import frozen, killed
from tests.faults.deployment import DATABASE_UNAVAILABLE, LEFT_IN_FLIGHT, Deployment, all_written, spooled
from tests.faults.load import CLIENTS, PACE_SECONDS
from tests.faults.waiting import until
from upstream.demo.scripted import chunk

SEED = 20_240_229
# A kill comes this long after the first calls, in seconds: in the middle of any stage of some of them.
LATEST_KILL_SECONDS = 1.0
NOTICE_SECONDS = 10
RECOVERY_SECONDS = 60
# An end that was reported and not yet written dies with the server; then the crash is what is known.
COMPLETED_OR_CRASHED = COMPLETED | {"server_crashed"}


@pytest.mark.server_says(LEFT_IN_FLIGHT)
@pytest.mark.parametrize(
    ("kills", "clients"),
    [pytest.param(1, 6, id="once"), pytest.param(10, CLIENTS, id="ten times", marks=pytest.mark.faults)],
)
@pytest.mark.gen_test(timeout=180)
async def test_every_call_that_began_is_recorded_once_however_often_the_bridge_is_killed(kills, clients, scenario):
    moments = random.Random(SEED)
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running(clients):
        for _ in range(kills):
            await load.more(1)
            await asyncio.sleep(moments.uniform(0, LATEST_KILL_SECONDS))
            server.send(signal.SIGKILL)
            load.hold()
            assert await server.ended() == -signal.SIGKILL
            server = await scenario.deployment.start()
            load.go_on()
        await load.more(1)
    await all_written(server, RECOVERY_SECONDS)
    assert await scenario.audit(may_end_as=COMPLETED_OR_CRASHED) == Audit()
    assert scenario.records.end_reasons().keys() == COMPLETED_OR_CRASHED


@pytest.mark.faults
@pytest.mark.server_says(LEFT_IN_FLIGHT)
@pytest.mark.gen_test(timeout=180)
async def test_no_call_was_made_whose_start_was_still_waiting_when_the_bridge_was_killed(scenario, mongod):
    server = await scenario.deployment.start()
    load = scenario.load

    async def much_waits():
        return await server.metric("recorder_queue_length") >= CLIENTS // 2

    async with load.running():
        await load.more(100)
        async with frozen(mongod):
            await until(much_waits, NOTICE_SECONDS)
            server.send(signal.SIGKILL)
            load.hold()
            assert await server.ended() == -signal.SIGKILL
        server = await scenario.deployment.start()
        load.go_on()
        await load.more(100)
    await all_written(server, RECOVERY_SECONDS)
    assert await scenario.audit(may_end_as=COMPLETED_OR_CRASHED) == Audit()


@pytest.mark.faults
@pytest.mark.server_says(LEFT_IN_FLIGHT, *DATABASE_UNAVAILABLE)
@pytest.mark.gen_test(timeout=180)
async def test_what_was_spooled_before_the_kill_is_recorded_by_the_next_start(scenario, mongod):
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running():
        await load.more(100)
        async with killed(mongod):
            await spooled(server, NOTICE_SECONDS)
            await load.more(100)
            server.send(signal.SIGKILL)
            load.hold()
            assert await server.ended() == -signal.SIGKILL
            assert scenario.deployment.spool != []
        server = await scenario.deployment.start()
        load.go_on()
        await load.more(100)
    await all_written(server, RECOVERY_SECONDS)
    assert await scenario.audit(may_end_as=COMPLETED_OR_CRASHED) == Audit()
    assert scenario.deployment.spool == []


@pytest.mark.faults
@pytest.mark.server(AIBRIDGE_RECORD_POLICY="strict")  # else the last starts are on the killed one's disk alone
@pytest.mark.server_says(LEFT_IN_FLIGHT)
@pytest.mark.gen_test(timeout=120)
async def test_a_server_that_lives_ends_what_a_killed_one_left(scenario, mongod, tmp_path):
    survivor = Deployment(tmp_path / "survivor", mongod.uri, scenario.provider.url)
    await survivor.start()
    server = await scenario.deployment.start()
    load = scenario.load
    async with load.running():
        await load.more(100)
        server.send(signal.SIGKILL)  # not waited for, so its process id stays: as with another host, only silence tells
        load.hold()
    assert await scenario.audit(may_end_as=COMPLETED_OR_CRASHED) == Audit()
    await survivor.stop()
    assert survivor.complaints([LEFT_IN_FLIGHT]) == []


class Trickle:
    """A script: the first event of a stream, and then one more piece of its text again and again."""

    def __init__(self, call):
        self._call = call

    def __iter__(self):
        start, _, delta, *_ = self._call.events
        yield STREAM_HEAD + chunk(start)
        while True:
            due = asyncio.Event()
            asyncio.get_running_loop().call_later(PACE_SECONDS, due.set)
            yield due
            yield chunk(delta)


@pytest.mark.faults
@pytest.mark.server_says(LEFT_IN_FLIGHT)
@pytest.mark.gen_test(timeout=60)
async def test_a_long_stream_keeps_the_usage_of_its_last_checkpoint(provider, deployment, token, records):
    call = Call.numbered(1_004)
    assert (call.conversation.path, call.streaming) == ("/v1/messages", True)
    provider.scripts.append(Trickle(call))
    server = await deployment.start()
    client = await server.client()
    await client.send("POST", call.path, {"X-Api-Key": token}, call.request)
    response = await client.head()
    reading = asyncio.create_task(client.rest(response))

    async def checkpointed():
        return any("checkpointed_at" in document for document in records.of(call))

    await until(checkpointed, NOTICE_SECONDS)
    (document,) = records.of(call)
    assert document["status"] == "in_flight"
    server.send(signal.SIGKILL)
    await server.ended()
    await reading
    assert not response.whole
    await deployment.start()
    document = await records.ended(call)
    assert (document["status"], document["end_reason"]) == ("failed", "server_crashed")
    assert str(document["_id"]) == response.header("X-AI-Bridge-Interception-Id")
    assert document["ended_at"] >= document["checkpointed_at"] > document["started_at"]
    assert usage(document) == {
        "input_tokens": 5,
        "output_tokens": 1,
        "cache_read_input_tokens": 4,
        "cache_write_input_tokens": 3,
        "source": "partial",
    }
