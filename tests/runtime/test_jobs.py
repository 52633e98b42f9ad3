"""Background jobs: restarted when they fail, named in log, metrics and `/readyz`, and stopped in order."""

import asyncio

import pytest

from runtime.jobs import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, STEADY_SECONDS, Jobs
from tests.bridge import until

FAILED = r"^ERROR runtime.jobs: the background job counting failed and is restarted$"


class Pauses:
    """The pauses of jobs: each is over at once, and takes its time on the clock."""

    def __init__(self):
        self.now = 0.0
        self.taken = []

    def clock(self):
        return self.now

    async def pause(self, seconds):
        self.taken.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def jobs(pauses):
    return Jobs(clock=pauses.clock, pause=pauses.pause)


class Failing:
    """A job that fails so often, and then waits to be stopped."""

    def __init__(self, times, error=RuntimeError):
        self.left, self.error, self.runs = times, error, 0
        self.waits = asyncio.Event()

    async def run(self):
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self.error
        self.waits.set()
        await asyncio.Event().wait()


@pytest.mark.expects_log(FAILED)
@pytest.mark.parametrize("error", [RuntimeError, KeyError, asyncio.CancelledError])
async def test_a_job_that_fails_is_started_again_after_growing_pauses(jobs, pauses, log_watch, error):
    work = Failing(6, error)
    job = jobs.start("counting", work.run)
    await work.waits.wait()
    assert pauses.taken == [FIRST_PAUSE_SECONDS, 2, 4, 8, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS]
    assert len(log_watch.lines) == 1
    await job.stop()
    assert work.runs == 7


@pytest.mark.expects_log(FAILED)
async def test_a_job_that_ran_for_long_is_well_again_and_its_next_failure_is_logged(jobs, pauses, log_watch):
    failures = asyncio.Queue()

    async def run():
        raise await failures.get()

    async def fail():
        taken = len(pauses.taken)
        failures.put_nowait(RuntimeError())
        await until(lambda: len(pauses.taken) > taken)

    job = jobs.start("counting", run)
    await fail()
    await fail()
    pauses.now += STEADY_SECONDS - 0.1
    assert (jobs.failed, len(log_watch.lines)) == (["counting"], 1)
    pauses.now += 0.1
    assert jobs.failed == []
    await fail()
    assert (len(log_watch.lines), pauses.taken) == (2, [FIRST_PAUSE_SECONDS, 2, FIRST_PAUSE_SECONDS])
    await job.stop()


async def test_a_job_that_is_stopped_has_ended_when_that_returns(jobs):
    began, ended = asyncio.Event(), []

    async def run():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    job = jobs.start("counting", run)
    await began.wait()
    await job.stop()
    assert (ended, jobs.failed) == ([True], [])
