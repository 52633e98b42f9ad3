from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from functools import partial
from random import Random

import pytest
from pymongo.errors import DocumentTooLarge, ExecutionTimeout, OperationFailure

from storage.derived import job as job_module
from storage.derived import rollup_job as rollup_job_module
from storage.derived.sessions import session_job as session_job_module
from storage.derived.sessions.session_job import SessionJob
from storage.mongo.codec import binary
from storage.mongo.database import DatabaseUnavailableError
from storage.recording.outbox.batch import write_batch
from tests.storage.derived.interruptions import Interrupted
from tests.storage.derived.job_worker import BATCH
from tests.storage.derived.tasks import ALL
from tests.storage.rollup_checks import marked, write


@pytest.fixture
def task():
    """The cheapest one, for what is the same code in all of them."""
    return ALL["grouping"]


for_all = pytest.mark.parametrize("task", ALL.values(), ids=ALL)


async def end(database, *calls):
    operations = [*(call.start for call in calls), *(call.end() for call in calls)]
    assert await write_batch(database, operations, seconds=10) == []


@for_all
@pytest.mark.gen_test(timeout=60)
async def test_wherever_a_turn_stops_the_next_one_completes_it(database, task, monkeypatch):
    for module in (job_module, rollup_job_module, session_job_module):
        monkeypatch.setattr(module, "AT_ONCE", 40)

    def calls(step):
        return [task.call(12 * (step + 1) + place) for place in (0, 3, 6, 9)]

    def begun(step):
        _, presumed, replaced, _ = calls(step)
        return *(call.start for call in calls(step)), presumed.presumed_end(), replaced.presumed_end()

    await write(database, *begun(0))
    await task.make_job(database).add_pending()
    stops = 0
    for step in range(100):
        ended, presumed, replaced, first = calls(step)
        await write(database, ended.end(), replaced.end(2, took=9), first.presumed_end())
        interrupted = Interrupted(database, step)
        with contextlib.suppress(DatabaseUnavailableError):
            await task.make_job(interrupted).add_pending()
        # The true end comes while it is not known how far the run has come.
        await write(database, first.end(4, took=7), presumed.end(5), *begun(step + 1))
        await task.make_job(database).add_pending()
        assert await marked(database, task.kind.mark) == [], step
        if not interrupted.happened:
            break
        stops += 1
    await task.is_done(database)
    assert stops >= 7


@pytest.mark.gen_test
async def test_a_transaction_is_tried_again_where_mongodb_asks_for_it(database, task):
    await task.make_job(database)._next_run()  # makes the job state
    for code, added in ((246, 1), (112, 0)):  # it is asked to; another one is at it
        await end(database, task.call(code))
        error = OperationFailure("not now", code, {"errorLabels": ["TransientTransactionError"]})
        third = Interrupted(database, 2, error)
        assert await task.make_job(third).add_pending() == added, code
        assert third.happened
    await task.make_job(database).add_pending()
    await task.is_done(database)


@pytest.mark.gen_test
async def test_a_batch_that_is_too_much_for_mongodb_is_made_smaller(database, task, monkeypatch):
    monkeypatch.setattr(task.kind, "batch", 8)
    for number, error in enumerate(
        (
            OperationFailure("rolled back", 112, {"errorLabels": ["TransientTransactionError"]}),
            DocumentTooLarge("BSON document too large"),
        )
    ):
        await end(database, *map(task.call, range(10 * number, 10 * number + 3)))
        job = task.make_job(database)
        sizes = slow_above(job, 2, error)
        assert (await job.add_pending(), sizes[:3]) == (3, [8, 4, 2]), error
    await task.is_done(database)


@pytest.mark.expects_log(
    r"cannot (count|group|index) the call 00000000-0000-0000-0000-000000000004, which is left out until a"
)
@for_all
@pytest.mark.gen_test
async def test_one_that_cannot_be_added_keeps_no_other_waiting(database, task, monkeypatch, caplog):
    monkeypatch.setattr(task.kind, "batch", 4)
    await end(database, *map(task.call, range(1, 6)))
    one = {"_id": task.call(4).id}
    started_at = (await database.interceptions.find_one(one))["started_at"]
    await database.interceptions.update_one(one, {"$set": {"started_at": "four"}})
    job = task.make_job(database)
    assert await job.add_pending() == 4
    await end(database, *map(task.call, range(6, 9)))
    assert await job.add_pending() == 3
    assert await marked(database, job.mark) == [4]
    assert len(caplog.records) == 1
    await database.interceptions.update_one(one, {"$set": {"started_at": started_at}})
    assert await task.make_job(database).add_pending() == 1
    await task.is_done(database)


@pytest.mark.gen_test
async def test_where_none_can_be_added_the_job_fails(database, task, monkeypatch):
    monkeypatch.setattr(job_module, "MAX_ASIDE", 0)
    await end(database, *map(task.call, range(3)))
    job = task.make_job(database)

    async def fail(limit, session):
        raise KeyError("moon")

    monkeypatch.setattr(job, "_add", fail)
    with pytest.raises(KeyError, match="moon"):
        await job.add_pending()


@pytest.mark.gen_test
async def test_of_several_at_the_same_time_one_adds(database, task):
    for round_ in range(2):
        await end(database, *(task.call(100 * round_ + number) for number in range(4)))
        several = [task.make_job(database) for _ in range(3)]
        assert sum(await asyncio.gather(*(one.add_pending() for one in several))) <= 4
        await several[0].add_pending()
        await task.is_done(database)


