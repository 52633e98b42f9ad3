"""Measure the JSON API on a database of one million interceptions.

    make bench-api

The database is filled once and kept in its data-dir; later runs measure only. The server runs as operators run it, in a
process of its own, and each request is timed from outside. What the database examined is read from its profiler.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from pymongo import MongoClient

from benchmarks.api.database import BUSIEST, NAME, OWNER, fill, new_token
from benchmarks.api.requests import Shape, shapes
from benchmarks.api.server import running_server
from storage.mongo.embedded import EmbeddedMongoDB

PREFIX = "/api/v2/aibridge"
WARM_UP = 3


class Api:
    """A connection to the server that is kept, and the tokens of those who ask."""

    def __init__(self, port: int, tokens: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._tokens = tokens

    def get(self, caller: str, path: str, parameters: dict[str, Any]) -> tuple[float, bytes]:
        """Ask once; the milliseconds until the whole answer was there, and the answer."""
        url = f"{PREFIX}{path}?{urlencode(parameters)}"
        began = perf_counter()
        self._connection.request("GET", url, headers={"Authorization": f"Bearer {self._tokens[caller]}"})
        answer = self._connection.getresponse()
        body = answer.read()
        elapsed = (perf_counter() - began) * 1000
        if answer.status != http.client.OK:
            raise RuntimeError(f"{answer.status} for {url}: {body[:500]!r}")
        return elapsed, body

    def export(self, caller: str, parameters: dict[str, Any]) -> tuple[int, int]:
        """Read an export to its end without keeping it; its lines and bytes."""
        url = f"{PREFIX}/interceptions/export?{urlencode(parameters)}"
        self._connection.request("GET", url, headers={"Authorization": f"Bearer {self._tokens[caller]}"})
        answer = self._connection.getresponse()
        lines = size = 0
        while data := answer.read(1 << 16):
            lines += data.count(b"\n")
            size += len(data)
        return lines, size


def measure(api: Api, shape: Shape, requests: int) -> list[float]:
    """Time requests of one kind, each with other values."""
    random = Random(shape.name)
    for _ in range(WARM_UP):
        api.get(shape.caller, shape.path, shape.parameters(random))
    return sorted(api.get(shape.caller, shape.path, shape.parameters(random))[0] for _ in range(requests))


def examined(client: MongoClient[dict[str, Any]], api: Api, shape: Shape) -> tuple[int, int, bool]:
    """Ask a few times with the profiler on: most keys and documents examined by one query, and whether it scanned or sorted."""
    database = client[NAME]
    database.command("profile", 0)
    database["system.profile"].drop()
    database.command("profile", 2)
    random = Random(shape.name)
    for _ in range(WARM_UP):
        api.get(shape.caller, shape.path, shape.parameters(random))
    database.command("profile", 0)
    entries = list(
        database["system.profile"].find({"op": {"$in": ["query", "command", "getmore"]}, "appName": "aibridge"})
    )
    relevant = [
        entry
        for entry in entries
        if "keysExamined" in entry and entry["ns"].rpartition(".")[2] in {"interceptions", "sessions", "rollups"}
    ]
    # What is sorted behind a sum is a few names.
    scans = (
        "COLLSCAN" in entry.get("planSummary", "") or ("find" in entry["command"] and entry.get("hasSortStage"))
        for entry in relevant
    )
    keys: Counter[int] = Counter()
    documents: Counter[int] = Counter()
    for number, entry in enumerate(relevant):
        query = entry.get("cursorid", number)  # a query that is answered in several batches has several entries
        keys[query] += entry["keysExamined"]
        documents[query] += entry["docsExamined"]
    return max(keys.values(), default=0), max(documents.values(), default=0), any(scans)


def row(shape: Shape, times: Sequence[float], seen: tuple[int, int, bool]) -> str:
    """One line of the table."""
    centiles = statistics.quantiles(times, n=100)
    p50, p95, p99 = centiles[49], centiles[94], centiles[98]
    verdict = "met" if p99 <= shape.target_ms else f"missed ({shape.target_ms})"
    keys, documents, scans = seen
    scan = "yes" if scans else "no"
    return f"| {shape.name} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {times[-1]:.1f} | {keys:,} | {documents:,} | {scan} | {verdict} |"


async def main() -> None:
    """Fill, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-api"))
    parser.add_argument("--no-export", action="store_true")
    options = parser.parse_args()
    embedded = await EmbeddedMongoDB.start(options.data_dir)
    try:
        await fill(embedded.uri, options.records)
        tokens = {"owner": await new_token(embedded.uri, OWNER), "member": await new_token(embedded.uri, BUSIEST)}
        client: MongoClient[dict[str, Any]] = MongoClient(embedded.uri)
        with running_server(embedded.uri, NAME) as server, client:
            api = Api(server.port, tokens)
            kept = json.loads(api.get("owner", "/interceptions", {"limit": 1})[1])
            print(f"\n{kept['count']:,} interceptions, {options.requests} requests of each kind, milliseconds\n")
            print(
                "| request | p50 | p95 | p99 | max | keys | documents | scan or sort | target |\n|---|--:|--:|--:|--:|--:|--:|---|---|"
            )
            for kind in shapes(options.records):
                if options.only in kind.name:
                    shape = kind.prepared(api)
                    times = measure(api, shape, options.requests)
                    print(row(shape, times, examined(client, api, shape)), flush=True)
            for form in () if options.no_export else ("ndjson", "csv"):
                before, began = server.resident_kib(), perf_counter()
                lines, size = api.export("owner", {"format": form})
                seconds = perf_counter() - began
                print(
                    f"\nexport {form}: {lines:,} lines, {size / 1e6:,.0f} MB in {seconds:.0f} s: {lines / seconds:,.0f} a second; "
                    f"server {before / 1024:.0f} MiB before, at most {server.peak_kib() / 1024:.0f} MiB",
                    flush=True,
                )
    finally:
        await embedded.stop()
