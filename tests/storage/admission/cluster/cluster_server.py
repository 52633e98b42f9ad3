"""A server of a cluster in a process of its own: `python -m tests.storage.admission.cluster.cluster_server URI DATABASE`.

It asks all the time, in bursts, and says so with a line each; at SIGTERM how many were admitted in all, and how often it
decided alone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from uuid import uuid4

from storage.admission.cluster import ClusterAuthority
from storage.members.membership import Membership
from storage.mongo.database import Database
from tests.storage.admission.cluster.servers import admitted, burst, rate


async def serve(uri, name):
    database = Database.connect(uri, name)
    membership = Membership(database, process=uuid4())
    authority = ClusterAuthority(database, membership)
    authority.open()
    await membership.open()
    running = asyncio.create_task(membership.run())
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    said = {"admitted": 0, "alone": 0}
    while not stopping.is_set():
        said["admitted"] += admitted(await burst([authority], 3, [rate(100, 60)]))
        said["alone"] += authority.unavailable
        say(said)
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    say(said)
    database.close()


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
