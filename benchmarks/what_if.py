"""How fast past calls are replayed through proposed limits.

    .venv/bin/python -m benchmarks.what_if [--calls 1000000] [--days 30]

The database has of each call what is read of it, and the indexes that are read. It is filled first, unless it was before.
One process reads and decides, as a server does for `POST /limits/what-if`; the processor time of both is told.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage
from struct import Struct
from time import perf_counter, process_time, thread_time
from typing import Any
from uuid import UUID

from intercept.records import Status
from limits.policies.policy import Limits, Rate, SharedLimits, SharedPolicy
from limits.what_if.replay import Replay
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.mongo.index_models import INDEXES
from storage.queries.past_calls import PastCalls
from storage.recording.charged import FORMAT

LIMITS = SharedLimits(each_member=Limits(rate=Rate(60, "1m"), concurrency=5))
USERS, UNDER_WAY = 1_000, 20
"""How many users there are, and about how many of their calls at a time."""

_NAME = "aibridge"
_AT_ONCE = 5_000
_READ = {"charged", "uncharged"}
_CHARGED = Struct(f"<{FORMAT}")


async def replay(database: Database, *, days: float) -> str:
    """Replay the calls of the last days; say how many, and what each took."""
    end = datetime.now(UTC)
    replayed = Replay(SharedPolicy(limits=LIMITS))
    past = PastCalls(database, {}, visible_to=None, cache_reads=False)
    pages = past.pages(end - timedelta(days=days), end)
    deciding = 0.0
    began, used = perf_counter(), process_time()
    async with aclosing(pages):
        async for page in pages:
            at = thread_time()
            for _ in replayed.decide(page):
                deciding += thread_time() - at
                await asyncio.sleep(0)  # as in a server, which has other requests too
                at = thread_time()
            deciding += thread_time() - at
    whole, used = perf_counter() - began, process_time() - used
    calls = replayed.calls
    each = [1e6 * seconds / max(calls, 1) for seconds in (used, deciding)]
    peak = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{calls:,} calls in {whole:.1f} s, {calls / whole:,.0f} a second; of the processor {each[0]:.1f} us a call, "
        f"{each[1]:.1f} us of it to decide; {replayed.outcome.refused:,} refused; at most {peak:,.0f} MiB of memory"
    )


async def fill(database: Database, calls: int, days: float) -> None:
    """Have that many calls of the last days, unless there are as many."""
    collection = database.interceptions
    if await collection.estimated_document_count() == calls:
        return
    await collection.drop()
    await collection.create_indexes([one for one in INDEXES["interceptions"] if one.document["name"] in _READ])
    for documents in documents_of(calls, days, datetime.now(UTC)):
        await collection.insert_many(documents, ordered=False)


def documents_of(calls: int, days: float, until: datetime) -> Iterator[list[dict[str, Any]]]:
    """What is read of the documents of calls, oldest first, in lists."""
    random = Random(1)
    users = [UUID(int=random.getrandbits(128), version=4) for _ in range(USERS)]
    apart = timedelta(days=days) / calls
    documents = []
    for number in range(calls):
        started = until - apart * (calls - number)
        ended = started + apart * random.randrange(2 * UNDER_WAY)
        tokens = random.randrange(50_000)
        packed = _CHARGED.pack(round(ended.timestamp() * 1000), tokens, 2 * tokens, 10 * tokens, False)
        documents.append(
            {
                "_id": UUID(int=random.getrandbits(128), version=4),
                "started_at": started,
                "ended_at": ended,
                "initiator_id": random.choice(users),
                "status": Status.COMPLETED.value,
                "charged": packed,
            }
        )
        if len(documents) == _AT_ONCE:
            yield documents
            documents = []
    if documents:
        yield documents


async def main() -> None:
    """Fill, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-what-if"))
    options = parser.parse_args()
    embedded = await EmbeddedMongoDB.start(options.data_dir)
    try:
        database = Database.connect(embedded.uri, _NAME)
        await fill(database, options.calls, options.days)
        print(await replay(database, days=options.days + 1))
        database.close()
    finally:
        await embedded.stop()


if __name__ == "__main__":
    asyncio.run(main())
