"""A process that counts until it is killed: `python -m tests.storage.counting_worker URI DATABASE`."""

from __future__ import annotations

import asyncio
import sys

from storage.database import Database
from storage.rollups import Rollups
from tests.storage.countings import MIDNIGHT


async def count(uri, name):
    rollups = Rollups(Database.connect(uri, name), now=lambda: MIDNIGHT)
    sys.stdout.write("counting\n")
    sys.stdout.flush()
    while True:
        await rollups.count_pending()


if __name__ == "__main__":
    asyncio.run(count(*sys.argv[1:]))
