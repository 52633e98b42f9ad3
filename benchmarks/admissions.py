"""Measure the cost of shared decisions: by the supervisor of a server, and in a cluster on an embedded MongoDB.

    .venv/bin/python -m benchmarks.admissions [--scope server]

One server decides for a number of concurrent requests. Each begins again a moment after its decision. Prints the
table in Markdown. The last column has the commands to MongoDB for each decision, heartbeats included.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import click

from benchmarks.server_scope import server_authority
from intercept.refusals import Rule
from limits.authority import Authority
from limits.limit import Kind, Limit, Of
from runtime.processes.server import event_loop
from storage.admission.cluster import ClusterAuthority
from storage.admission.ledger_store import LedgerStore
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB

SECONDS = 3.0
PAUSE_SECONDS = 0.001
WINDOW_NS = 60_000_000_000
TOKENS = 10_000


def rate(key: str, maximum: int) -> Limit:
    """A rate limit in a minute."""
    return Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, maximum, window_ns=WINDOW_NS)


def slots(maximum: int) -> Limit:
    """The slots of the server."""
    return Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", maximum)


NEAR = rate("token:near", 1_000_000)


class Row(NamedTuple):
    """A row of the table: the limits of the n-th decision, how many requests at a time, and their pause in seconds.

    The first seconds, `warm_up`, are not measured, because all tokens are new then.
    """

    name: str
    concurrent: int
    limits: Callable[[int], Sequence[Limit]]
    pause: float
    warm_up: float = 0.5


def _far(_number: int) -> Sequence[Limit]:
    return slots(10_000), rate("token:far", 1_000_000)


def _near(_number: int) -> Sequence[Limit]:
    return (NEAR,)


def _token_each(number: int) -> Sequence[Limit]:
    return (rate(f"token:{number % TOKENS}", 1_000),)


SERVER_ROWS = (
    Row("server: a slot and a rate", 1, _far, PAUSE_SECONDS),
    Row("server: a slot and a rate", 32, _far, PAUSE_SECONDS),
    Row("server: a rate, 10,000 tokens", 1, _token_each, 0),
    Row("server: a rate, 10,000 tokens", 256, _token_each, 0),
)
SUPERVISOR_ROWS = (
    Row("far, by the supervisor: a slot and a rate", 1, _far, PAUSE_SECONDS),
    Row("far, by the supervisor: a slot and a rate", 32, _far, PAUSE_SECONDS),
    Row("near, by the supervisor: a rate", 1, _near, 0),
    Row("near, by the supervisor: a rate", 256, _near, 0),
    Row("far, by the supervisor: a rate, 10,000 tokens", 256, _token_each, 0, 10.0),
)
ROWS = (
    Row("far: a slot and a rate", 1, _far, PAUSE_SECONDS),
    Row("far: a slot and a rate", 32, _far, PAUSE_SECONDS),
    Row("near: a rate", 1, _near, 0),
    Row("near: a rate", 32, _near, 0),
    Row("near: a rate", 256, _near, 0),
    Row("far: a rate, 10,000 tokens", 256, _token_each, 0, 10.0),
)


async def measure(authority: Authority, row: Row, seconds: float = SECONDS) -> list[float]:
    """Seconds that each decision took, in ascending order."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def request(number: int) -> None:
        while (began := time.perf_counter()) < end:
            decision = await authority.start(row.limits(number))
            took.append(time.perf_counter() - began)
            if decision.ticket is not None:
                authority.end(decision.ticket)
            number += row.concurrent
            await asyncio.sleep(row.pause)

    await asyncio.gather(*(request(number) for number in range(row.concurrent)))
    return sorted(took)


async def use_up(database: Database) -> None:
    """Use up the near rate until less than a fifth is left."""
    store = LedgerStore(database, uuid4(), time.monotonic_ns)
    now = (await store.read([])).now
    ledger = {"version": "0", "clock": "", "log": [now, 9 * NEAR.maximum // 10], "members": {}}
    name = f"rate:{WINDOW_NS // 1_000_000}:{NEAR.key}"
    await database.limit_ledgers.replace_one({"_id": name}, ledger, upsert=True)
    await store.leave()


def line(row: Row, took: Sequence[float], commands: float | None, note: str) -> str:
    """A row of the table, in Markdown; `commands` to MongoDB for each decision, None where they are not counted."""
    counted = "-" if commands is None else f"{commands:.3f}"
    p50, p99 = (1000 * took[len(took) * percent // 100] for percent in (50, 99))
    figures = f"{len(took) / SECONDS:,.0f}{note} | {p50:.2f} ms | {p99:.1f} ms | {counted}"
    return f"| {row.name} | {row.concurrent} | {figures} |"


async def measure_server() -> None:
    """Measure on a supervisor that is started for it."""
    async with server_authority() as authority:
        for row in SERVER_ROWS:
            took = await measure(authority, row)
            print(line(row, took, 0, " (the supervisor was unavailable)" if authority.unavailable else ""), flush=True)


async def measure_cluster() -> None:
    """Measure on a MongoDB that is started for it."""
    with tempfile.TemporaryDirectory() as folder:
        mongodb = await EmbeddedMongoDB.start(Path(folder))
        database = Database.connect(mongodb.uri, "benchmark")
        await database.prepare(retention=None)
        for row in ROWS:
            await use_up(database)
            authority = ClusterAuthority(database, process=uuid4())
            await authority.open()
            running = asyncio.create_task(authority.run())
            await measure(authority, row, row.warm_up)
            before = authority.commands
            took = await measure(authority, row)
            commands = (authority.commands - before) / len(took)
            note = " (the database was unavailable)" if authority.unavailable else ""
            running.cancel()
            await authority.close()
            print(line(row, took, commands, note), flush=True)
        for row in SUPERVISOR_ROWS:
            await use_up(database)
            async with server_authority(mongodb.uri) as worker:
                await measure(worker, row, row.warm_up)
                took = await measure(worker, row)
                alone = worker.unavailable or worker.database_unavailable
            print(line(row, took, None, " (decided alone)" if alone else ""), flush=True)
        database.close()
        await mongodb.stop()


@click.command()
@click.option("--scope", type=click.Choice(["server", "cluster"]), help="Only this one.")
def main(scope: str | None) -> None:
    """Measure the cost of shared decisions."""
    print("| decision | concurrent | decisions/s | p50 | p99 | commands |\n|---|---|---|---|---|---|")
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        if scope != "cluster":
            runner.run(measure_server())
        if scope != "server":
            runner.run(measure_cluster())


if __name__ == "__main__":
    main()
