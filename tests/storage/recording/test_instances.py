from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest

from intercept.records import EndReason, Reading, TokenUsage
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.recording import instances as instances_module
from storage.recording.figures import figures_of
from storage.recording.instances import DEAD_SECONDS, HEARTBEAT_SECONDS, Instances, process_space
from storage.recording.outbox.spool import Spool
from storage.recording.recorder import Recorder, RecordPolicy
from tests.storage.conditions import until
from tests.storage.records import NOON, ending, interception

SELF, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
CALL = UUID(int=100)
REAPED = rf"^WARNING storage\.recording\.left_calls: calls that instance {OTHER} left in flight: 1$"


class Clock:
    """Seconds that pass when a test says so; `pause` waits for them."""

    def __init__(self):
        self.seconds = 1000.0
        self.passed = asyncio.Condition()
        self.paused = []

    def __call__(self):
        return self.seconds

    async def pass_(self, seconds):
        self.seconds += seconds
        async with self.passed:
            self.passed.notify_all()

    async def pause(self, seconds):
        until_then = self.seconds + seconds
        self.paused.append(seconds)
        async with self.passed:
            await self.passed.wait_for(lambda: self.seconds >= until_then)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watcher(database, clock):
    return Instances(database, instance_id=SELF, clock=clock, pause=clock.pause)


@asynccontextmanager
async def recording(database, instance_id):
    with TemporaryDirectory() as folder:
        recorder = Recorder(
            database,
            instance_id=instance_id,
            policy=RecordPolicy.STRICT,
            spool=Spool(Path(folder)),
            now=lambda: NOON + timedelta(seconds=3),
            new_id=uuid4,
        )
        await recorder.open()
        yield recorder
        await recorder.close(5)


async def begin_call(database, instance_id, *, call=CALL, checkpoint=False):
    """A call that the instance leaves in flight."""
    async with recording(database, instance_id) as recorder:
        await recorder.start(interception(id=call))
        if checkpoint:
            usage = TokenUsage(provider_response_id="resp_1", input_tokens=3)
            recorder.checkpoint(interception(id=call), Reading(response_id="resp_1", token_usages=(usage,)))


async def leave_heartbeat(database, instance_id, at=NOON, **about):
    await database.instances.insert_one({"_id": instance_id, "heartbeat_at": at, **about})


async def beat(database, instance_id):
    await database.instances.update_one({"_id": instance_id}, {"$currentDate": {"heartbeat_at": True}}, upsert=True)


async def look(watcher, clock, *, times, after=HEARTBEAT_SECONDS):
    """Look again and again as time passes; what each look ended."""
    ended = []
    for _ in range(times):
        ended.append(await watcher.reap())
        await clock.pass_(after)
    return ended


async def call_of(database, call=CALL):
    return await database.interceptions.find_one({"_id": call})


async def ids(database):
    return {document["_id"] async for document in database.instances.find()}


@pytest.mark.gen_test
async def test_a_heartbeat_is_written_in_the_database_s_time(database):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    instances = Instances(database, instance_id=SELF, host="$host", version="1.2")
    await instances.register()
    (first,) = await database.instances.find().to_list(None)
    assert before <= first["started_at"] == first["heartbeat_at"] <= datetime.now(UTC)
    assert first == {
        "_id": SELF,
        "started_at": first["started_at"],
        "heartbeat_at": first["heartbeat_at"],
        "host": "$host",
        "pid": os.getpid(),
        "process_space": process_space(),
        "version": "1.2",
        "refused_keys": [],
    }
    await until(lambda: datetime.now(UTC) > first["heartbeat_at"] + timedelta(milliseconds=2))
    await instances.register()
    (second,) = await database.instances.find().to_list(None)
    assert second["heartbeat_at"] > first["heartbeat_at"]
    assert second == first | {"heartbeat_at": second["heartbeat_at"]}


