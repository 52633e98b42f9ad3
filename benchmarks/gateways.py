"""Compare the bridge with other gateways and with none, in one run on one machine.

    .venv/bin/python -m benchmarks.gateways [--quick] [--rounds N] [--only NAME]..

Each round starts every gateway anew, one after the other, and measures it alone. The gateway has one core for itself;
load, upstream and database share the others. Only a whole run writes the page; every run prints its tables.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.chart import svg
from benchmarks.measurements import Measurer
from benchmarks.page import PICTURE, ROOT, machine, write_section
from benchmarks.processes import Process
from benchmarks.results import Results
from benchmarks.runners import Runner, UnavailableError, all_runners
from benchmarks.runners.bridge import embedded_mongodb
from benchmarks.runners.runner import Place, free_port
from benchmarks.tables import report

SECTION = "figures of make bench"
RESULTS = ROOT / "benchmarks/results"
ROUNDS = 3
QUICK_SCALE = 0.25
BUSY_LOAD = 0.5
_POLL_SECONDS = 0.02


class Cores:
    """Which cores of this machine are the gateway's, and which are everything else's."""

    def __init__(self, available: AbstractSet[int]) -> None:
        self._all = sorted(available)
        self.others = set(self._all[1:] or self._all)

    def of(self, runner: Runner) -> set[int]:
        """Those of a gateway. Where there are too few it shares one with the load."""
        return set(self._all[: runner.cores])


@contextmanager
def upstream(folder: Path, cores: AbstractSet[int]) -> Iterator[int]:
    """A running upstream; its port."""
    log = folder / "upstream"
    process = Process([sys.executable, "-m", "benchmarks.upstream"], log=log, cores=cores, folder=ROOT)
    try:
        while not (said := log.read_text()).endswith("\n"):
            time.sleep(_POLL_SECONDS)
        yield int(said)
    finally:
        process.stop()


class Comparison:
    """A run over several gateways."""

    def __init__(self, *, rounds: int, scale: float, folder: Path) -> None:
        self.results = Results(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), machine=machine(), cores=os.cpu_count() or 1
        )
        self._rounds = rounds
        self._scale = scale
        self._folder = folder
        self._cores = Cores(os.sched_getaffinity(0))

    def run(self, only: tuple[str, ...]) -> None:
        """Measure everything that can be had."""
        began = time.monotonic()
        if (load := os.getloadavg()[0]) > BUSY_LOAD:
            self.results.note(f"The machine had other work: its load average was {load:.1f} at the start.")
        os.sched_setaffinity(0, self._cores.others)
        data = self._folder / "mongodb"
        with embedded_mongodb(data) as mongodb, upstream(self._folder, self._cores.others) as port:
            wanted = [one for one in all_runners(mongodb) if not only or one.name in only]
            runners = [runner for runner in wanted if self._is_there(runner)]
            for number in range(1, self._rounds + 1):
                for runner in runners:
                    print(f"round {number} of {self._rounds}: {runner.name}", flush=True)
                    self._round(runner, port, last=number == self._rounds)
        self.results.seconds = round(time.monotonic() - began)

    def _is_there(self, runner: Runner) -> bool:
        try:
            self.results.versions[runner.name] = runner.prepare()
        except UnavailableError as error:
            self.results.note(f"{runner.name} was left out: {error}")
            return False
        return True

    def _round(self, runner: Runner, port: int, *, last: bool) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            place = Place(port, free_port(), Path(folder), self._cores.of(runner))
            try:
                running = runner.start(place)
            except UnavailableError as error:
                self.results.note(f"{runner.name}: {error}")
                return
            try:
                measurer = Measurer(running, scale=self._scale, note=self.results.note)
                brief = runner.cores > 1
                figures = measurer.measure(brief=brief)
                if last and not brief and self._scale == 1 and running.process is not None:
                    figures |= measurer.measure_memory()
                self.results.add(runner.name, figures)
            finally:
                running.stop()


def section(runs: Sequence[Results]) -> str:
    """What the page shows of the runs that are kept."""
    return f"![The bridge beside others]({PICTURE.name})\n\n{report(runs)}"


def write_page() -> None:
    """Write the page and the picture of the runs that are kept."""
    runs = Results.load_all(RESULTS)
    PICTURE.write_text(svg(runs[0]))
    write_section(SECTION, section(runs))


@click.command()
@click.option("--quick", is_flag=True, help="One short round, to see that everything runs.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="How often everything is measured.")
@click.option("--only", multiple=True, help="A gateway to measure; may be given several times.")
def main(*, quick: bool, rounds: int, only: tuple[str, ...]) -> None:
    """Compare the bridge with other gateways and with none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="aibridge-gateways-") as folder:
        comparison = Comparison(rounds=1 if quick else rounds, scale=QUICK_SCALE if quick else 1.0, folder=Path(folder))
        comparison.run(only)
    results = comparison.results
    print("\n" + report([results]))
    if quick or only:
        print("\nNothing was written: that takes a whole run.")
        return
    results.save(RESULTS)
    write_page()


if __name__ == "__main__":
    main()
