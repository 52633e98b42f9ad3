"""Compare the bridge with other gateways and with none, in one run on one machine.

    .venv/bin/python -m benchmarks.gateways [--quick] [--rounds N] [--only NAME].. [--row TEXT].. [--without TRICK]..

Each round starts every gateway, one after the other, and measures it alone; with TLS to the upstream it is started once
more. The gateway has one core for itself; load, upstream and database share the others. Only a whole run writes the
page; every run prints its tables.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.gateways.measurements import MEASUREMENTS, Figures, Measurement
from benchmarks.gateways.measurer import Measurer
from benchmarks.gateways.runners import Runner, UnavailableError, all_runners
from benchmarks.gateways.runners.bridge import BridgeBeside, BridgeWithout, embedded_mongodb
from benchmarks.gateways.runners.runner import Running, Setup, free_port
from benchmarks.gateways.without import TRICKS
from benchmarks.reports.chart import svg
from benchmarks.reports.page import PICTURE, ROOT, machine, write_section
from benchmarks.reports.results import Results
from benchmarks.reports.tables import report
from benchmarks.stand.certificates import make_certificates
from benchmarks.stand.processes import Process

SECTION = "figures of make bench"
RESULTS = ROOT / "benchmarks/results"
ROUNDS = 3
QUICK_SCALE = 0.25
BUSY_LOAD = 0.5
_POLL_SECONDS = 0.02


class Cores:
    """Which cores of this machine the gateway has, and which everything else has."""

    def __init__(self, available: AbstractSet[int]) -> None:
        self._all = sorted(available)
        self.others = set(self._all[1:] or self._all)

    def of(self, runner: Runner) -> set[int]:
        """The cores of a gateway. If there are too few, it shares one with the load."""
        return set(self._all[: runner.cores])


@contextmanager
def upstream(folder: Path, cores: AbstractSet[int], certificate: Path | None = None) -> Iterator[int]:
    """A running upstream; yields its port. With a certificate it speaks TLS."""
    log = folder / ("upstream-tls" if certificate else "upstream")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.stand.upstream",
        *([certificate] if certificate else []),
    ]
    process = Process(command, log=log, cores=cores, folder=ROOT)
    try:
        while not (said := log.read_text()).endswith("\n"):
            time.sleep(_POLL_SECONDS)
        yield int(said)
    finally:
        process.stop()


class Upstream(NamedTuple):
    """The port of an upstream, and with TLS the authority of its certificate."""

    port: int
    authority: Path | None = None


class Comparison:
    """A run over several gateways. The default is all gateways and all measurements."""

    def __init__(
        self,
        *,
        rounds: int,
        scale: float,
        folder: Path,
        only: Collection[str] = (),
        rows: Collection[str] = (),
        without: Collection[str] = (),
        beside: Collection[Path] = (),
    ) -> None:
        self.results = Results(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), machine=machine(), cores=os.cpu_count() or 1
        )
        self._rounds = rounds
        self._scale = scale
        self._folder = folder
        self._only = only
        self._without = without
        self._beside = beside
        self._measurements = [one for one in MEASUREMENTS if not rows or any(row in one.name for row in rows)]
        self._with_memory = scale == 1 and not rows
        self._cores = Cores(os.sched_getaffinity(0))

    def run(self) -> None:
        """Measure every available gateway."""
        began = time.monotonic()
        if (load := os.getloadavg()[0]) > BUSY_LOAD:
            self.results.note(f"The machine had other work: its load average was {load:.1f} at the start.")
        os.sched_setaffinity(0, self._cores.others)
        with ExitStack() as stack:
            mongodb = stack.enter_context(embedded_mongodb(self._folder / "mongodb"))
            upstreams = self._start_upstreams(stack)
            known = [one for one in all_runners(mongodb) if not self._only or one.name in self._only]
            without = [BridgeWithout(mongodb, trick) for trick in self._without]
            beside = [BridgeBeside(mongodb, folder) for folder in self._beside]
            there = [runner for runner in (*known, *without, *beside) if self._is_there(runner)]
            for number in range(1, self._rounds + 1):
                for runner in there:
                    print(f"round {number} of {self._rounds}: {runner.name}", flush=True)
                    for one in upstreams:
                        self._round(runner, one, last=number == self._rounds)
        self.results.seconds = round(time.monotonic() - began)

    def _start_upstreams(self, stack: ExitStack) -> list[Upstream]:
        started = [Upstream(stack.enter_context(upstream(self._folder, self._cores.others)))]
        certificates = make_certificates(self._folder)
        if certificates is None:
            self.results.note("TLS to the upstream was left out: openssl is not installed")
        else:
            port = stack.enter_context(upstream(self._folder, self._cores.others, certificates.server))
            started.append(Upstream(port, certificates.authority))
        return started

    def _is_there(self, runner: Runner) -> bool:
        try:
            self.results.versions[runner.name] = runner.prepare()
        except UnavailableError as error:
            self.results.note(f"{runner.name} was left out: {error}")
            return False
        return True

    def _round(self, runner: Runner, to: Upstream, *, last: bool) -> None:
        tls = to.authority is not None
        measurements = [one for one in self._measurements if one.tls is tls and one.suits(runner)]
        if not measurements:
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            setup = Setup(to.port, free_port(), Path(folder), self._cores.of(runner), to.authority)
            try:
                running = runner.start(setup)
            except UnavailableError as error:
                self.results.note(f"{runner.name}{', TLS to the upstream' if tls else ''}: {error}")
                return
            try:
                self.results.add(runner.name, self._measure(running, measurements, tls=tls, last=last))
            finally:
                running.stop()

    def _measure(self, running: Running, measurements: Sequence[Measurement], *, tls: bool, last: bool) -> Figures:
        measurer = Measurer(running, scale=self._scale, note=self.results.note)
        figures = {} if tls else measurer.measure_start()
        figures |= measurer.measure(measurements)
        several_workers = running.runner.cores > 1
        if last and not tls and self._with_memory and not several_workers and running.process is not None:
            figures |= measurer.measure_memory()
        return figures


def section(runs: Sequence[Results]) -> str:
    """The part of the page that shows the kept runs."""
    return f"![The bridge beside others]({PICTURE.name})\n\n{report(runs)}"


def write_page() -> None:
    """Write the page and the picture of the kept runs."""
    runs = Results.load_all(RESULTS)
    PICTURE.write_text(svg(runs[0]))
    write_section(SECTION, section(runs))


@click.command()
@click.option("--quick", is_flag=True, help="One short round, to see that everything runs.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="How often everything is measured.")
@click.option("--only", multiple=True, help="A gateway to measure; may be given several times.")
@click.option("--row", "rows", multiple=True, help="Part of the name of what to measure; may be given several times.")
@click.option("--without", multiple=True, type=click.Choice(list(TRICKS)), help="Measure the bridge without it, too.")
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout of the bridge: measure its server, too.",
)
def main(
    *,
    quick: bool,
    rounds: int,
    only: tuple[str, ...],
    rows: tuple[str, ...],
    without: tuple[str, ...],
    beside: tuple[Path, ...],
) -> None:
    """Compare the bridge with other gateways and with none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="aibridge-gateways-") as folder:
        comparison = Comparison(
            rounds=1 if quick else rounds,
            scale=QUICK_SCALE if quick else 1.0,
            folder=Path(folder),
            only=only,
            rows=rows,
            without=without,
            beside=beside,
        )
        comparison.run()
    results = comparison.results
    print("\n" + report([results]))
    if quick or only or rows or without or beside:
        print("\nNothing was written: that takes a whole run.")
        return
    results.save(RESULTS)
    write_page()
