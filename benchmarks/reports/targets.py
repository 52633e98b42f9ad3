"""The targets of the bridge beside the others in the same run, and whether it met them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.reports.results import Results
from benchmarks.reports.samples import short

BRIDGE, WORKERS, NGINX, PORTKEY, LITELLM = "AI Bridge", "AI Bridge, 2 workers", "nginx", "Portkey", "LiteLLM"
CORES_FOR_TWO = 3

Measured = Callable[[Results], float | None]


class Target(NamedTuple):
    """A figure, and its smallest or largest allowed value."""

    text: str
    measured: Measured
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def wanted(self) -> str:
        """The target value."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}{self.unit}"

    def outcome(self, results: Results) -> str:
        """The measured value, and whether it is enough."""
        value = self.measured(results)
        if value is None:
            return "not measured"
        met = value >= self.limit if self.at_least else value <= self.limit
        return f"{short(value)}{self.unit}, {'met' if met else 'missed'}"


def value(figure: str, gateway: str = BRIDGE) -> Measured:
    """The median of a figure."""

    def measured(results: Results) -> float | None:
        found = results.of(gateway, figure)
        return None if found is None else found.median

    return measured


def ratio(figure: str, base: str, gateway: str = BRIDGE) -> Measured:
    """The ratio of one gateway's figure to that of another."""

    def measured(results: Results) -> float | None:
        one, other = results.of(gateway, figure), results.of(base, figure)
        return one.median / other.median if one and other and other.median else None

    return measured


def above(figure: str, base: str) -> Measured:
    """By how much the bridge's figure is above another's."""

    def measured(results: Results) -> float | None:
        one, other = results.of(BRIDGE, figure), results.of(base, figure)
        return one.median - other.median if one and other else None

    return measured


def where_cores_allow(measured: Measured) -> Measured:
    """The same, if two workers do not share their cores with the load."""
    return lambda results: measured(results) if results.cores >= CORES_FOR_TWO else None


def _targets() -> Iterator[Target]:
    for base, least in ((PORTKEY, 3), (LITELLM, 30)):
        yield Target(
            f"blocking requests/s at 32 connections, of {base}'s", ratio("blocking chat 32", base), least, True, "x"
        )
    for base, share in ((NGINX, 0.8), (PORTKEY, 4)):
        yield Target(f"burst streams/s, of {base}'s", ratio("burst chat", base), share, True, "x")
    for name, figure, most in (("burst", "burst chat cpu", 2), ("3,000 a second", "paced cpu", 3.5)):
        yield Target(f"processor time per event, {name}, of nginx's", ratio(figure, NGINX), most, False, "x")
        for gateway, least in ((LITELLM, 15), (PORTKEY, 3)):
            text = f"processor time per event, {name}, {gateway}'s of the bridge's"
            yield Target(text, ratio(figure, BRIDGE, gateway), least, True, "x")
    yield Target("256 streams of 100 events a second, reached", value("share 256"), 95, True, " %")
    for percent, most in (("p50", 1), ("p99", 2)):
        text = f"first byte above nginx, one connection, {percent}"
        yield Target(text, above(f"first byte 1 {percent}", NGINX), most, False, " ms")
    for streams in (1, 64):
        for percent, max_ms in (("p50", 0.3), ("p99", 1.5)):
            text = f"delay per event above nginx, {streams} paced streams, {percent}"
            yield Target(text, above(f"delay {streams} {percent}", NGINX), max_ms, False, " ms")
    yield Target("memory per open slow stream, of 5,000", value("memory per stream 5000"), 40, False, " KB")
    yield Target("memory of an idle server, without the database", value("memory idle"), 90, False, " MB")
    for name, figure in (("blocking requests/s", "blocking chat 32"), ("burst streams/s", "burst chat")):
        text = f"{name} with two workers, of one's (on {CORES_FOR_TWO} cores or more)"
        yield Target(text, where_cores_allow(ratio(figure, BRIDGE, WORKERS)), 1.8, True, "x")
    yield Target("start until a call is answered, database running", value("start"), 1, False, " s")


TARGETS = list(_targets())
