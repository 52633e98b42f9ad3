"""The results as Markdown: a row for each figure, a column for each gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.reports.results import Results
from benchmarks.reports.samples import with_range
from benchmarks.reports.targets import TARGETS

DIRECT = "direct"
PERCENTILES = ("p50", "p99")


class Row(NamedTuple):
    """A figure and its title. An `added` figure is shown as the difference from the figure without any gateway."""

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
    for percent in PERCENTILES
)
WAIT, MANY, TLS = "first byte after 0.3 s", "1,000 streams of 20 events a second", "TLS to the upstream"
AS_IT_IS = (
    *(
        row
        for n in (32, 256)
        for row in (
            Row(f"{WAIT}, {n} at a time: requests/s", f"wait {n}"),
            *(
                Row(f"{WAIT}, {n} at a time: ms added, {p}", f"wait {n} first byte {p}", added=True)
                for p in PERCENTILES
            ),
            Row(f"{WAIT}, {n} at a time: processor seconds per 1,000", f"wait {n} cpu"),
        )
    ),
    Row(f"{MANY}: share reached, %", "share 1000"),
    *(Row(f"{MANY}: ms added to the first byte, {p}", f"first byte 1000 {p}", added=True) for p in PERCENTILES),
    *(Row(f"{MANY}: ms added to each event, {p}", f"delay 1000 {p}", added=True) for p in PERCENTILES),
    Row(f"{MANY}: processor seconds per 1,000 events", "share 1000 cpu"),
    Row("request body of 200 KB, 32 at a time: requests/s", "history 32"),
    Row("request body of 200 KB, 32 at a time: processor seconds per 1,000", "history 32 cpu"),
    Row(f"{TLS}: blocking requests/s, 32 at a time", "tls blocking"),
    Row(f"{TLS}: processor seconds per 1,000 blocking requests", "tls blocking cpu"),
    Row(f"{TLS}: burst streams/s, 32 at a time", "tls burst"),
    Row(f"{TLS}: processor seconds per 1,000 burst events", "tls burst cpu"),
    Row(f"{TLS}: processor seconds per 1,000 events at 3,000 a second", "tls paced cpu"),
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
    """A table of these figures for every gateway. A row without any figure is left out."""
    gateways = [name for name in results.figures if name not in leave_out]
    lines = ([row.label, *(_cell(results, row, name) for name in gateways)] for row in rows)
    return markdown(["", *gateways], (line for line in lines if any(line[1:])))


def targets(runs: Sequence[Results]) -> str:
    """Each target, and for each run the measured value and whether it is enough."""
    rows = ([target.text, target.wanted, *map(target.outcome, runs)] for target in TARGETS)
    return markdown(["", "target", *(f"{run.processor}, {run.date[:10]}" for run in runs)], rows)


def report(runs: Sequence[Results]) -> str:
    """The whole part of the page: the targets of every run, and all other figures of the first."""
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
        *_as_it_is(results),
        "### Memory and start",
        comparison(results, MEMORY, leave_out=[DIRECT]),
    ]
    if results.notes:
        parts += ["### Notes of the run", "\n".join(f"- {note}" for note in results.notes)]
    return "\n\n".join(parts)


def _as_it_is(results: Results) -> Iterator[str]:
    """The rows of an upstream that takes time. Older runs have none."""
    table = comparison(results, AS_IT_IS)
    if table.count("\n") > 1:
        yield "### An upstream as it is\n\nProviders take their time, speak TLS, and are sent long conversations."
        yield table


def _cell(results: Results, row: Row, gateway: str) -> str:
    found, base = results.of(gateway, row.figure), results.of(DIRECT, row.figure)
    if found is None or (row.added and (base is None or gateway == DIRECT)):
        return ""
    return with_range(found.less(base.median) if row.added and base else found)
