"""Measures one running gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from benchmarks.gateways.measurements import Measurement, Observed, ProcessorTimes
from benchmarks.gateways.runners.runner import Running
from benchmarks.report import Figures
from benchmarks.stand.conversations import CallSpec
from benchmarks.stand.load import Load, LoadPlan, Totals
from benchmarks.stand.processes import ProcessUse, cpu_seconds

SLOW_STREAMS = (1000, 5000)
SLOW_STREAMS_A_SECOND = 500
SETTLE_SECONDS = 30.0
"""How long a gateway may take to finish what a measurement has left it."""

_SAMPLE_SECONDS, _IDLE_SHARE = 0.2, 0.1


class Measurer:
    """Measures one running gateway. `scale` shortens everything except memory; `note` gets what went wrong."""

    def __init__(self, running: Running, *, scale: float, note: Callable[[str], None]) -> None:
        self._running = running
        self._scale = scale
        self._note = note

    def measure_start(self) -> Figures:
        """Its start time, and its memory before the first load."""
        if self._running.process is None:
            return {}
        idle = self._observe().own.resident_bytes / 1e6
        return {"start until a call is answered, s": self._running.start_seconds, "resident, idle, MB": idle}

    def measure(self, measurements: Iterable[Measurement]) -> Figures:
        """Make these measurements one after the other; return their figures."""
        found: Figures = {}
        rested = self._settle()
        for measurement in measurements:
            totals = self._run(measurement.name, _scaled(measurement.plan, self._scale))
            again = self._settle()
            if totals.responses or totals.events:
                own = again.own.cpu_seconds - rested.own.cpu_seconds
                found |= measurement.figures(
                    totals, ProcessorTimes(own, again.database_seconds - rested.database_seconds)
                )
            else:
                self._say(f"{measurement.name}: nothing came")
            rested = again
        return found

    def measure_memory(self) -> Figures:
        """Resident memory with many streams open, one event a second each."""
        if self._running.process is None:
            return {}
        idle, found = self._settle().own.resident_bytes, {}
        for streams in SLOW_STREAMS:
            ramp = streams / SLOW_STREAMS_A_SECOND
            plan = LoadPlan(CallSpec("chat", 1000, 1000), streams, seconds=1, warm_up=ramp + 2, ramp=ramp)
            totals = self._run(f"{streams:,} slow streams", plan)
            if totals.open_streams < streams:
                self._say(f"had begun {totals.open_streams:,} of {streams:,} slow streams after {ramp + 3:.0f} s")
                break
            resident = totals.after.own.resident_bytes
            found[f"resident, {streams:,} slow streams, MB"] = resident / 1e6
            found[f"per slow stream, of {streams:,}, KB"] = (resident - idle) / streams / 1e3
        return found

    def _run(self, name: str, plan: LoadPlan) -> Totals:
        target = self._running.target(plan.spec.api)
        try:
            totals = Load(target, plan).run(self._observe)
        except OSError as error:
            self._say(f"{name}: {error}")
            return Totals(seconds=1)
        for reason, times in totals.failures.items():
            self._say(f"{name}: {reason}, {times} times")
        return totals

    def _observe(self) -> Observed:
        process, database = self._running.process, self._running.runner.database
        own = ProcessUse(0.0, 0) if process is None else process.use()
        return Observed(own, 0.0 if database is None else cpu_seconds(database))

    def _settle(self) -> Observed:
        """Let it finish the work of the last measurement, and observe it then."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            before = self._observe()
            time.sleep(_SAMPLE_SECONDS)
            now = self._observe()
            idle = now.own.cpu_seconds - before.own.cpu_seconds < _IDLE_SHARE * _SAMPLE_SECONDS
            if idle and self._running.runner.at_rest():
                return now
            if time.monotonic() >= end:
                self._say(f"not at rest after {SETTLE_SECONDS:.0f} s")
                return now

    def _say(self, text: str) -> None:
        self._note(f"{self._running.runner.name}: {text}")


def _scaled(plan: LoadPlan, scale: float) -> LoadPlan:
    return replace(plan, seconds=plan.seconds * scale, warm_up=plan.warm_up * scale, ramp=plan.ramp * scale)
