"""Measure the JSON API on a database of one million interceptions.

    make bench-api

The database is filled once and kept in its data-dir; later runs measure only. The server runs as operators run it, in a
process of its own, and each request is timed from outside. What the database examined is read from its profiler. The columns
`here` and `MongoDB` are milliseconds of the processor for one request, which other work of the machine changes least.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from pymongo import MongoClient

from benchmarks.api.database import BUSIEST, NAME, OWNER, fill, new_token
from benchmarks.api.requests import shapes
from benchmarks.api.server import Server, running_server
from benchmarks.api.shape import Shape
from storage.mongo.embedded import EmbeddedMongoDB

PREFIX = "/api/v2/aibridge"
WARM_UP = 3
PROGRESS_SHARE = 5
"""Of requests that tell their progress there is one for so many others, as they may take long."""


class Api:
    """A kept connection to the server, and the tokens of its callers."""

    def __init__(self, port: int, tokens: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._tokens = tokens

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, caller: str, path: str, parameters: dict[str, Any]) -> tuple[float, bytes]:
        """Send a request; return the milliseconds until the whole response was there, and the response."""
        url = f"{PREFIX}{path}?{urlencode(parameters)}"
        began = perf_counter()
        self._connection.request("GET", url, headers={"Authorization": f"Bearer {self._tokens[caller]}"})
        response = self._connection.getresponse()
        body = response.read()
        elapsed = (perf_counter() - began) * 1000
        if response.status != http.client.OK:
            raise RuntimeError(f"{response.status} for {url}: {body[:500]!r}")
        return elapsed, body

    def with_progress(self, caller: str, path: str, parameters: dict[str, Any]) -> tuple[float, float]:
        """Request lines; return the milliseconds until the first line and until the last."""
        headers = {
            "Authorization": f"Bearer {self._tokens[caller]}",
            "Accept": "application/x-ndjson, application/json",
        }
        url = f"{PREFIX}{path}?{urlencode(parameters)}"
        began = perf_counter()
        self._connection.request("GET", url, headers=headers)
        response = self._connection.getresponse()
        response.readline()
        first = (perf_counter() - began) * 1000
        rest = response.read()
        if response.status != http.client.OK or b'{"error":' in rest:
            raise RuntimeError(f"{response.status} for {url}: {rest[-500:]!r}")
        return first, (perf_counter() - began) * 1000

    def export(self, caller: str, parameters: dict[str, Any]) -> tuple[int, int]:
        """Read an export to its end without keeping it; return its lines and bytes."""
        url = f"{PREFIX}/interceptions/export?{urlencode(parameters)}"
        self._connection.request("GET", url, headers={"Authorization": f"Bearer {self._tokens[caller]}"})
        response = self._connection.getresponse()
        lines = size = 0
        while data := response.read(1 << 16):
            lines += data.count(b"\n")
            size += len(data)
        return lines, size


def measure(api: Api, shape: Shape, requests: int, warm_up: int) -> tuple[list[float], list[float]]:
    """Time requests of one kind, each with other values.

    Return two sorted lists: the times until the first line, and until the end.
    """
    random = Random(shape.name)

    def request() -> tuple[float, float]:
        if shape.has_progress:
            return api.with_progress(shape.caller, shape.path, shape.parameters(random))
        elapsed, _ = api.get(shape.caller, shape.path, shape.parameters(random))
        return elapsed, elapsed

    for _ in range(warm_up):
        request()
    first, whole = zip(*(request() for _ in range(requests)), strict=True)
    return sorted(first), sorted(whole)


def examined(client: MongoClient[dict[str, Any]], api: Api, shape: Shape, times: int) -> tuple[int, int, bool]:
    """With the profiler on: return the most keys and documents that one query examined, and whether one scanned or sorted."""
    database = client[NAME]
    database.command("profile", 0)
    database["system.profile"].drop()
    database.command("profile", 2)
    random = Random(shape.name)
    for _ in range(times):
        if shape.has_progress:
            api.with_progress(shape.caller, shape.path, shape.parameters(random))
        else:
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


class Processor:
    """The processor time of the server and of MongoDB, where both are on this machine."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._before = self._now()

    def used(self, requests: int) -> list[float]:
        """Milliseconds of each for one of so many requests since then."""
        return [
            (now - before) * 1000 / requests / os.sysconf("SC_CLK_TCK")
            for now, before in zip(self._now(), self._before, strict=True)
        ]

    def _now(self) -> list[int]:
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids]
        return [int(stat[11]) + int(stat[12]) for stat in stats]


