"""The measurements of a running gateway. Each is a plan of load, and the figures that its totals give.

Rates are per second, times in milliseconds, processor time in seconds per 1,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.gateways.runners.runner import Runner
from benchmarks.reports.samples import percentile
from benchmarks.stand.conversations import CallSpec
from benchmarks.stand.load import Plan, Totals
from benchmarks.stand.processes import Use

EVENTS, GAP_MS = 100, 10
PACED_STREAMS = {1: 5, 10: 10, 64: EVENTS, 256: EVENTS}
"""How many streams at a time, and the events of each: fewer where first bytes would be too few to have a p99."""

STREAMS_FOR_3000_A_SECOND = 30
FIRST_BYTE_MS = 300
"""When a provider's first byte comes."""
MANY_STREAMS, MANY_EVENTS, MANY_GAP_MS = 1000, 60, 50
HISTORY_BYTES = 200_000
"""The body of a request in a long conversation."""

Figures = dict[str, float]


class Observed(NamedTuple):
    """The use of a gateway at a moment, and seconds of processor time of the database beside it."""

    own: Use
    database_seconds: float


class Spent(NamedTuple):
    """Seconds of processor time from rest to rest: of a gateway, and of the database beside it."""

    own: float
    database: float


Measured = Callable[[Totals, Spent], Figures]


@dataclass(frozen=True)
class Measurement:
    """A plan, and the figures from its totals and from the processor time of the whole plan, warm-up included.

    Attributes:
        name: The name of its figures, and of notes about it.
        tls: Whether the gateway has TLS to the upstream.
        brief: Whether it is one of the few measurements for several workers.
    """

    name: str
    plan: Plan
    figures: Measured
    tls: bool = False
    brief: bool = False

    def suits(self, runner: Runner) -> bool:
        """Whether this gateway can be measured in this way."""
        has_api = self.plan.spec.api in runner.apis
        return has_api and (self.brief or runner.cores == 1) and (runner.calls_upstream or not self.tls)


def _busy(totals: Totals) -> float:
    used: float = totals.after.own.cpu_seconds - totals.before.own.cpu_seconds
    return 100 * used / totals.seconds


def _percentiles(name: str, nanoseconds: list[int]) -> Figures:
    ordered = sorted(nanoseconds)
    return {f"{name} p{percent}": percentile(ordered, percent) / 1e6 for percent in ((50, 99) if ordered else ())}


def _blocking(name: str) -> Measured:
    def figures(totals: Totals, spent: Spent) -> Figures:
        return {
            name: totals.responses / totals.seconds,
            f"{name} cpu": 1000 * spent.own / max(1, totals.all_responses),
            f"{name} database": 1000 * spent.database / max(1, totals.all_responses),
            f"{name} busy": _busy(totals),
        }

    return figures


def _waiting(name: str) -> Measured:
    def figures(totals: Totals, spent: Spent) -> Figures:
        return _blocking(name)(totals, spent) | _percentiles(f"{name} first byte", list(totals.first_bytes))

    return figures


def _burst(name: str) -> Measured:
    def figures(totals: Totals, spent: Spent) -> Figures:
        return {
            name: totals.events / EVENTS / totals.seconds,
            f"{name} events": totals.events / totals.seconds,
            f"{name} cpu": 1000 * spent.own / max(1, totals.all_events),
            f"{name} busy": _busy(totals),
        }

    return figures


def _latency(streams: int, gap_ms: int = GAP_MS) -> Measured:
    def figures(totals: Totals, spent: Spent) -> Figures:
        return {
            f"share {streams}": 100 * totals.events / totals.seconds / (streams * 1000 / gap_ms),
            f"share {streams} cpu": 1000 * spent.own / max(1, totals.all_events),
            **_percentiles(f"first byte {streams}", list(totals.first_bytes)),
            **_percentiles(f"delay {streams}", list(totals.delays)),
        }

    return figures


def _paced_cpu(name: str) -> Measured:
    def figures(totals: Totals, spent: Spent) -> Figures:
        return {f"{name} cpu": 1000 * spent.own / max(1, totals.all_events)}

    return figures


def _at_once() -> Iterator[Measurement]:
    """The maximum throughput of a gateway, with an upstream that takes no time."""
    for connections in (1, 32, 256):
        name, plan = f"blocking chat {connections}", Plan(CallSpec(), connections, seconds=2)
        yield Measurement(name, plan, _blocking(name), brief=connections == 32)
    for api in ("chat", "responses", "messages"):
        name, plan = f"burst {api}", Plan(CallSpec(api, EVENTS), 32, seconds=2)
        yield Measurement(name, plan, _burst(name), brief=api == "chat")
    for api in ("responses", "messages"):
        name = f"blocking {api} 32"
        yield Measurement(name, Plan(CallSpec(api), 32, seconds=1.5), _blocking(name))
    name = "history 32"
    yield Measurement(name, Plan(CallSpec(history_bytes=HISTORY_BYTES), 32, seconds=2), _blocking(name))


def _paced() -> Iterator[Measurement]:
    """The time that a gateway adds, with an upstream that takes time."""
    for streams, events in PACED_STREAMS.items():
        spec = CallSpec("chat", events, GAP_MS)
        many = Plan(spec, streams, seconds=3, warm_up=1.5, ramp=1.0)
        plan = many if events == EVENTS else Plan(spec, streams, seconds=5)
        yield Measurement(f"paced {streams}", plan, _latency(streams))
    yield Measurement("paced", PLAN_FOR_3000_A_SECOND, _paced_cpu("paced"))
    for connections in (32, 256):
        name, wait = f"wait {connections}", FIRST_BYTE_MS / 1000
        plan = Plan(CallSpec(wait_ms=FIRST_BYTE_MS), connections, seconds=8 * wait, warm_up=2 * wait, ramp=wait)
        yield Measurement(name, plan, _waiting(name))
    seconds = MANY_EVENTS * MANY_GAP_MS / 1000  # so long is a stream: begun over that time, some end at any
    plan = Plan(CallSpec("chat", MANY_EVENTS, MANY_GAP_MS), MANY_STREAMS, seconds=3, warm_up=seconds + 1, ramp=seconds)
    yield Measurement(f"paced {MANY_STREAMS}", plan, _latency(MANY_STREAMS, MANY_GAP_MS))


def _over_tls() -> Iterator[Measurement]:
    """The cost of TLS to the upstream, on kept connections."""
    yield Measurement("tls blocking", Plan(CallSpec(), 32, seconds=1.5), _blocking("tls blocking"), tls=True)
    yield Measurement("tls burst", Plan(CallSpec("chat", EVENTS), 32, seconds=1.5), _burst("tls burst"), tls=True)
    yield Measurement("tls paced", PLAN_FOR_3000_A_SECOND, _paced_cpu("tls paced"), tls=True)


PLAN_FOR_3000_A_SECOND = Plan(
    CallSpec("chat", EVENTS, GAP_MS), STREAMS_FOR_3000_A_SECOND, seconds=3, warm_up=1.5, ramp=1.0
)
MEASUREMENTS = [*_at_once(), *_paced(), *_over_tls()]