@pytest.mark.gen_test
async def test_who_comes_too_late_for_a_turn_leaves_it_to_the_next(database, task):
    early, late = (task.make_job(database) for _ in range(2))
    await end(database, task.call(1))
    run = await late._next_run()
    assert await early.add_pending() == 1
    await end(database, task.call(3))
    note = await early._transact(await early._next_run(), partial(early._add_noted, 10))
    assert {name: which for name, which in note.items() if which} == {"true": [binary(task.call(3).id)]}
    assert await late._transact(run, partial(late._add_noted, 10)) is None
    assert await late.add_pending() == 0
    await task.is_done(database)


@pytest.mark.gen_test(timeout=120)
async def test_a_process_that_is_killed_adds_nothing_twice(private_mongodb, private_database, monkeypatch):
    database, random = private_database, Random(7)
    where = private_mongodb.uri, database.rollups.database.name
    command = (sys.executable, "-m", "tests.storage.derived.job_worker", *where)
    worker = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    for name, task in ALL.items():
        # So small that a process is killed at any point of a run, not always in the transaction of its first one.
        monkeypatch.setattr(task.kind, "batch", BATCH)
        await end(database, *map(task.call, range(24)))
        worker.stdin.write(f"{name}\n".encode())
        added, process = (await worker.stdout.readline()).split()
        assert added == b"added"
        ended = asyncio.create_task(worker.stdout.readline())
        await asyncio.wait({ended}, timeout=random.uniform(0, 0.1))
        os.kill(int(process), signal.SIGKILL)
        assert await ended == b"ended\n"
        # Ends its transaction, with which nobody goes on. By itself MongoDB does so after a minute.
        await database.rollups.database.client.admin.command({"killAllSessions": []})
        # So that there is a run, though the last one may have been stopped with nothing but its note left.
        await end(database, task.call(3_000))
        job = task.make_job(database)
        while await marked(database, job.mark):
            await job.add_pending()
        await task.is_done(database)
        await database.interceptions.delete_many({})
    worker.stdin.close()
    await worker.wait()


class Pause:
    """Lets this many runs follow each other at once."""

    def __init__(self, runs):
        self.runs = runs
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)
        if len(self.seconds) >= self.runs:
            raise asyncio.CancelledError


@pytest.mark.gen_test
async def test_while_there_is_more_and_no_call_is_under_way_the_next_turn_is_at_once(database, monkeypatch):
    monkeypatch.setattr(SessionJob, "batch", 2)
    await end(database, *map(ALL["grouping"].call, range(7)))
    pause, busy = Pause(4), iter([False, True, False, False])
    with pytest.raises(asyncio.CancelledError):
        await SessionJob(database, pause=pause, busy=lambda: next(busy)).run()
    assert pause.seconds == [0, SessionJob.behind_seconds, 0, SessionJob.seconds]
    await ALL["grouping"].is_done(database)


@pytest.mark.gen_test
async def test_a_database_that_is_unavailable_is_waited_for(unreachable, task, monkeypatch):
    monkeypatch.setattr(job_module, "BATCH_SECONDS", 0.1)
    waiting = asyncio.Event()

    async def wait_until_back():
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(unreachable.health, "wait_until_back", wait_until_back)
    running = asyncio.create_task(task.make_job(unreachable, pause=Pause(2)).run())
    await waiting.wait()
    assert not unreachable.health.available
    running.cancel()


@pytest.mark.gen_test
async def test_where_nothing_is_to_be_added_nothing_is_written(private_database, commands):
    for task in ALL.values():
        await task.make_job(private_database).add_pending()
        assert {name for name, _ in commands.sent} == {"find"}, task.kind


def slow_above(job, number, error=ExecutionTimeout("operation exceeded time limit", 50)):  # noqa: B008 - only raised
    """Let the database take too long for larger batches; returns the sizes that were tried."""
    add, sizes = job._add, []

    async def add_slowly(most, session):
        sizes.append(most)
        note = await add(most, session)
        if most > number:
            raise error
        return note

    job._add = add_slowly
    return sizes


@pytest.mark.gen_test
async def test_a_batch_that_is_too_slow_becomes_smaller_and_grows_again_slowly(database, task, monkeypatch):
    monkeypatch.setattr(task.kind, "batch", 20)
    await end(database, *(task.call(number) for number in range(20)))
    job = task.make_job(database)
    sizes = slow_above(job, 6)
    assert await job.add_pending() == 20
    assert sizes == [20, 10, 5, 6, 7, 3, 4, 5]
    await task.is_done(database)


@pytest.mark.gen_test
async def test_a_database_that_is_too_slow_for_a_single_one_is_away(database, task, monkeypatch):
    monkeypatch.setattr(task.kind, "batch", 4)
    await end(database, task.call(1))
    job = task.make_job(database)
    sizes = slow_above(job, 0)
    with pytest.raises(DatabaseUnavailableError):
        await job.add_pending()
    assert sizes == [4, 2, 1]


@pytest.mark.gen_test
async def test_work_goes_on_with_smaller_batches_and_says_so_once(
    database, task, monkeypatch, expected_logs, log_watch
):
    monkeypatch.setattr(task.kind, "batch", 40)
    expected_logs.append(
        r"WARNING storage\.aggregation\.[\w.]+: a batch of 40 took longer than 10 s: the next one has 20$"
    )
    await end(database, *(task.call(number) for number in range(12)))
    paused = asyncio.Event()
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            paused.set()
            await asyncio.Event().wait()

    job = task.make_job(database, pause=pause)
    slow_above(job, 13)
    running = asyncio.create_task(job.run())
    await paused.wait()
    running.cancel()
    assert (len(log_watch.lines), pauses[-1]) == (1, task.kind.behind_seconds)
    await task.make_job(database).add_pending()
    await task.is_done(database)
