"""What is measured of a running gateway. Each measurement is a plan of load, and the figures that its tally gives.

Rates are per second, times in milliseconds, processor time in seconds per 1,000, memory in MB and KB of 1,000 bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from benchmarks.conversations import Exchange
from benchmarks.load import Load, Plan, Tally
from benchmarks.processes import Use, cpu_seconds
from benchmarks.runners.runner import Running
from benchmarks.samples import percentile

EVENTS, GAP_MS = 100, 10
PACED_STREAMS = {1: 5, 10: 10, 64: EVENTS, 256: EVENTS}
"""How many streams at a time, and the events of each: fewer where first bytes would be too few to have a p99."""

STREAMS_FOR_3000_A_SECOND = 30
SLOW_STREAMS = (1000, 5000)
SLOW_STREAMS_A_SECOND = 500
SETTLE_SECONDS = 30.0
"""How long a gateway may take to finish what a measurement has left it."""

_SAMPLE_SECONDS, _IDLE_SHARE = 0.2, 0.1

Figures = dict[str, float]


class Observed(NamedTuple):
    """What a gateway had used at a moment, and seconds of processor time of the database beside it."""

    own: Use
    database_seconds: float


class Spent(NamedTuple):
    """Seconds of processor time from rest to rest: of a gateway, and of the database beside it."""

    own: float
    database: float


@dataclass(frozen=True)
class Measurement:
    """A plan, and what its tally says, with what was spent on all of it, the time before it was counted included.

    Those that are `brief` are all that several workers are measured by.
    """

    plan: Plan
    figures: Callable[[Tally, Spent], Figures]
    brief: bool = False


def _busy(tally: Tally) -> float:
    used: float = tally.after.own.cpu_seconds - tally.before.own.cpu_seconds
    return 100 * used / tally.seconds


def _blocking(name: str) -> Callable[[Tally, Spent], Figures]:
    def figures(tally: Tally, spent: Spent) -> Figures:
        return {
            f"blocking {name}": tally.answers / tally.seconds,
            f"blocking {name} cpu": 1000 * spent.own / max(1, tally.all_answers),
            f"blocking {name} database": 1000 * spent.database / max(1, tally.all_answers),
            f"blocking {name} busy": _busy(tally),
        }

    return figures


def _burst(name: str) -> Callable[[Tally, Spent], Figures]:
    def figures(tally: Tally, spent: Spent) -> Figures:
        return {
            f"burst {name}": tally.events / EVENTS / tally.seconds,
            f"burst {name} events": tally.events / tally.seconds,
            f"burst {name} cpu": 1000 * spent.own / max(1, tally.all_events),
            f"burst {name} busy": _busy(tally),
        }

    return figures


def _latency(streams: int) -> Callable[[Tally, Spent], Figures]:
    def figures(tally: Tally, spent: Spent) -> Figures:  # noqa: ARG001 - the same for all
        found = {f"share {streams}": 100 * tally.events / tally.seconds / (streams * 1000 / GAP_MS)}
        for name, values in (("first byte", tally.first_bytes), ("delay", tally.delays)):
            ordered = sorted(values)
            for percent in (50, 99) if ordered else ():
                found[f"{name} {streams} p{percent}"] = percentile(ordered, percent) / 1e6
        return found

    return figures


def _paced_cpu(tally: Tally, spent: Spent) -> Figures:
    return {"paced cpu": 1000 * spent.own / max(1, tally.all_events)}


def _measurements() -> Iterator[Measurement]:
    for connections in (1, 32, 256):
        plan = Plan(Exchange(), connections, seconds=2)
        yield Measurement(plan, _blocking(f"chat {connections}"), brief=connections == 32)
    for api in ("chat", "responses", "messages"):
        yield Measurement(Plan(Exchange(api, EVENTS), 32, seconds=2), _burst(api), brief=api == "chat")
    for api in ("responses", "messages"):
        yield Measurement(Plan(Exchange(api), 32, seconds=1.5), _blocking(f"{api} 32"))
    for streams, events in PACED_STREAMS.items():
        many = events == EVENTS
        plan = Plan(Exchange("chat", events, GAP_MS), streams, seconds=3 if many else 5)
        yield Measurement(replace(plan, warm_up=1.5, ramp=1.0) if many else plan, _latency(streams))
    exchange = Exchange("chat", EVENTS, GAP_MS)
    yield Measurement(Plan(exchange, STREAMS_FOR_3000_A_SECOND, seconds=3, warm_up=1.5, ramp=1.0), _paced_cpu)


MEASUREMENTS = list(_measurements())


class Measurer:
    """Measures one running gateway. `scale` shortens everything but memory, `note` is told what went wrong."""

    def __init__(self, running: Running, *, scale: float, note: Callable[[str], None]) -> None:
        self._running = running
        self._scale = scale
        self._note = note

    def measure(self, *, brief: bool) -> Figures:
        """All figures but those of memory."""
        found = {"start": self._running.start_seconds, "memory idle": self._observe().own.resident_bytes / 1e6}
        if self._running.process is None:
            found.clear()
        for measurement in MEASUREMENTS:
            if measurement.brief or not brief:
                rested = self._settle()
                tally = self._run(_scaled(measurement.plan, self._scale))
                if tally.answers or tally.events:
                    again = self._settle()
                    own = again.own.cpu_seconds - rested.own.cpu_seconds
                    found |= measurement.figures(tally, Spent(own, again.database_seconds - rested.database_seconds))
                else:
                    self._say(f"{_named(measurement.plan)}: nothing came")
        return found

    def measure_memory(self) -> Figures:
        """Resident memory with many streams open, one event a second each."""
        idle, found = self._settle().own.resident_bytes, {}
        for streams in SLOW_STREAMS:
            ramp = streams / SLOW_STREAMS_A_SECOND
            tally = self._run(Plan(Exchange("chat", 1000, 1000), streams, seconds=1, warm_up=ramp + 2, ramp=ramp))
            if tally.open_streams < streams:
                self._say(f"had begun {tally.open_streams:,} of {streams:,} slow streams after {ramp + 3:.0f} s")
                break
            resident = tally.after.own.resident_bytes
            found[f"memory {streams}"] = resident / 1e6
            found[f"memory per stream {streams}"] = (resident - idle) / streams / 1e3
        return found

    def _run(self, plan: Plan) -> Tally:
        target = self._running.target(plan.exchange.api)
        try:
            tally = Load(target, plan).run(self._observe)
        except OSError as error:
            self._say(f"{_named(plan)}: {error}")
            return Tally(seconds=1)
        for reason, times in tally.failures.items():
            self._say(f"{_named(plan)}: {reason}, {times} times")
        return tally

    def _observe(self) -> Observed:
        process, database = self._running.process, self._running.runner.database
        own = Use(0.0, 0) if process is None else process.use()
        return Observed(own, 0.0 if database is None else cpu_seconds(database))

    def _settle(self) -> Observed:
        """Let it finish what the measurement before has left it, and observe it then."""
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


def _scaled(plan: Plan, scale: float) -> Plan:
    return replace(plan, seconds=plan.seconds * scale, warm_up=plan.warm_up * scale, ramp=plan.ramp * scale)


def _named(plan: Plan) -> str:
    exchange = plan.exchange
    kind = f"streams of {exchange.events} events, {exchange.gap_ms} ms apart" if exchange.events else "blocking"
    return f"{exchange.api}, {plan.connections} connections, {kind}"
