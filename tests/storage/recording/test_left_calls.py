"""Calls that dead processes left in flight."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest

from intercept.records import Reading, TokenUsage
from storage.members.membership import DEAD_SECONDS, SILENT_SECONDS, Membership
from storage.recording.figures import figures_of
from storage.recording.left_calls import end_what_is_left
from storage.recording.outbox.spool import Spool
from storage.recording.recorder import Recorder
from tests.limits.clock import SECOND, Clock
from tests.storage.records import NOON, ending, interception

SELF, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
CALL = UUID(int=100)
ENDED = rf"^WARNING storage\.recording\.left_calls: calls that instance {OTHER} left in flight: 1$"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watcher(database, clock):
    return Membership(database, process=SELF, now_ns=clock)


@asynccontextmanager
async def recording(database, process):
    with TemporaryDirectory() as folder:
        recorder = Recorder(
            database,
            instance_id=process,
            strict=True,
            spool=Spool(Path(folder)),
            now=lambda: NOON + timedelta(seconds=3),
        )
        yield recorder
        await recorder.close(5)


async def begin_call(database, process, *, call=CALL):
    async with recording(database, process) as recorder:
        await recorder.start(interception(id=call))
        usage = TokenUsage(provider_response_id="resp_1", input_tokens=3)
        recorder.checkpoint(interception(id=call), Reading(response_id="resp_1", token_usages=(usage,)))


async def leave_heartbeat(database, process, at=NOON, **about):
    await database.members.insert_one({"_id": process, "heartbeat_at": at, "beat": 1, **about})


async def pass_(watcher, clock, seconds):
    for _ in range(round(seconds / 2)):
        await watcher.beat()
        clock.advance(2 * SECOND)
    await watcher.beat()


async def call_of(database):
    return await database.interceptions.find_one({"_id": CALL})


@pytest.mark.expects_log(ENDED)
async def test_a_heartbeat_that_stands_still_ends_calls_in_less_than_a_minute(database, watcher, clock):
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER, NOON + timedelta(seconds=7))
    before = await call_of(database)
    await pass_(watcher, clock, SILENT_SECONDS - 2)
    assert await end_what_is_left(database, watcher) == 0
    assert await call_of(database) == before
    await pass_(watcher, clock, 2)
    assert await end_what_is_left(database, watcher) == 1
    ended = before | {
        "status": "failed",
        "end_reason": "server_crashed",
        "ended_at": NOON + timedelta(seconds=7),
        "presumed": True,
    }
    assert await call_of(database) == ended | figures_of(ended)
    assert await database.members.count_documents({"_id": OTHER}) == 1  # it may be deciding about limits alone
    await pass_(watcher, clock, DEAD_SECONDS)
    assert await end_what_is_left(database, watcher) == 0
    assert await database.members.count_documents({"_id": OTHER}) == 0


@pytest.mark.expects_log(ENDED)
async def test_a_process_that_left_no_heartbeat_is_waited_for_and_a_call_does_not_end_before_it_started(
    database, watcher, clock
):
    await begin_call(database, OTHER)
    await watcher.beat()
    assert await end_what_is_left(database, watcher) == 0
    await pass_(watcher, clock, SILENT_SECONDS)
    assert await end_what_is_left(database, watcher) == 1
    assert (await call_of(database))["ended_at"] >= NOON


@pytest.mark.expects_log(ENDED)
async def test_a_call_that_a_dead_process_had_in_its_spool_ends_as_soon_as_it_is_recorded(database, watcher):
    await leave_heartbeat(database, OTHER, gone=True)
    await watcher.beat()
    assert await end_what_is_left(database, watcher) == 0
    assert await database.members.count_documents({"_id": OTHER}) == 0
    await watcher.beat()
    await begin_call(database, OTHER)
    assert await end_what_is_left(database, watcher) == 1


async def test_calls_that_ended_and_calls_of_the_living_are_left_alone(database, watcher, clock):
    async with recording(database, OTHER) as recorder:
        await recorder.start(interception(id=CALL))
        recorder.end(interception(id=CALL), ending(interception_id=CALL))
    await begin_call(database, SELF, call=UUID(int=101))
    await begin_call(database, THIRD, call=UUID(int=102))
    living = Membership(database, process=THIRD)
    before = await database.interceptions.find().to_list(None)
    for _ in range(4):
        await living.beat()
        await pass_(watcher, clock, SILENT_SECONDS / 2)
        assert await end_what_is_left(database, watcher) == 0
    assert await database.interceptions.find().to_list(None) == before


@pytest.mark.expects_log(ENDED)
async def test_the_true_end_of_a_process_that_was_only_slow_wins(database, watcher):
    async with recording(database, OTHER) as recorder:
        await recorder.start(interception(id=CALL))
        await leave_heartbeat(database, OTHER, gone=True)
        await watcher.beat()
        assert await end_what_is_left(database, watcher) == 1
        assert (await call_of(database))["end_reason"] == "server_crashed"
        recorder.end(interception(id=CALL), ending(interception_id=CALL))
        assert await recorder.flush(5)
    document = await call_of(database)
    assert (document["status"], document["end_reason"], "presumed" in document) == ("completed", "completed", False)


@pytest.mark.expects_log(ENDED)
async def test_several_watchers_at_once_end_what_is_left_once(database):
    await begin_call(database, OTHER)
    await leave_heartbeat(database, OTHER, gone=True)
    watchers = [Membership(database, process=UUID(int=50 + number)) for number in range(5)]
    for watcher in watchers:
        await watcher.beat()
    ended = await asyncio.gather(*(end_what_is_left(database, one) for one in watchers))
    assert sum(ended) == 1
    assert (await call_of(database))["presumed"]
    assert {one["_id"] async for one in database.members.find()} == {UUID(int=50 + number) for number in range(5)}
