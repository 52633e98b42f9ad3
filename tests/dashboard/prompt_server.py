"""`python server.py` that waits long for MongoDB, and counts, groups and indexes soon after a call.

Somebody who looks at a page is told of a call within a second or two; a test would wait for that long each time. Jobs
begin when records were written: if they asked a few times a second, that would take a tenth of all that these tests take.
A job's pause is an argument that the server does not give, so its default is replaced.
"""

import asyncio
import runpy
from contextlib import suppress
from contextvars import ContextVar

from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.examples import job as examples_job
from storage.mongo import event_counts
from storage.recording.outbox import writer
from storage.recording.outbox.batch import write_batch
from storage.search.job import SearchJob
from tests.mongodb.database_timeouts import lengthen_timeouts
from tests.server_process import ROOT

TOGETHER_SECONDS = 0.1
"""Calls that end within this time are added together."""


class Writes:
    """How many batches of records were written, for jobs that wait for the next one."""

    def __init__(self, write):
        self._write = write
        self._number = 0
        self._seen = ContextVar("seen", default=0)  # by each job
        self._more = asyncio.Condition()

    async def write(self, *arguments, **options):
        rejected = await self._write(*arguments, **options)
        async with self._more:
            self._number += 1
            self._more.notify_all()
        return rejected

    async def wait(self, seconds):
        """Wait for a batch that the job has not seen, for at most some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._more:
                await self._more.wait_for(lambda: self._number > self._seen.get())
        await asyncio.sleep(TOGETHER_SECONDS)
        self._seen.set(self._number)


if __name__ == "__main__":
    lengthen_timeouts(setattr)
    writes = Writes(write_batch)
    for job in (RollupJob, SessionJob, SearchJob):
        job.__init__.__kwdefaults__["pause"] = writes.wait
    for module, name, value in (
        (writer, "write_batch", writes.write),
        (examples_job, "IDLE_SECONDS", 1.0),
        (event_counts, "WRITE_SECONDS", 0.25),
    ):
        setattr(module, name, value)
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
