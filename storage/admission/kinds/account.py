"""One limit as a server of a cluster knows it: what it may use of it by itself, and what it has to tell its ledger.

An account takes part in rounds. In a round ledgers are read (`open`), it is planned which of the waiting requests start
(`fits`, `plan`), ledgers are written (`close`), and it is known which of these writes counted (`settle`). Between rounds an
account admits requests by itself as far as it can (`fits`, `take`). Pure: the clock is injected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from limits.kinds.calendar import bounds_of
from limits.limit import SLOT_RETRY_NS, Kind, Limit, LimitState
from storage.admission.ledger import MAX_LIFE_MS, Ledger, Member, Report, Span
from storage.admission.presence.shares import Absent, Alone

MS = 1_000_000
"""Nanoseconds in a millisecond."""

SHARE = 5
"""Where less than a limit divided by this is left, every request is decided by the ledger."""

SMALL = 20
"""Of a limit that is smaller nothing is taken ahead."""

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


def ahead_of(left: int, maximum: int, wanted: int) -> int:
    """How much of what is left may be taken ahead: what is wanted, and at most half of what others do not need to ask for."""
    if maximum < SMALL:
        return 0
    return max(0, min(wanted, (left - -(-maximum // SHARE)) // 2))


@dataclass(frozen=True, slots=True)
class Times:
    """How long things last, in nanoseconds.

    Attributes:
        answer: A permit that the ledger granted is used at most so long after it was asked for, or given back.
        fresh: What is known of amounts may be so old.
        renew: What is held for longer is written down again, so that nobody removes the ledger.
    """

    answer: int = 500 * MS
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
    """

    now: int
    clock: str
    at: int
    is_dead: Callable[[str], bool]
    absent: Absent = MappingProxyType({})


