"""Print how many requests each kind of rate limiter admits in its worst window, as a multiple of the limit.

    .venv/bin/python -m benchmarks.limiters

All decide on the same requests, on a clock that this script moves. So the table is the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random

from intercept.refusals import Rule
from limits.kinds.rate_window import RateWindow
from limits.limit import Kind, Limit, Of
from storage.admission.kinds.parameters import Times
from storage.admission.ledger import Ledger
from storage.admission.permits import Permits
from storage.admission.presence.shares import Alone, Share
from storage.admission.round import Outcome, Round, Snapshot

LIMIT = 100
# Ticks of a clock that counts in integers, so that no limiter suffers from rounding.
WINDOW = 1_000_000
# For those that need a real length: a window is ten seconds then.
TICK_NS = 10_000
MS = 1_000_000
SERVERS = 3
HEARTBEAT_NS = 1_000 * MS

Limiter = Callable[[int], bool]
"""Decides on one request of the only key, at a time that never goes back."""


def exact_window() -> Limiter:
    """The bridge's way: it keeps the time of each admission for one window."""
    window, limit = RateWindow(WINDOW), Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "key", LIMIT, WINDOW)

    def admit(now: int) -> bool:
        if window.state(limit, 0, now).retry_after_ns:
            return False
        window.start(limit, 0, now)
        return True

    return admit


def fixed_window() -> Limiter:
    """One counter, which starts again at each multiple of the window."""
    counts: dict[int, int] = {}

    def admit(now: int) -> bool:
        current = now // WINDOW
        admitted = counts.get(current, 0) < LIMIT
        counts[current] = counts.get(current, 0) + admitted
        return admitted

    return admit


def two_counters() -> Limiter:
    """Two such counters; the older one is weighted by the share of its window that still counts."""
    counts: dict[int, int] = {}

    def admit(now: int) -> bool:
        current, elapsed = divmod(now, WINDOW)
        weighted = counts.get(current - 1, 0) * (WINDOW - elapsed) + counts.get(current, 0) * WINDOW
        admitted = weighted <= (LIMIT - 1) * WINDOW
        counts[current] = counts.get(current, 0) + admitted
        return admitted

    return admit


def gcra(burst: int) -> Limiter:
    """The generic cell rate algorithm (ITU-T I.371): one time, by which the next request may be early by a burst."""
    interval = WINDOW // LIMIT
    due = [0]

    def admit(now: int) -> bool:
        admitted = due[0] - now <= (burst - 1) * interval
        if admitted:
            due[0] = max(due[0], now) + interval
        return admitted

    return admit


def each_server_alone() -> Limiter:
    """Three servers with the whole limit each, behind a round-robin load balancer."""
    servers, order = [exact_window() for _ in range(SERVERS)], count()

    def admit(now: int) -> bool:
        return servers[next(order) % SERVERS](now)

    return admit


def cluster(*, unavailable: bool = False) -> Limiter:
    """The bridge's way with three servers in scope `cluster`, or while they cannot reach the database."""
    limit = Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "key", LIMIT, WINDOW * TICK_NS)
    ledgers: dict[str, tuple[Ledger, str]] = {}
    clock, order = [0], count()
    servers = [
        Permits(f"server {number}", lambda: clock[0], lambda _: False, times=Times(grant=500 * MS))
        for number in range(SERVERS)
    ]

    def make_rounds(server: Permits) -> None:
        while server.pending and (round_ := Round.begin(server)) is not None:
            found = {name: ledgers[name] for name in round_.names if name in ledgers}
            changes = round_.plan(Snapshot(found, clock[0] // MS, "", clock[0]))
            ledgers.update({change.name: (change.ledger, change.after) for change in changes})
            round_.settle(Outcome({change.name for change in changes}))

    def admit(now: int) -> bool:
        if now * TICK_NS // HEARTBEAT_NS > clock[0] // HEARTBEAT_NS:
            for server in servers:
                server.tick()
                make_rounds(server)
        clock[0] = now * TICK_NS
        server = servers[next(order) % SERVERS]
        waiting = server.start([limit])
        if not unavailable:
            make_rounds(server)
        assert waiting.decision is not None
        return waiting.decision.ticket is not None

    for rank, server in enumerate(servers if unavailable else ()):
        server.begin_alone(Alone((Share(SERVERS, rank),), since=-limit.window_ns))
    return admit


LIMITERS: dict[str, tuple[Callable[[], Limiter], str]] = {
    "exact window (the bridge)": (exact_window, "a time per admission"),
    "the same, three servers, `cluster`": (cluster, "a ledger in MongoDB"),
    "the same, database unavailable": (lambda: cluster(unavailable=True), "its share, on each server"),
    "the same, each server for itself": (each_server_alone, "a time per admission"),
    "fixed window": (fixed_window, "one counter"),
    "two counters, weighted": (two_counters, "two counters"),
    "GCRA, burst of the limit": (lambda: gcra(LIMIT), "one time"),
    "GCRA, no burst": (lambda: gcra(1), "one time"),
}


def one_burst() -> Iterator[int]:
    """Three times the limit at once."""
    yield from [WINDOW] * (3 * LIMIT)


def bursts_at_an_edge() -> Iterator[int]:
    """The limit just before a multiple of the window, and the limit just after it."""
    yield from [2 * WINDOW - 1] * LIMIT
    yield from [2 * WINDOW] * LIMIT


def burst_and_pressure() -> Iterator[int]:
    """The limit just before a multiple of the window, then ten times the rate."""
    yield from [2 * WINDOW - 1] * LIMIT
    yield from range(2 * WINDOW, 4 * WINDOW, WINDOW // LIMIT // 10)


def random_bursts() -> Iterator[int]:
    """A hundred bursts of a tenth to twice the limit, a tenth of a window to a window apart."""
    random, now = Random(1), 0
    for _ in range(100):
        now += random.randrange(WINDOW // 10, WINDOW)
        yield from [now] * random.randrange(LIMIT // 10, 2 * LIMIT)


TRAFFIC: dict[str, Callable[[], Iterator[int]]] = {
    "one burst": one_burst,
    "bursts at an edge": bursts_at_an_edge,
    "burst, then pressure": burst_and_pressure,
    "random bursts": random_bursts,
}


def worst_window(admissions: Sequence[int]) -> int:
    """The most admissions, in order of time, that any half-open window holds."""
    worst = first = 0
    for last, now in enumerate(admissions):
        while admissions[first] <= now - WINDOW:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def table() -> str:
    """The comparison, in Markdown."""
    lines = [
        f"| limiter | keeps per key | {' | '.join(TRAFFIC)} | worst |",
        f"|---|---|{'---|' * (len(TRAFFIC) + 1)}",
    ]
    for name, (make, keeps) in LIMITERS.items():
        shares = []
        for traffic in TRAFFIC.values():
            admit = make()
            shares.append(worst_window([now for now in traffic() if admit(now)]) / LIMIT)
        lines.append(f"| {name} | {keeps} | {' | '.join(f'{share:.2f}' for share in [*shares, max(shares)])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
