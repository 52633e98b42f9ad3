"""A process that groups until it is killed: `python -m tests.storage.grouping_worker URI DATABASE`."""

from __future__ import annotations

import asyncio
import sys

from storage.database import Database
from storage.grouping import Grouping


async def group(uri, name):
    grouping = Grouping(Database.connect(uri, name))
    sys.stdout.write("grouping\n")
    sys.stdout.flush()
    while True:
        await grouping.group_pending()


if __name__ == "__main__":
    asyncio.run(group(*sys.argv[1:]))
