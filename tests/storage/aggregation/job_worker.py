"""A process that does a task until it is killed: `python -m tests.storage.aggregation.job_worker TASK URI DATABASE`.

It prints `added` after its first calls.
"""

from __future__ import annotations

import asyncio
import sys

from storage.mongo.database import Database
from tests.storage.aggregation.tasks import ALL

BATCH = 40
"""Most calls that it adds at once."""


async def run_job(task, uri, name):
    ALL[task].kind.batch = BATCH
    job = ALL[task].make_job(Database.connect(uri, name))
    said = False

    def on_added(number):
        nonlocal said
        if number and not said:
            sys.stdout.write("added\n")
            sys.stdout.flush()
            said = True

    while True:
        await job.add_pending(on_added)


if __name__ == "__main__":
    asyncio.run(run_job(*sys.argv[1:]))
