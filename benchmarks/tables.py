"""The results as Markdown: a row for each figure, a column for each gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.results import Results
from benchmarks.samples import with_range
from benchmarks.targets import TARGETS

DIRECT = "direct"


class Row(NamedTuple):
    """A figure and what it is called. One that is `added` is shown above what it is without any gateway."""

    label: str
    figure: str
    added: bool = False


THROUGHPUT = (
    *(Row(f"blocking requests/s, {n} at a time", f"blocking chat {n}") for n in (1, 32, 256)),
    Row("the same of `responses`, 32 at a time", "blocking responses 32"),
    Row("the same of `messages`, 32 at a time", "blocking messages 32"),
    Row("burst streams/s, 32 at a time", "burst chat"),
    Row("the same of `responses`", "burst responses"),
    Row("the same of `messages`", "burst messages"),
    Row("burst events/s", "burst chat events"),
    Row("256 streams of 100 events a second: share reached, %", "share 256"),
)
COST = (
    Row("processor seconds per 1,000 blocking requests", "blocking chat 32 cpu"),
    Row("the same, 1 at a time", "blocking chat 1 cpu"),
    Row("the database's beside it, 32 at a time", "blocking chat 32 database"),
    Row("processor seconds per 1,000 burst events", "burst chat cpu"),
    Row("processor seconds per 1,000 events at 3,000 a second", "paced cpu"),
    Row("its core was busy, blocking, %", "blocking chat 32 busy"),
    Row("its core was busy, burst, %", "burst chat busy"),
)
LATENCY = tuple(
    Row(f"{label}, {streams} at a time, {percent}", f"{figure} {streams} {percent}", added=True)
    for label, figure in (("first byte", "first byte"), ("each event", "delay"))
    for streams in (1, 10, 64, 256)
    for percent in ("p50", "p99")
)
MEMORY = (
    Row("start until a call is answered, s", "start"),
    Row("resident, idle, MB", "memory idle"),
    *(Row(f"resident, {n:,} slow streams, MB", f"memory {n}") for n in (1000, 5000)),
    *(Row(f"per slow stream, of {n:,}, KB", f"memory per stream {n}") for n in (1000, 5000)),
)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comparison(results: Results, rows: Iterable[Row], *, leave_out: Sequence[str] = ()) -> str:
    """A table of these figures for every gateway."""
    gateways = [name for name in results.figures if name not in leave_out]
    return markdown(["", *gateways], ([row.label, *(_cell(results, row, name) for name in gateways)] for row in rows))


def targets(runs: Sequence[Results]) -> str:
    """Each target, and for each run what was measured and whether that is enough."""
    rows = ([target.text, target.wanted, *map(target.verdict, runs)] for target in TARGETS)
    return markdown(["", "target", *(f"{run.processor}, {run.date[:10]}" for run in runs)], rows)


def report(runs: Sequence[Results]) -> str:
    """Everything, as it stands on the page: the targets of every run, and all other figures of the first."""
    results = runs[0]
    rounds = max((len(values) for figures in results.figures.values() for values in figures.values()), default=0)
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    parts = [
        f"{results.date}, {results.machine}. {versions}. Rounds: {rounds}; {results.seconds / 60:.0f} minutes.",
        "### Targets\n\nOf one worker, all limits on, every call recorded; the last run on each processor.",
        targets(runs),
        "### Throughput",
        comparison(results, THROUGHPUT),
        "### Cost\n\nA core that is not busy waited for the load or, with the bridge, for the database.",
        comparison(results, COST, leave_out=[DIRECT]),
        "### Latency\n\nMilliseconds above what is measured without a gateway, on connections that are kept.",
        comparison(results, LATENCY, leave_out=[DIRECT]),
        "### Memory and start",
        comparison(results, MEMORY, leave_out=[DIRECT]),
    ]
    if results.notes:
        parts += ["### Notes of the run", "\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(parts)


def _cell(results: Results, row: Row, gateway: str) -> str:
    found, base = results.of(gateway, row.figure), results.of(DIRECT, row.figure)
    if found is None or (row.added and base is None):
        return ""
    return with_range(found.less(base.median) if row.added and base else found)
