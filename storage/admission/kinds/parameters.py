"""The parameters of a limit in a cluster: its ledger, what counts in it, and how much may be prefetched. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from limits.kinds.calendar import bounds_of
from limits.limit import Kind, Limit
from storage.admission.ledger import MAX_LIFE_MS, Report, Span
from storage.admission.presence.shares import Absent
from storage.mongo.clocks import MonotonicNs

MS = 1_000_000
"""Nanoseconds in a millisecond."""

SHARE = 5
"""If less than the limit divided by this is left, the ledger decides every request."""

SMALL = 20
"""Slots of a smaller limit are not prefetched."""

PREFETCH = 33
"""All servers together prefetch at most a rate divided by this. What they do not use is missing in a window."""

LIVES = 12
"""At least so many lives of a prefetched permit fit into a window."""

USED_LATER_MS = 20
"""A use is entered so many milliseconds later than it was: clocks may differ in pace by a thousandth (`DatabaseClock`)."""

NEVER_READ = -(2**62)


def name_of(limit: Limit) -> str:
    """The name of a limit's ledger. Limits with the same kind, key and window or period have one ledger."""
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
    """Whether so little of a limit is left that nothing is prefetched."""
    return left * SHARE < maximum


def prefetchable(left: int, maximum: int, wanted: int) -> int:
    """How much may be prefetched: as much as is wanted, but at most half of what is left above the last fifth."""
    return max(0, min(wanted, (left - -(-maximum // SHARE)) // 2))


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in nanoseconds.

    Attributes:
        grant: A granted permit is used at most so long after it was requested, or given back.
        fresh: The known amounts may be so old.
        renew: After this time held amounts are written again, so that the ledger is not removed.
    """

    grant: int = 500 * MS
    fresh: int = 1_000 * MS
    renew: int = 3_600_000 * MS


class Server(NamedTuple):
    """What all accounts of a server have in common; `next_number` numbers their reports."""

    process: str
    now_ns: MonotonicNs
    next_number: Callable[[], int]
    times: Times


class Read(NamedTuple):
    """The circumstances of a read of ledgers.

    Attributes:
        now: The database's time then, in milliseconds.
        clock: The member of the replica set whose clock that was.
        at: When the reading began, by this server's clock.
        is_dead: Whether a server is dead: it does not hold any more what it held.
        absent: The servers that may be deciding alone.
        servers: The number of servers that share the limits.
        late: If nothing was read: by how many milliseconds later than `now` the database's time may have been.
    """

    now: int
    clock: str
    at: int
    is_dead: Callable[[str], bool]
    absent: Absent = MappingProxyType({})
    servers: int = 1
    late: int = 0

    def in_ledger(self, report: Report) -> Report:
        """The report with the database's time. The time `now` there was later than `at` here."""
        if report.used_at is None:
            return report
        return report._replace(used_at=self.now + (report.used_at - self.at) // MS + USED_LATER_MS)


def life_of(limit: Limit) -> int:
    """The life of a prefetched permit, in milliseconds: a fraction of the window, and `MAX_LIFE_MS` at most."""
    return min(MAX_LIFE_MS, window_of(limit) // LIVES)