class Account(ABC):
    """What is common to all kinds of limits.

    Args:
        limit: The limit.
        process: This server.
        now_ns: A monotonic clock, in nanoseconds.
        next_number: Numbers reports.
        times: How long things last.

    Attributes:
        name: The name of its ledger.
        limit: The limit as it was last asked for.
        urgent: Whether something should be written with the next round, which begins at once for it.
        used_at: When it was last used.
        expires_at: When permits end that others might want; 0 if that is noted, or there are none.
        lacking: Whether a request waits for a round because of it.
    """

    def __init__(
        self, limit: Limit, process: str, now_ns: Callable[[], int], next_number: Callable[[], int], times: Times
    ) -> None:
        self.name = name_of(limit)
        self.limit = limit
        self.urgent = False
        self.lacking = False
        self.expires_at = 0
        self.used_at = now_ns()
        self._process = process
        self._now_ns = now_ns
        self._next_number = next_number
        self._times = times
        self._reports: list[Report] = []
        self._ledger = Ledger()
        self._absent: Absent = {}
        self._span = span_of(limit, 0)
        self._read_at = NEVER_READ
        self._moved = False
        self._told = 0
        self._first = self._total = 0

    # -- between rounds

    @abstractmethod
    def fits(self, limit: Limit, need: int, /) -> bool:
        """Whether one more request is admitted: by what this server has, within a round also by the ledger."""

    @abstractmethod
    def take(self, need: int, /) -> None:
        """Count a request that fits."""

    def end(self, reserved: int, /) -> None:  # noqa: B027 - most kinds have nothing to give back
        """Give back what a request held."""

    def restore(self, used: int, begin: int, /) -> None:  # noqa: B027 - only budgets are restored
        """Have at least so much used in the period that began then, in milliseconds since 1970."""

    def charge(self, amount: int, /) -> None:  # noqa: B027 - most kinds are not charged
        """Charge what a request used."""

    def change_reserve(self, change: int, /) -> None:  # noqa: B027 - most kinds reserve nothing
        """Reserve more, or less."""

    @abstractmethod
    def state(self, limit: Limit, need: int, /) -> LimitState:
        """How much is used, as far as this server knows."""

    @abstractmethod
    def fits_alone(self, limit: Limit, need: int, alone: Alone, /) -> bool:
        """Whether a request is admitted while the ledger cannot be reached: as far as this server can prove."""

    def wait_alone(self, _limit: Limit, _alone: Alone, /) -> int:
        """How long a request waits that does not fit alone, in nanoseconds."""
        return SLOT_RETRY_NS

    def begin_alone(self) -> None:  # noqa: B027 - most kinds note nothing
        """Note what was used before the ledger could not be reached."""

    @abstractmethod
    def take_alone(self, need: int, /) -> None:
        """Count a request that is admitted alone; the ledger is told later."""

    @abstractmethod
    def report_uncounted(self) -> None:
        """Have the ledger told, in the next round, what was counted without it."""

    @abstractmethod
    def tick(self) -> bool:
        """Do what is due after a while. Whether there is something to read or write."""

    @property
    def untold(self) -> bool:
        """Whether requests were admitted of which the ledger does not know yet."""
        return False

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether nothing has to be remembered, aside from what the ledger says."""

    # -- in a round

    def open(self, ledger: Ledger, read: Read) -> None:
        """Begin a round with the ledger as it was read; a new one if there is none. It belongs to this account from now on."""
        self._span = span_of(self.limit, read.now)
        self._moved = ledger.advance(self._span, read.clock, read.is_dead)
        self._absent = read.absent
        ledger.report(self._process, self._reports, self._span)
        self._told = self._reports[-1].number if self._reports else 0
        self._ledger = ledger
        self._read_at = read.at
        self._count_again()
        self.urgent = False

    @abstractmethod
    def plan(self, need: int, /) -> None:
        """Have a waiting request that fits start if the write counts."""

    @abstractmethod
    def close(self, number: int) -> Ledger | None:
        """Return the ledger as it is to be written; None if nothing changes. Nothing is granted before `settle`.

        Args:
            number: Of the write, of those of this server.
        """

    @abstractmethod
    def settle(self, *, counts: bool) -> None:
        """End a round. Whether what was written counts; if nobody knows, it does not."""

    def give_back(self) -> None:  # noqa: B027 - most kinds have nothing to put back
        """Give back what was granted in this round and is not used by those that waited."""

    def written(self, number: int, held: int) -> Ledger | None:
        """The ledger with this server as it is now; None if that changes nothing."""
        before = self._ledger.members.get(self._process)
        if not self._reports and not self._moved and held == (before.held if before else 0):
            return None
        return self._with_member(number, held)

    def _with_member(self, number: int, held: int) -> Ledger:
        before = self._ledger.members.get(self._process)
        told = max(self._told, before.report if before else 0)
        self._ledger.members[self._process] = Member(held, told, number, self._span.now)
        self._reports = [report._replace(sent=True) for report in self._reports]
        return self._ledger

    def _forget_reports(self) -> None:
        self._reports = [report for report in self._reports if report.number > self._told]

    def _tell(self, count: int, at: int, clock: str = "") -> None:
        self._reports.append(Report(self._next_number(), count, at, clock))

    # -- what the ledger said last, as time goes on

    @property
    def now(self) -> int:
        """The database's time now, in milliseconds, going by what it was when the ledger was read; 0 if it never was."""
        if self._read_at == NEVER_READ:
            return 0
        return self._span.now + (self._now_ns() - self._read_at) // MS

    def _used(self) -> int:
        """What the ledger counted and counts still. It stays as it is: it may be about to be written."""
        entries, span = self._ledger.entries, self._span
        if not entries or self._read_at == NEVER_READ:
            return 0
        now = self.now
        if not span.window:
            return self._total if now < span.end else 0
        gone = now - span.window
        while self._first < len(entries) and entries[self._first][0] <= gone:
            self._total -= entries[self._first][1]
            self._first += 1
        return self._total

    def _count_again(self) -> None:
        """Count the entries of the ledger, which were changed."""
        self._first, self._total = 0, self._ledger.used

    def _leaves_in(self, at: int | None) -> int:
        if at is None:
            return 0
        span = self._span
        return max(0, (at + span.window if span.window else span.end) - self.now) * MS


def life_of(limit: Limit) -> int:
    """How long a permit taken ahead lives, in milliseconds: a fraction of the window, and `MAX_LIFE_MS` at most."""
    return min(MAX_LIFE_MS, window_of(limit) // LIVES)
