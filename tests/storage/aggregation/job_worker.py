"""A process that does a task until it is killed: `python -m tests.storage.aggregation.job_worker TASK URI DATABASE`."""

from __future__ import annotations

import asyncio
import sys

from storage.mongo.database import Database
from tests.storage.aggregation.tasks import TASKS


async def take_turns(task, uri, name):
    turns = TASKS[task].turns(Database.connect(uri, name))
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while True:
        await turns.add_pending()


if __name__ == "__main__":
    asyncio.run(take_turns(*sys.argv[1:]))
