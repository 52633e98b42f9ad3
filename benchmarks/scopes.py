"""Measure the cost of the limits' scope: processor time of a blocking request with two workers, all limits on.

    .venv/bin/python -m benchmarks.scopes [--rounds N]

A bridge of each scope runs on one MongoDB. Each round measures one after the other for two seconds. Prints the table in
Markdown: medians of the rounds, and the least and most of them. Ratios are made within a round, so that a busy machine tells
on both sides.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
from pymongo import MongoClient

from benchmarks.gateways.comparison import upstream
from benchmarks.gateways.measurements import MEASUREMENTS
from benchmarks.gateways.measurer import Measurer
from benchmarks.gateways.runners.bridge import TwoWorkers, embedded_mongodb
from benchmarks.gateways.runners.runner import Program, Setup, free_port
from benchmarks.reports.samples import summary, with_range
from benchmarks.reports.tables import markdown
from storage.mongo.embedded import EmbeddedMongoDB

ROUNDS = 15
SCOPES = ("process", "server", "cluster")
MEASURED = "blocking chat 32"
# All far from used up.
LIMITS = {
    "RATE_LIMIT": "1000000",
    "USER_RATE_LIMIT": "1000000",
    "RATE_WINDOW": "1m",
    "USER_TOKEN_LIMIT": "100000000",
    "TOKEN_WINDOW": "1h",
    "USER_BUDGET_USD": "10000",
}


class Figures(NamedTuple):
    """The cost of a request: milliseconds of processor time of the bridge and of the database, and commands about limits."""

    own: float
    database: float
    commands: float
    a_second: float


class Scoped(TwoWorkers):
    """Two workers with limits of a scope."""

    def __init__(self, mongodb: EmbeddedMongoDB | None, scope: str) -> None:
        super().__init__(mongodb)
        self.name = scope

    def program(self, setup: Setup) -> Program:
        """The same with further limits."""
        program = super().program(setup)
        more = {f"CODER_AIBRIDGE_{name}": value for name, value in {**LIMITS, "LIMITS_SCOPE": self.name}.items()}
        return Program(program.command, {**program.environ, **more}, program.folder)

    def commands(self) -> int:
        """How many commands about limits MongoDB had; see its command `top`."""
        assert self._mongodb is not None
        with MongoClient[dict[str, Any]](self._mongodb.uri) as client:
            totals = client.admin.command("top")["totals"]
            return int(totals.get(f"{self._name}.limit_ledgers", {}).get("total", {}).get("count", 0))


class Measured:
    """A running bridge, which is measured again and again."""

    def __init__(self, bridge: Scoped, port: int, folder: Path) -> None:
        folder.mkdir()
        bridge.prepare()
        self._bridge = bridge
        self.running = bridge.start(Setup(port, free_port(), folder, os.sched_getaffinity(0)))
        self._measurer = Measurer(self.running, scale=1, note=lambda text: click.echo(text, err=True))

    def measure(self) -> Figures:
        """Have it answer for a while."""
        (measurement,) = (one for one in MEASUREMENTS if one.name == MEASURED)
        before = self._bridge.commands()
        found = self._measurer.measure([measurement])
        responses = found[MEASURED] * (measurement.plan.seconds + measurement.plan.warm_up)
        commands = (self._bridge.commands() - before) / responses
        return Figures(found[f"{MEASURED} cpu"], found[f"{MEASURED} database"], commands, found[MEASURED])


def table(rounds: Sequence[Mapping[str, Figures]]) -> str:
    """The figures of each scope, in Markdown."""

    def format_values(values: Sequence[float]) -> str:
        return with_range(summary(values))

    rows = [
        (
            f"`{scope}`",
            format_values([one[scope].own for one in rounds]),
            format_values([one[scope].own / one[SCOPES[0]].own for one in rounds]),
            format_values([one[scope].database for one in rounds]),
            format_values([one[scope].commands for one in rounds]),
            format_values([one[scope].a_second for one in rounds]),
        )
        for scope in SCOPES
    ]
    head = [
        "scope",
        "processor, ms a request",
        "of `process`",
        "database, ms a request",
        "commands a request",
        "requests/s",
    ]
    return markdown(head, rows)


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True, help="How often each scope is measured.")
def main(rounds: int) -> None:
    """Measure what the scope of the limits costs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="aibridge-scopes-") as name:
        folder = Path(name)
        with ExitStack() as stack:
            mongodb = stack.enter_context(embedded_mongodb(folder / "mongodb"))
            port = stack.enter_context(upstream(folder, os.sched_getaffinity(0)))
            bridges: dict[str, Measured] = {}
            for scope in SCOPES:
                bridges[scope] = Measured(Scoped(mongodb, scope), port, folder / scope)
                stack.callback(bridges[scope].running.stop)
                bridges[scope].measure()  # then permits are there, and the code is warm
            found = [{scope: one.measure() for scope, one in bridges.items()} for _ in range(rounds)]
    click.echo(table(found))


if __name__ == "__main__":
    main()
