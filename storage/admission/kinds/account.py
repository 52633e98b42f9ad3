"""One limit as a server of a cluster knows it: what the server may use by itself, and what it has to report to the ledger.

An account takes part in rounds. A round has these steps:

1. The account uses some ledger (`basis`, `begin`).
2. The round plans which of the waiting requests start (`fits`, `plan`).
3. The ledgers are written (`close`).
4. It is known which writes counted (`settle`, then `keep`, `lose` or `leave`).

Between rounds an account admits requests by itself as far as it can (`fits`, `acquire`). Pure: the clock is injected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from limits.limit import SLOT_RETRY_NS, Limit, LimitState
from storage.admission.kinds.basis import Basis, Versions
from storage.admission.kinds.parameters import MS, NEVER_READ, Read, Server, name_of, span_of
from storage.admission.ledger import Ledger, Member, Report
from storage.admission.presence.shares import Absent, Alone


class Account(ABC):
    """The common part of all kinds of limits.

    Attributes:
        name: The name of its ledger.
        limit: The limit as it was last requested. Of several with one ledger, the smallest that refuses.
        urgent: Whether something should be written soon. The next round then begins at once.
        used_at: When it was last used.
        expires_at: When permits end that other servers might want; 0 if that is noted, or there are none.
        lacking: Whether a request waits for a round because of this account.
        versions: The known versions of its ledger.
    """

    def __init__(self, limit: Limit, server: Server) -> None:
        self._process, self._now_ns, self._next_number, self._times = server
        self.name = name_of(limit)
        self.limit = limit
        self.urgent = False
        self.lacking = False
        self.expires_at = 0
        self.used_at = self._written_at = self._now_ns()
        self.versions = Versions()
        self._reports: list[Report] = []
        self._ledger = Ledger()
        self._absent: Absent = {}
        self._span = span_of(limit, 0)
        self._read_at = self._known_at = NEVER_READ
        self._basis = Basis.READ
        self._before = self._ledger
        self._in_round = False
        self._complete = True
        self._moved = False
        self._reported = self._planned = 0
        self._first = self._total = 0

    # -- between rounds

    @abstractmethod
    def fits(self, limit: Limit, need: int, /) -> bool:
        """Whether one more waiting request fits: into what this server has, and during a round into the ledger."""

    def fits_at_once(self, limit: Limit, need: int, /) -> bool:
        """Whether one more request fits that does not wait. Grants for waiting requests are not for it."""
        return self.fits(limit, need)

    @abstractmethod
    def acquire(self, need: int, /) -> None:
        """Count a request that fits."""

    def acquire_at_once(self, need: int, /) -> None:
        """Count a request that fits at once."""
        self.acquire(need)

    def end(self, reserved: int, /) -> None:  # noqa: B027 - most kinds have nothing to give back
        """Give back what a request held."""

    def restore(self, used: int, begin: int, /) -> None:  # noqa: B027 - only budgets are restored
        """Count at least so much as used in a period. `begin` is its start, in milliseconds since 1970."""

    def charge(self, amount: int, /) -> None:  # noqa: B027 - most kinds are not charged
        """Charge what a request used."""

    def change_reserve(self, change: int, /) -> None:  # noqa: B027 - most kinds reserve nothing
        """Reserve more, or less."""

    @abstractmethod
    def state(self, limit: Limit, need: int, /) -> LimitState:
        """The usage, as far as this server knows."""

    @abstractmethod
    def fits_alone(self, limit: Limit, need: int, alone: Alone, /) -> bool:
        """Whether a request is admitted while the ledger is unavailable. It is, as far as this server can prove."""

    def wait_alone(self, _limit: Limit, _alone: Alone, /) -> int:
        """The wait of a request that does not fit alone, in nanoseconds."""
        return SLOT_RETRY_NS

    def begin_alone(self) -> None:  # noqa: B027 - most kinds note nothing
        """Note what was used before the ledger became unavailable."""

    def acquire_alone(self, need: int, /) -> None:
        """Count a request that is admitted alone. It is reported to the ledger later."""
        self.acquire(need)

    @abstractmethod
    def report_uncounted(self) -> None:
        """Let the next round report to the ledger what was counted without it."""

    @abstractmethod
    def tick(self) -> bool:
        """Do work that is due after a while. Return whether there is something to read or write."""

    def give_back_all(self) -> bool:
        """Give back everything that no request uses, because this server leaves. Return whether there is something to write."""
        return self.tick()

    @property
    def unreported(self) -> bool:
        """Whether the ledger does not know yet of all admitted requests."""
        return False

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether there is nothing to remember besides the ledger."""

    # -- in a round

    def basis(self, *, requested: bool) -> Basis:
        """The ledger to use in the next round. Unless it is `requested`, there are only reports."""
        return self.versions.basis(may_add=requested and not self._reports and self._may_add)

    @property
    @abstractmethod
    def _may_add(self) -> bool:
        """Whether the round would prefetch nothing, and report nothing but waiting requests."""

    def begin(self, basis: Basis, ledger: Ledger, version: str, read: Read) -> None:
        """Begin a round.

        Args:
            basis: The ledger to use.
            ledger: The ledger as it was read; a new one if there is none, or it was not read. This account now owns it.
            version: The version of that ledger.
            read: What else was read.
        """
        self._basis, self._before = basis, self._ledger
        if basis is Basis.READ:
            self.versions.seen(version)
            self.versions.must_read = False
            self._known_at = read.at
        self.open(self._ledger if basis is Basis.REMEMBERED else ledger, read)

    def open(self, ledger: Ledger, read: Read) -> None:
        """Use a ledger."""
        self._span = span_of(self.limit, read.now)
        members = len(ledger.members)
        self._moved = ledger.advance(self._span, read.clock, read.is_dead)
        self._complete = len(ledger.members) == members
        self._absent = read.absent
        ledger.report(self._process, [read.in_ledger(report) for report in self._reports], self._span)
        self._reported = self._reports[-1].number if self._reports else 0
        self._ledger = ledger
        self._read_at = read.at
        self._count_again()
        self._in_round = True
        self._planned = 0
        self.urgent = False

    @property
    def may_start(self) -> bool:
        """Whether one more request may start in this round. If not, it waits for the next one."""
        return True

    def plan(self, _need: int, /) -> None:
        """Plan a waiting request that fits. It starts if the write counts."""
        self._planned += 1

    @abstractmethod
    def close(self, number: int) -> Ledger | None:
        """Return the ledger to be written, as this server's write of that number; None if nothing changes.

        Nothing is granted before `settle`.
        """

    @abstractmethod
    def settle(self, *, counts: bool) -> None:
        """End a round. `counts` says whether the write counts; if that is unknown, it does not."""

    @abstractmethod
    def room(self, lowest: int) -> int:
        """The most that others may use, so that the addition to an unseen ledger has room below the lowest maximum."""

    def keep(self, version: str, seen: tuple[Ledger, str, str] | None, *, new: bool) -> None:
        """The write counts.

        Args:
            version: The version of the ledger as it was written.
            seen: After an addition: the ledger at about that time, its version and base; None if there was none.
            new: Whether there was no ledger before.
        """
        self._known_at = self._read_at
        if self._basis is not Basis.UNSEEN or new:
            self.versions.written(version)
            return
        added, (self._ledger, known, base) = self._ledger, seen or (self._before, "", "")
        if known == version:
            self.versions.seen(base)
            self.versions.written(version)
        else:
            self._add(added)
            self.versions.seen(known)
            self.versions.written(version if known else "", known)
        self._count_again()
        self._update_near()

    def doubt(self, number: int, /) -> None:  # noqa: B027 - most kinds write what they hold again
        """It is unknown whether the write with this number counts."""

    def lose(self) -> None:
        """The write does not count, or it is unknown whether it does."""
        if self._basis is Basis.UNSEEN:
            self._ledger = self._before
            self._count_again()
            self.versions.must_read = True
        self.versions.lost()

    def leave(self) -> None:
        """Nothing was written."""
        if self._basis is Basis.UNSEEN:
            self._ledger = self._before
            self._count_again()
        elif not self._complete:
            self.versions.forget()

    def _update_near(self) -> None:  # noqa: B027 - some kinds note nothing
        """Note how much is left by the ledger."""

    def _add(self, added: Ledger) -> None:
        for at, count in added.entries:
            self._ledger.enter(at, count, self._span)
        for name, member in added.members.items():
            before = self._ledger.members.get(name)
            member.report = max(member.report, before.report if before else 0)
            self._ledger.members[name] = member

    def give_back(self) -> None:  # noqa: B027 - most kinds have nothing to put back
        """Give back what this round granted and the waiting requests did not use."""

    def written(self, number: int, held: int, *, again: bool) -> Ledger | None:
        """The ledger with the current state of this server; None if nothing is new or due, and not all is written `again`."""
        before = self._ledger.members.get(self._process)
        is_same = not self._reports and not self._moved and held == (before.held if before else 0)
        if is_same and not again and not self._is_to_renew(held):
            return None
        self._written_at = self._now_ns()
        reported = max(self._reported, before.report if before else 0)
        self._ledger.members[self._process] = Member(held, reported, number, self._span.now)
        self._reports = [report._replace(sent=True) for report in self._reports]
        return self._ledger

    def _is_to_renew(self, held: int) -> bool:
        return bool(held) and self._now_ns() - self._written_at >= self._times.renew

    def _forget_reports(self) -> None:
        self._reports = [report for report in self._reports if report.number > self._reported]

    def _add_report(self, count: int, at: int, clock: str = "", used_at: int | None = None) -> None:
        """Add a report for the ledger; a round sends it. `used_at` is by this server's clock."""
        self._reports.append(Report(self._next_number(), count, at, clock, used_at=used_at))

    # -- the ledger as it was last read, as time goes on

    @property
    def now(self) -> int:
        """The database's time now, in milliseconds, from its time at the last read of the ledger; 0 without a read."""
        if self._read_at == NEVER_READ:
            return 0
        return self._span.now + (self._now_ns() - self._read_at) // MS

    def _used(self) -> int:
        """The part of the ledger that still counts. The ledger itself stays as it is: it may be about to be written."""
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
        """Count the entries of the ledger again, after a change."""
        self._first, self._total = 0, self._ledger.used

    def _leaves_in(self, at: int | None) -> int:
        if at is None:
            return 0
        span = self._span
        return max(0, (at + span.window if span.window else span.end) - self.now) * MS
