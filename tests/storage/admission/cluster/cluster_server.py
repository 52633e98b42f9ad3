"""A server of a cluster in a process of its own: `python -m tests.storage.admission.cluster.cluster_server URI DATABASE`.

For each line that it is told it asks in a burst, and says how many were admitted in all, and how often it decided alone.
"""

import asyncio
import json
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
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    said = {"admitted": 0, "alone": 0}
    while await told.readline():
        said["admitted"] += admitted(await burst([authority], 3, [rate(100, 60)]))
        said["alone"] += authority.unavailable
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
    running.cancel()
    await asyncio.wait({running})
    database.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