@pytest.mark.expects_log(REAPED)
@pytest.mark.gen_test
async def test_a_heartbeat_that_stands_still_means_dead_in_less_than_a_minute(database, watcher, clock):
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER, NOON + timedelta(seconds=7))
    before = await call_of(database)
    assert await look(watcher, clock, times=3) == [0, 0, 0]
    assert await call_of(database) == before
    assert await watcher.reap() == 1
    ended = before | {
        "status": "failed",
        "end_reason": "server_crashed",
        **dict.fromkeys(("ended_at", "uncounted", "ungrouped", "unindexed"), NOON + timedelta(seconds=7)),
        "presumed": True,
    }
    assert await call_of(database) == ended | figures_of(ended)
    assert await ids(database) == set()
    assert DEAD_SECONDS + 2 * HEARTBEAT_SECONDS < 60


@pytest.mark.expects_log(REAPED)
@pytest.mark.gen_test
async def test_a_call_does_not_end_before_it_started(database, watcher, clock):
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER, NOON - timedelta(seconds=9))
    await look(watcher, clock, times=4)
    assert (await call_of(database))["ended_at"] == NOON


@pytest.mark.gen_test
async def test_calls_that_ended_and_calls_of_the_living_are_left_alone(database, watcher, clock):
    async with recording(database, OTHER) as recorder:
        await recorder.start(interception(id=CALL))
        recorder.end(interception(id=CALL), ending(interception_id=CALL))
    await begin_call(database, SELF, call=UUID(int=101))
    await begin_call(database, THIRD, call=UUID(int=102))
    before = await database.interceptions.find().to_list(None)
    for _ in range(6):
        await beat(database, THIRD)
        assert await look(watcher, clock, times=1) == [0]
    assert await database.interceptions.find().to_list(None) == before


@pytest.mark.expects_log(REAPED)
@pytest.mark.gen_test
async def test_the_true_end_of_an_instance_that_was_only_slow_wins(database, watcher, clock):
    async with recording(database, OTHER) as recorder:
        await recorder.start(interception(id=CALL))
        await leave_heartbeat(database, OTHER)
        await look(watcher, clock, times=4)
        assert (await call_of(database))["end_reason"] == "server_crashed"
        recorder.end(interception(id=CALL), ending(interception_id=CALL))
        assert await recorder.flush(5)
    document = await call_of(database)
    assert (document["status"], document["end_reason"], "presumed" in document) == ("completed", "completed", False)
    slow = Instances(database, instance_id=OTHER)
    await slow.register()
    assert await ids(database) == {OTHER}


@pytest.mark.expects_log(REAPED)
@pytest.mark.gen_test
async def test_two_watchers_at_once_do_no_harm(database, clock):
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER)
    watchers = [Instances(database, instance_id=UUID(int=50 + number), clock=clock) for number in range(5)]
    for watcher in watchers:
        await watcher.register()
    ended = 0
    for _ in range(5):
        ended += sum(await asyncio.gather(*[watcher.reap() for watcher in watchers]))
        await asyncio.gather(*[watcher.register() for watcher in watchers])
        await clock.pass_(HEARTBEAT_SECONDS)
    assert ended == 1
    assert await ids(database) == {UUID(int=50 + number) for number in range(5)}


@pytest.mark.expects_log(REAPED)
@pytest.mark.gen_test
async def test_a_process_of_this_host_that_is_gone_is_dead_at_once(database, watcher):
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER, pid=gone.pid, process_space=process_space())
    assert await watcher.reap() == 1


@pytest.mark.parametrize("about", [{"process_space": "another boot"}, {"process_space": None}, {}], ids=str)
@pytest.mark.gen_test
async def test_a_process_id_of_elsewhere_says_nothing(database, watcher, about):
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    await leave_heartbeat(database, OTHER, pid=gone.pid, **about)
    assert await watcher.reap() == 0
    assert await ids(database) == {OTHER}


def failing(*_):
    raise DatabaseUnavailableError("MongoDB is unavailable")