def row(
    shape: Shape,
    first: Sequence[float],
    whole: Sequence[float],
    used: Sequence[float],
    seen: str,
) -> str:
    """One line of the table."""
    p50, p95, p99 = (_share(first, share) for share in (50, 95, 99))
    outcome = "met" if p99 <= shape.target_ms else f"missed ({shape.target_ms})"
    if shape.has_progress:
        outcome += f"; the end after {_share(whole, 50):,.0f}, at most {whole[-1]:,.0f}"
    times = f"{p50:.1f} | {p95:.1f} | {p99:.1f} | {first[-1]:.1f}"
    times += "".join(f" | {one:.0f}" for one in used)
    return f"| {shape.name} | {times} |{seen} {outcome} |"


def _share(times: Sequence[float], share: int) -> float:
    if len(times) == 1:
        return times[0]
    return statistics.quantiles(times, n=100, method="inclusive")[share - 1]


async def main() -> None:
    """Fill, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="requests before those that are timed")
    parser.add_argument(
        "--first", action="store_true", help="start the server anew for each request: nothing is in its memory then"
    )
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-api"))
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument("--no-profile", action="store_true", help="do not ask again to see what was examined")
    parser.add_argument("--no-profile-of", default="(?!)", metavar="REGEX", help="not for kinds whose name matches")
    parser.add_argument("--mongodb-uri", default="", help="a database that was filled and runs, in place of --data-dir")
    options = parser.parse_args()
    if options.mongodb_uri:
        await _measure_all(options.mongodb_uri, options)
        return
    embedded = await EmbeddedMongoDB.start(options.data_dir)
    try:
        await fill(embedded.uri, options.records)
        await _measure_all(embedded.uri, options)
    finally:
        await embedded.stop()


async def _measure_all(uri: str, options: argparse.Namespace) -> None:
    tokens = {"owner": await new_token(uri, OWNER), "member": await new_token(uri, BUSIEST)}
    if options.first:
        _print_first(uri, tokens, options)
        return
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with running_server(uri, NAME) as server, client, closing(Api(server.port, tokens)) as api:
        _print_all(api, client, server, options)


def _print_first(uri: str, tokens: dict[str, str], options: argparse.Namespace) -> None:
    """The time of the first request of each kind after a server's start."""
    print("\n| request | p50 | max | the end, p50 | max |\n|---|--:|--:|--:|--:|")
    for kind in shapes(options.records):
        if options.only not in kind.name or kind.cursor is not None:
            continue
        found = []
        for _ in range(options.requests):
            with running_server(uri, NAME) as server:
                api = Api(server.port, tokens)
                for caller in tokens:
                    api.get(caller, "/interceptions", {"limit": 1})
                found.append([times[0] for times in measure(api, kind, 1, 0)])
        first, whole = zip(*found, strict=True)
        times = (statistics.median(first), max(first), statistics.median(whole), max(whole))
        print(f"| {kind.name} | " + " | ".join(f"{one:.0f}" for one in times) + " |", flush=True)


def _print_all(api: Api, client: MongoClient[dict[str, Any]], server: Server, options: argparse.Namespace) -> None:
    kept = json.loads(api.get("owner", "/interceptions", {"limit": 1})[1])
    mongod = client.admin.command("serverStatus")["pid"]
    print(f"\n{kept['count']:,} interceptions, {options.requests} requests of each kind, milliseconds\n")
    seen = "" if options.no_profile else " keys | documents | scan or sort |"
    print(f"| request | p50 | p95 | p99 | max | here | MongoDB |{seen} target |")
    print("|---|--:|--:|--:|--:|--:|--:|" + ("" if options.no_profile else "--:|--:|---|") + "---|")
    for kind in shapes(options.records):
        if options.only in kind.name:
            shape = kind.prepared(api)
            processor = Processor(server.pid, mongod)
            number = (
                max(options.requests // PROGRESS_SHARE, min(options.requests, 2))
                if shape.has_progress
                else options.requests
            )
            times = measure(api, shape, number, options.warm_up)
            used = processor.used(number + options.warm_up)
            seen_of = "" if options.no_profile else " - | - | - |"
            if not options.no_profile and not re.search(options.no_profile_of, kind.name):
                keys, documents, scans = examined(client, api, shape, max(options.warm_up, 1))
                seen_of = f" {keys:,} | {documents:,} | {'yes' if scans else 'no'} |"
            print(row(shape, *times, used, seen_of), flush=True)
    for form in () if options.no_export else ("ndjson", "csv"):
        before, began = server.resident_kib(), perf_counter()
        lines, size = api.export("owner", {"format": form})
        seconds = perf_counter() - began
        print(
            f"\nexport {form}: {lines:,} lines, {size / 1e6:,.0f} MB in {seconds:.0f} s: {lines / seconds:,.0f} a second; "
            f"server {before / 1024:.0f} MiB before, at most {server.peak_kib() / 1024:.0f} MiB",
            flush=True,
        )
