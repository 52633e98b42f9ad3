"""Measure what a decision that is shared through MongoDB costs, on an embedded one.

    .venv/bin/python -m benchmarks.admissions

One process asks, with so many requests waiting at a time, and each asks again as soon as it is answered. Prints the
table in Markdown.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from storage.admission.admissions import Admissions, SharedLimits
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB

CONCURRENT = (1, 32, 256)
SECONDS = 3.0
LIMITS = SharedLimits(max_concurrency=1000, rate_limit=1000)

Decision = Callable[[Admissions, int], Awaitable[None]]


async def rate_of_one_key(admissions: Admissions, _number: int) -> None:
    """All requests are of one token."""
    await admissions.count_request("token", None)


async def rate_of_many_keys(admissions: Admissions, number: int) -> None:
    """Each of those that wait at a time is of a token of its own."""
    await admissions.count_request(f"token {number}", None)


async def slot(admissions: Admissions, _number: int) -> None:
    """A slot of the server is taken and given back."""
    verdict = await admissions.take_slot()
    if verdict.slot is not None:
        verdict.slot.release()


KINDS: dict[str, Decision] = {
    "a slot of the server": slot,
    "a rate, one token": rate_of_one_key,
    "a rate, a token each": rate_of_many_keys,
}


async def measure(admissions: Admissions, decide: Decision, concurrent: int) -> list[float]:
    """Seconds that each decision took."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def ask(number: int) -> None:
        while (began := time.perf_counter()) < end:
            await decide(admissions, number)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(ask(number) for number in range(concurrent)))
    return sorted(took)


async def main() -> None:
    """Measure on a MongoDB that is started for it."""
    with tempfile.TemporaryDirectory() as folder:
        mongodb = await EmbeddedMongoDB.start(Path(folder))
        database = Database.connect(mongodb.uri, "benchmark")
        await database.prepare(retention=None)
        print("| decision | concurrent | decisions/s | p50 | p99 |\n|---|---|---|---|---|")
        for name, decide in KINDS.items():
            for concurrent in CONCURRENT:
                admissions = Admissions(database, process=uuid4(), limits=LIMITS)
                await admissions.open()
                took = await measure(admissions, decide, concurrent)
                away = admissions.away
                await admissions.close()
                p50, p99 = (1000 * took[len(took) * percent // 100] for percent in (50, 99))
                note = " (the database was away)" if away else ""
                print(f"| {name} | {concurrent} | {len(took) / SECONDS:,.0f}{note} | {p50:.1f} ms | {p99:.1f} ms |")
        database.close()
        await mongodb.stop()


if __name__ == "__main__":
    asyncio.run(main())
