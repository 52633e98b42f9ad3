"""What a limit means in a cluster: its ledger, what counts in it, and how much of it may be taken ahead. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from limits.kinds.calendar import bounds_of
from limits.limit import Kind, Limit
from storage.admission.ledger import MAX_LIFE_MS, Span
from storage.admission.presence.shares import Absent

MS = 1_000_000
"""Nanoseconds in a millisecond."""

SHARE = 5
"""Where less than a limit divided by this is left, every request is decided by the ledger."""

SMALL = 20
"""Of a limit of slots that is smaller nothing is taken ahead."""

PREFETCH = 33
"""All servers together take at most a rate divided by this ahead: what they do not use is missing in a window."""

LIVES = 12
"""How many lives of a permit that is taken ahead fit into a window at least."""

NEVER_READ = -(2**62)


def name_of(limit: Limit) -> str:
    """The name of the ledger of a limit: limits that agree in kind, key and window or period have one together."""
    if limit.kind is Kind.BUDGET:
        return f"budget:{limit.period}:{limit.zone}:{limit.key}"
    if limit.kind is Kind.CONCURRENCY:
        return f"concurrency:{limit.key}"
    return f"{limit.kind}:{window_of(limit)}:{limit.key}"


def window_of(limit: Limit) -> int:
    """The window of a limit in milliseconds, rounded up."""
    return -(-limit.window_ns // MS)


def span_of(limit: Limit, now: int) -> Span:
    """What counts for a limit at a time of the database, in milliseconds."""
    if limit.kind is Kind.BUDGET:
        begin, end = bounds_of(limit.period, limit.zone, now * MS)
        return Span(now, begin // MS, end=end // MS)
    return Span.of_window(now, window_of(limit) or 1)


def near(left: int, maximum: int) -> bool:
    """Whether so little of a limit is left that nothing is taken ahead."""
    return left * SHARE < maximum


def prefetchable(left: int, maximum: int, wanted: int) -> int:
    """How much of what is left may be taken ahead: what is wanted, and at most half of what others do not need to ask for."""
    return max(0, min(wanted, (left - -(-maximum // SHARE)) // 2))


@dataclass(frozen=True, slots=True)
class Times:
    """How long things last, in nanoseconds.

    Attributes:
        grant: A permit that the ledger granted is used at most so long after it was asked for, or given back.
        fresh: What is known of amounts may be so old.
        renew: What is held for longer is written down again, so that nobody removes the ledger.
    """

    grant: int = 500 * MS
    fresh: int = 1_000 * MS
    renew: int = 3_600_000 * MS


class Read(NamedTuple):
    """How ledgers were read.

    Attributes:
        now: The database's time then, in milliseconds.
        clock: Whose clock that was.
        at: When the reading began, by this server's clock.
        is_dead: Whether a server does not hold any more what it held.
        absent: The servers that may be deciding alone.
        servers: Among how many servers limits are shared.
        late: By how many milliseconds more the database's time may have been, as nothing was read.
    """

    now: int
    clock: str
    at: int
    is_dead: Callable[[str], bool]
    absent: Absent = MappingProxyType({})
    servers: int = 1
    late: int = 0


def life_of(limit: Limit) -> int:
    """How long a permit taken ahead lives, in milliseconds: a fraction of the window, and `MAX_LIFE_MS` at most."""
    return min(MAX_LIFE_MS, window_of(limit) // LIVES)
