"""Compare the bridge with other gateways and with none, in one run on one machine.

    .venv/bin/python -m benchmarks.gateways [--quick] [--rounds N] [--only NAME].. [--row TEXT]..
        [--beside FOLDER].. [--scopes]

Each round starts every gateway, one after the other, and measures it alone. The gateway has one core for itself; load,
upstream and database share the others. Only a whole run writes the page; every run prints its tables.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.gateways.measurements import MEASUREMENTS, Measurement
from benchmarks.gateways.measurer import Measurer
from benchmarks.gateways.runners.bridge import BridgeBeside, BridgeInScope, BridgeRunner, embedded_mongodb
from benchmarks.gateways.runners.direct import Direct
from benchmarks.gateways.runners.ferro import Ferro, FerroWithLog
from benchmarks.gateways.runners.runner import Runner, Setup, UnavailableError, free_port
from benchmarks.gateways.runners.smg import SMG
from benchmarks.report import Results, write_section
from benchmarks.stand.processes import Cores, running_upstream

SECTION = "figures of make bench"
ROUNDS = 3
QUICK_SCALE = 0.25
BUSY_LOAD = 0.5


class GatewayComparison:
    """A run over several gateways. `scale` shortens the measurements."""

    def __init__(self, *, scale: float, folder: Path, upstream: int, cores: Cores) -> None:
        self.results = Results(date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}")
        self._scale = scale
        self._folder = folder
        self._upstream = upstream
        self._cores = cores

    def prepare(self, runner: Runner) -> bool:
        """Install a gateway; whether it can be measured."""
        try:
            self.results.versions[runner.name] = runner.prepare()
        except UnavailableError as error:
            self.results.note(f"{runner.name} was left out: {error}")
            return False
        return True

    def measure(self, runner: Runner, measurements: list[Measurement], *, memory: bool) -> None:
        """Start a gateway, make these measurements, end it."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            try:
                running = runner.start(Setup(self._upstream, free_port(), Path(folder), {self._cores.gateway}))
            except UnavailableError as error:
                self.results.note(f"{runner.name}: {error}")
                return
            try:
                measurer = Measurer(running, scale=self._scale, note=self.results.note)
                self.results.add(runner.name, measurer.measure_start())
                self.results.add(
                    runner.name, measurer.measure(one for one in measurements if one.plan.spec.api in runner.apis)
                )
                if memory:
                    self.results.add(runner.name, measurer.measure_memory())
            finally:
                running.stop()


@click.command()
@click.option("--quick", is_flag=True, help="One short round, to see that everything runs.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="How often everything is measured.")
@click.option("--only", multiple=True, help="A gateway to measure; may be given several times.")
@click.option("--row", "rows", multiple=True, help="Part of the name of what to measure; may be given several times.")
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout of the bridge: measure its server, too.",
)
@click.option("--scopes", is_flag=True, help="Measure the bridge with each limits-scope, and no other gateway.")
def main(
    *,
    quick: bool,
    rounds: int,
    only: tuple[str, ...],
    rows: tuple[str, ...],
    beside: tuple[Path, ...],
    scopes: bool,
) -> None:
    """Compare the bridge with other gateways and with none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, rounds = time.monotonic(), 1 if quick else rounds
    measurements = [one for one in MEASUREMENTS if not rows or any(row in one.name for row in rows)]
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, cores.others)
    with (
        tempfile.TemporaryDirectory(prefix="aibridge-gateways-") as name,
        embedded_mongodb(Path(name) / "mongodb") as mongodb,
        running_upstream(Path(name), cores.others) as port,
    ):
        scale = QUICK_SCALE if quick else 1.0
        comparison = GatewayComparison(scale=scale, folder=Path(name), upstream=port, cores=cores)
        results = comparison.results
        if (load := os.getloadavg()[0]) > BUSY_LOAD:
            results.note(f"The machine had other work: its load average was {load:.1f} at the start.")
        every = (Direct(), BridgeRunner(mongodb), SMG(), Ferro(), FerroWithLog())
        known = BridgeInScope.every(mongodb) if scopes else [one for one in every if not only or one.name in only]
        there = list(filter(comparison.prepare, [*known, *(BridgeBeside(mongodb, folder) for folder in beside)]))
        for number in range(1, rounds + 1):
            for runner in there:
                print(f"round {number} of {rounds}: {runner.name}", flush=True)
                comparison.measure(runner, measurements, memory=number == rounds and not (quick or rows))
        results.seconds = round(time.monotonic() - began)
    print("\n" + results.report())
    if quick or only or rows or beside or scopes:
        print("\nNothing was written: that takes a whole run.")
    else:
        write_section(SECTION, results.report())


if __name__ == "__main__":
    main()
