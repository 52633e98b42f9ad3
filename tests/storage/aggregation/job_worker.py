"""A process that does a task until it is killed: `python -m tests.storage.aggregation.job_worker TASK URI DATABASE`."""

from __future__ import annotations

import asyncio
import sys

from storage.mongo.database import Database
from tests.storage.aggregation.tasks import ALL


async def run_job(task, uri, name):
    job = ALL[task].make_job(Database.connect(uri, name))
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while True:
        await job.add_pending()


if __name__ == "__main__":
    asyncio.run(run_job(*sys.argv[1:]))
