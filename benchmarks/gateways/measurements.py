"""The measurements of a running gateway. Each is a plan of load, and the figures that its totals give.

Rates are per second, times in milliseconds, processor time in seconds per 1,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.report import ADDED, Figures, percentile
from benchmarks.stand.conversations import CallSpec
from benchmarks.stand.load import LoadPlan, Totals
from benchmarks.stand.processes import ProcessUse

EVENTS, GAP_MS = 100, 10
PACED_STREAMS = {1: 5, 64: EVENTS, 256: EVENTS}
"""How many streams at a time, and the events of each: fewer where first bytes would be too few to have a p99."""

STREAMS_FOR_3000_A_SECOND = 30
FIRST_BYTE_MS = 300
"""When a provider's first byte comes."""
MANY_STREAMS, MANY_EVENTS, MANY_GAP_MS = 1000, 60, 50
HISTORY_BYTES = 200_000
"""The body of a request in a long conversation."""


class Observed(NamedTuple):
    """The use of a gateway at a moment, and seconds of processor time of the database beside it."""

    own: ProcessUse
    database_seconds: float


class ProcessorTimes(NamedTuple):
    """Seconds of processor time from rest to rest: of a gateway, and of the database beside it."""

    own: float
    database: float


class Measurement(NamedTuple):
    """A plan, and the figures from its totals and from the processor time of the whole plan, warm-up included."""

    name: str
    plan: LoadPlan
    figures: Callable[[Totals, ProcessorTimes], Figures]


def _percentiles(label: str, nanoseconds: list[int]) -> Figures:
    ordered = sorted(nanoseconds)
    return {f"{label}, p{percent}": percentile(ordered, percent) / 1e6 for percent in ((50, 99) if ordered else ())}


def _requests(label: str, *, waiting: bool = False) -> Callable[[Totals, ProcessorTimes], Figures]:
    def figures(totals: Totals, spent: ProcessorTimes) -> Figures:
        found = {
            f"{label}: requests/s": totals.responses / totals.seconds,
            f"{label}: processor seconds per 1,000": 1000 * spent.own / max(1, totals.all_responses),
            f"{label}: the database's beside it": 1000 * spent.database / max(1, totals.all_responses),
        }
        return found | (_percentiles(f"{label}: {ADDED}", list(totals.first_bytes)) if waiting else {})

    return figures


def _burst(of: str) -> Callable[[Totals, ProcessorTimes], Figures]:
    def figures(totals: Totals, spent: ProcessorTimes) -> Figures:
        return {
            f"burst streams/s, 32 at a time{of}": totals.events / EVENTS / totals.seconds,
            f"processor seconds per 1,000 burst events{of}": 1000 * spent.own / max(1, totals.all_events),
        }

    return figures


def _latency(streams: int, gap_ms: int = GAP_MS) -> Callable[[Totals, ProcessorTimes], Figures]:
    per_second = 1000 // gap_ms

    def figures(totals: Totals, spent: ProcessorTimes) -> Figures:
        label = f"{streams:,} streams of {per_second} events a second"
        return {
            f"{label}: share reached, %": 100 * totals.events / totals.seconds / (streams * per_second),
            f"{label}: processor seconds per 1,000 events": 1000 * spent.own / max(1, totals.all_events),
            **_percentiles(f"{ADDED} to the first byte, {streams:,} at a time", list(totals.first_bytes)),
            **_percentiles(f"{ADDED} to each event, {streams:,} at a time", list(totals.delays)),
        }

    return figures


def _at_3000_a_second(totals: Totals, spent: ProcessorTimes) -> Figures:
    return {"processor seconds per 1,000 events at 3,000 a second": 1000 * spent.own / max(1, totals.all_events)}


def _all() -> Iterator[Measurement]:
    # The maximum throughput, with an upstream that takes no time.
    for connections in (1, 32, 256):
        label = f"blocking, {connections} at a time"
        yield Measurement(label, LoadPlan(CallSpec(), connections, seconds=2), _requests(label))
    for api, of in (("chat", ""), ("messages", ", `messages`")):
        yield Measurement(f"burst {api}", LoadPlan(CallSpec(api, EVENTS), 32, seconds=2), _burst(of))
    history = LoadPlan(CallSpec(history_bytes=HISTORY_BYTES), 32, seconds=2)
    yield Measurement("history", history, _requests("request body of 200 KB, 32 at a time"))
    # The time that a gateway adds, with an upstream that takes time.
    for streams, events in PACED_STREAMS.items():
        spec = CallSpec("chat", events, GAP_MS)
        many = LoadPlan(spec, streams, seconds=3, warm_up=1.5, ramp=1.0)
        yield Measurement(
            f"paced {streams}", many if events == EVENTS else LoadPlan(spec, streams, seconds=5), _latency(streams)
        )
    spec = CallSpec("chat", EVENTS, GAP_MS)
    plan = LoadPlan(spec, STREAMS_FOR_3000_A_SECOND, seconds=3, warm_up=1.5, ramp=1.0)
    yield Measurement("paced", plan, _at_3000_a_second)
    for connections in (32, 256):
        wait, label = FIRST_BYTE_MS / 1000, f"first byte after 0.3 s, {connections} at a time"
        plan = LoadPlan(CallSpec(wait_ms=FIRST_BYTE_MS), connections, seconds=8 * wait, warm_up=2 * wait, ramp=wait)
        yield Measurement(f"wait {connections}", plan, _requests(label, waiting=True))
    seconds = MANY_EVENTS * MANY_GAP_MS / 1000  # so long is a stream: begun over that time, some end at any
    plan = LoadPlan(
        CallSpec("chat", MANY_EVENTS, MANY_GAP_MS), MANY_STREAMS, seconds=3, warm_up=seconds + 1, ramp=seconds
    )
    yield Measurement(f"paced {MANY_STREAMS}", plan, _latency(MANY_STREAMS, MANY_GAP_MS))


MEASUREMENTS = list(_all())
