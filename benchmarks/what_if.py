"""How fast past calls are replayed through proposed limits, on the database of `benchmarks.api`.

    .venv/bin/python -m benchmarks.what_if --days 7

It reads and decides in one process, as a server does for `POST /limits/what-if`, and tells the processor time of both.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time, thread_time

from benchmarks.api.database import NAME, fill
from limits.policies.policy import Limits, Rate, SharedLimits
from limits.what_if import Replay
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.queries.past_calls import PastCalls

LIMITS = SharedLimits(each_member=Limits(rate=Rate(60, "1m"), concurrency=5))


async def replay(database: Database, *, days: float) -> str:
    """Replay the calls of the last days; say how many, and what each took."""
    end = datetime.now(UTC)
    replayed = Replay(LIMITS)
    pages = PastCalls(database).pages({}, start=end - timedelta(days=days), end=end, visible_to=None, cache_reads=False)
    calls, deciding = 0, 0.0
    began, used = perf_counter(), process_time()
    async for page in pages:
        at = thread_time()
        for call in page:
            for _ in replayed.add(call):
                pass
        deciding += thread_time() - at
        calls += len(page)
    whole, used = perf_counter() - began, process_time() - used
    each = [1e6 * seconds / max(calls, 1) for seconds in (used, deciding)]
    return (
        f"{calls:,} calls in {whole:.1f} s, {calls / whole:,.0f} a second; of the processor {each[0]:.1f} us a call, "
        f"{each[1]:.1f} us of it to decide; {replayed.outcome.refused:,} refused"
    )


async def main() -> None:
    """Fill, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-api"))
    options = parser.parse_args()
    embedded = await EmbeddedMongoDB.start(options.data_dir)
    try:
        await fill(embedded.uri, options.records)
        database = Database.connect(embedded.uri, NAME)
        print(f"\n{await replay(database, days=options.days)}")
        database.close()
    finally:
        await embedded.stop()


if __name__ == "__main__":
    asyncio.run(main())
