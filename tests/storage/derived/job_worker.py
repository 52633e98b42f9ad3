"""Processes that do a task until they are killed: `python -m tests.storage.derived.job_worker URI DATABASE`.

For each name of a task that it reads, it begins such a process, which prints `added` and its id after its first calls,
and when that has ended it prints `ended`. All is imported once, as that takes longer than such a process lives.
"""

from __future__ import annotations

import asyncio
import os
import sys

from storage.mongo.database import Database
from tests.storage.derived.tasks import ALL

BATCH = 6
"""Most calls that it adds at once."""


async def run_job(task, uri, name):
    ALL[task].kind.batch = BATCH
    job = ALL[task].make_job(Database.connect(uri, name))
    said = False

    def on_added(number):
        nonlocal said
        if number and not said:
            say(f"added {os.getpid()}")
            said = True

    while True:
        await job.add_pending(on_added)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(uri, name):
    for task in map(str.strip, sys.stdin):
        process = os.fork()
        if process == 0:
            asyncio.run(run_job(task, uri, name))
        os.waitpid(process, 0)
        say("ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
