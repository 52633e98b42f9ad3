"""Measure the JSON API on a database of one million interceptions.

    .venv/bin/python -m benchmarks.api [--records N] [--requests N] [--only TEXT] [--data-dir DIR]

The database is filled once and kept in its data-dir; later runs measure only. The server runs as operators run it, in a
process of its own, and each request is timed from outside. The columns `here` and `MongoDB` are milliseconds of the
processor for one request, which other work of the machine changes least.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlencode

import click

from benchmarks.api.database import MEMBER, NAME, OWNER, fill, new_token
from benchmarks.api.requests import Shape, shapes
from benchmarks.stand.processes import cpu_seconds
from storage.mongo.embedded import EmbeddedMongoDB

WARM_UP = 3
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


@contextmanager
def running_server(uri: str) -> Iterator[tuple[int, int]]:
    """Run the server on the database; yields its port and process id."""
    with TemporaryDirectory() as data_dir:
        address = ("--http-address", "127.0.0.1:0", "--data-dir", data_dir)
        process = subprocess.Popen(
            [sys.executable, "server.py", "serve", *address],
            stdout=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "AIBRIDGE_MONGODB_URI": uri,
                "AIBRIDGE_MONGODB_DATABASE": NAME,
                "AIBRIDGE_RETENTION": "0",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            found = next(filter(None, map(_LISTENING.search, process.stderr)))
            yield int(found[1]), process.pid
        finally:
            process.terminate()
            process.communicate(timeout=60)


def measure(port: int, token: str, shape: Shape, requests: int) -> list[float]:
    """Time requests of one kind, each with other values, after some to warm up; return the milliseconds in rising order.

    Raises:
        RuntimeError: a response is not 200.
    """
    random, times = Random(shape.name), []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(WARM_UP + requests):
        url = f"/api/v2/aibridge{shape.path}?{urlencode(shape.parameters(random))}"
        began = perf_counter()
        connection.request("GET", url, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
        times.append((perf_counter() - began) * 1000)
        if response.status != http.client.OK:
            raise RuntimeError(f"{response.status} for {url}: {body[:500]!r}")
    connection.close()
    return sorted(times[WARM_UP:])


def row(port: int, token: str, shape: Shape, requests: int, pids: tuple[int, int]) -> str:
    """Measure one kind; return its line of the table."""
    before = [cpu_seconds(pid) for pid in pids]
    times = measure(port, token, shape, requests)
    used = [(cpu_seconds(pid) - one) * 1000 / (WARM_UP + requests) for pid, one in zip(pids, before, strict=True)]
    cuts = statistics.quantiles(times, n=100, method="inclusive") if requests > 1 else times * 99
    found = (cuts[49], cuts[94], cuts[98], times[-1], *used)
    outcome = "met" if cuts[98] <= shape.target_ms else f"missed ({shape.target_ms})"
    return f"| {shape.name} | " + " | ".join(f"{one:.1f}" for one in found) + f" | {outcome} |"


@click.command()
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--requests", default=200, show_default=True, help="Of each kind.")
@click.option("--only", default="", help="Kinds whose name has this in it.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data/bench-api"), show_default=True)
def main(*, records: int, requests: int, only: str, data_dir: Path) -> None:
    """Fill, serve, measure, print."""
    with asyncio.Runner() as runner:
        mongodb = runner.run(EmbeddedMongoDB.start(data_dir))
        try:
            runner.run(fill(mongodb.uri, records))
            tokens = {
                caller: runner.run(new_token(mongodb.uri, user))
                for caller, user in (("owner", OWNER), ("member", MEMBER))
            }
            with running_server(mongodb.uri) as (port, pid):
                print(f"\n{records:,} interceptions, {requests} requests of each kind, milliseconds\n")
                print("| request | p50 | p95 | p99 | max | here | MongoDB | target |")
                print("|---|--:|--:|--:|--:|--:|--:|---|")
                for shape in shapes(records):
                    if only in shape.name:
                        print(row(port, tokens[shape.caller], shape, requests, (pid, mongodb.pid)), flush=True)
        finally:
            runner.run(mongodb.stop())


if __name__ == "__main__":
    main()
