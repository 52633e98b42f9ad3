"""A process that derives until it is killed: `python -m tests.storage.derived.job_worker URI DATABASE`."""

import asyncio
import sys

from storage.mongo.database import Database
from tests.derived import derived_job
from tests.storage.rollup_checks import MIDNIGHT


async def work(uri, name):
    job = derived_job(Database.connect(uri, name), now=lambda: MIDNIGHT)
    while True:
        await job.catch_up()
        sys.stdout.write("derived\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