@pytest.mark.gen_test
async def test_a_look_that_failed_starts_the_watch_over(private_database, private_mongodb, clock, monkeypatch):
    watcher = Instances(private_database, instance_id=SELF, clock=clock)
    await leave_heartbeat(private_database, OTHER)
    await look(watcher, clock, times=3)
    private_mongodb.freeze()
    monkeypatch.setattr(instances_module, "ANSWER_SECONDS", 0.2)
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable: .*timed out$"):
        await watcher.reap()
    monkeypatch.undo()
    private_mongodb.thaw()
    assert await look(watcher, clock, times=3) == [0, 0, 0]
    monkeypatch.setattr(watcher._database, "within", failing)
    with pytest.raises(DatabaseUnavailableError):  # its own heartbeat fails before it looks
        await watcher.register()
    monkeypatch.undo()
    assert await look(watcher, clock, times=3) == [0, 0, 0]
    assert await ids(private_database) == {OTHER}
    await watcher.reap()
    assert await ids(private_database) == set()


@pytest.mark.expects_log(rf"^WARNING storage\.recording\.left_calls: calls that instance {OTHER} left in flight: 2$")
@pytest.mark.gen_test
async def test_an_open_one_beats_and_watches_until_it_is_closed(database, clock):
    await begin_call(database, OTHER)
    await begin_call(database, OTHER, call=UUID(int=101))
    instances = Instances(database, instance_id=SELF, clock=clock, pause=clock.pause)
    await instances.open()
    registered = await database.instances.find_one({})
    assert registered["_id"] == SELF
    beating = asyncio.create_task(instances.run())
    await until(lambda: clock.paused)
    assert await database.instances.find_one({}) == registered  # the first heartbeat is that of `open`
    beats = {registered["heartbeat_at"]}
    for number in range(1, 5):
        await clock.pass_(HEARTBEAT_SECONDS)
        await until(lambda number=number: len(clock.paused) == number + 1)
        beats.add((await database.instances.find_one({"_id": SELF}))["heartbeat_at"])
    assert len(beats) > 2  # they are told in milliseconds
    assert set(clock.paused) == {HEARTBEAT_SECONDS}
    assert await database.interceptions.count_documents({"end_reason": EndReason.SERVER_CRASHED.value}) == 2
    beating.cancel()
    await instances.close()
    assert await ids(database) == set()


@pytest.mark.gen_test
async def test_it_outlives_an_outage(private_database, private_mongodb, clock, monkeypatch):
    monkeypatch.setattr(instances_module, "ANSWER_SECONDS", 0.2)
    instances = Instances(private_database, instance_id=SELF, clock=clock, pause=clock.pause)

    async def beat():
        beats = len(clock.paused)
        await clock.pass_(HEARTBEAT_SECONDS)
        await until(lambda: len(clock.paused) > beats)

    private_mongodb.freeze()
    await instances.open()
    beating = asyncio.create_task(instances.run())
    await until(lambda: clock.paused)
    for _ in range(3):
        await beat()
    assert not private_database.health.available
    private_mongodb.thaw()
    await private_database.health.wait_until_back()
    while await ids(private_database) != {SELF}:
        await beat()
    await private_database.instances.delete_many({})  # it may have been sent before, and carried out now
    await beat()
    assert await ids(private_database) == {SELF}
    beating.cancel()
    await instances.close()


@pytest.mark.gen_test
async def test_refused_keys_are_read_by_the_others_until_their_server_is_dead(database, watcher, clock):
    refused = [{"provider": "$openai", "key": "sk-p...wxyz", "status": 401, "since": NOON, "calls": 3}]
    other = Instances(database, instance_id=OTHER, refused_keys=lambda: refused, clock=clock)
    await leave_heartbeat(database, THIRD)  # of a version that writes none
    await other.register()
    await watcher.register()
    assert await other.reap() == 0
    assert await look(watcher, clock, times=1) == [0]
    assert (watcher.refused_elsewhere, other.refused_elsewhere) == (refused, [])
    assert await look(watcher, clock, times=2) == [0, 0]
    assert watcher.refused_elsewhere == refused
    await look(watcher, clock, times=1)
    assert watcher.refused_elsewhere == []


@pytest.mark.gen_test
async def test_who_may_not_write_has_no_heartbeat(database, mongodb_uri):
    reader = Database.connect(mongodb_uri, "local")  # nothing can be written to this one with a majority
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB does not take heartbeats: "):
        await Instances(reader, instance_id=SELF).register()
    reader.close()
