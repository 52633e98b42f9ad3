"""Tokens and money in a cluster. Charges are reported about once a second; charges of others are known by then."""

from __future__ import annotations

from collections import deque

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Kind, Limit, LimitState
from storage.admission.kinds.account import Account
from storage.admission.kinds.basis import Basis
from storage.admission.kinds.parameters import MS, NEVER_READ, Read, Server, span_of, window_of
from storage.admission.ledger import Ledger
from storage.admission.presence.shares import Alone

REPORTED_NS = 3_000 * MS
"""After so many nanoseconds the ledger knows all charges of now. Until then the records may have some that it lacks."""

PARTS = 100
"""More charges than this that the ledger does not know are grouped by so many parts of a window; those of money by minutes."""

_MINUTE_NS = 60_000 * MS


class AmountAccount(Account):
    """Tokens in a window, or money in a calendar period: see `Account`."""

    def __init__(self, limit: Limit, server: Server) -> None:
        super().__init__(limit, server)
        self._charges: deque[tuple[int, int]] = deque()
        self._reserved = 0
        self._written = 0
        self._target = 0
        self._requested = False
        # By the records: the start of the period, and what was spent in it at least. Not reported to the ledger yet.
        self._spent: tuple[int, int] | None = None
        self._spent_at = 0
        self._entered: tuple[int, int] | None = None

    def fits(self, limit: Limit, need: int) -> bool:
        """Whether enough is left for a request. The known state must be recent."""
        fresh = self._in_round or self._is_fresh
        return fresh and (need or 1) <= limit.maximum - self._known()

    def acquire(self, need: int) -> None:
        """Reserve what a request may use."""
        self._reserved += need
        self.used_at = self._now_ns()

    def end(self, reserved: int) -> None:
        """Give a reservation back."""
        self._reserved -= reserved

    def change_reserve(self, change: int) -> None:
        """Reserve more, or less."""
        self._reserved += change

    def restore(self, used: int, begin: int) -> None:
        """Count at least so much as used in a period. The ledger gets it when it knows all charges until now."""
        if self.limit.kind is Kind.BUDGET and (self._spent is None or self._spent < (begin, used)):
            self._spent = begin, used
            self._spent_at = self._now_ns()

    def charge(self, amount: int) -> None:
        """Charge what a request used. The next round, which is soon, reports it to the ledger.

        Those of one part of the window count as made together, at the latest of their times, if there are many: without the
        database there may be any number of them.
        """
        now, part = self._now_ns(), MS
        if len(self._charges) >= PARTS:
            part = max(MS, self.limit.window_ns // PARTS) if self.limit.window_ns else _MINUTE_NS
        if self._charges and now // part == self._charges[-1][0] // part:
            amount += self._charges.pop()[1]
        self._charges.append((now, amount))

    def open(self, ledger: Ledger, read: Read) -> None:
        """Begin a round."""
        now_ns = self._now_ns()
        self._forget_gone(read.at - (read.now + read.late - span_of(self.limit, read.now).begin + 1) * MS)
        while self._charges:
            at, amount = self._charges.popleft()
            self._add_report(amount, (now_ns - at) // MS, used_at=at)
        super().open(ledger, read)
        self._entered = self._spent if self._spent_is_due else None
        if self._spent_is_due and (missing := self._missing(ledger.used)) > 0:
            ledger.enter(self._span.begin, missing, self._span)
            self._count_again()
            self._moved = True  # so it must be written
        self._requested = False

    def basis(self, *, requested: bool) -> Basis:
        """The ledger to use. Without reports, the round reads what others charged."""
        reported = bool(self._charges or self._reports) or self._reserved != self._written
        return super().basis(requested=requested) if requested or reported else Basis.READ

    @property
    def _may_add(self) -> bool:
        return not self._charges and self._spent is None

    def room(self, lowest: int) -> int:
        """The most that others may have used and reserved. Something must be left, even if nothing is reserved."""
        return lowest - self._target - 1

    def plan(self, need: int) -> None:
        """Plan one more start."""
        self._planned += need
        self._requested = True

    def close(self, number: int) -> Ledger | None:
        """Write what was charged, and what is reserved."""
        self._in_round = False
        self._target = self._reserved + self._planned
        # Only a write that counts proves that nobody changed an unread ledger.
        again = self._requested and (self._basis is Basis.UNSEEN or not self._is_fresh)
        return self.written(number, self._target, again=again)

    def settle(self, *, counts: bool) -> None:
        """Forget the sent reports."""
        self._planned = 0
        if counts:
            self._forget_reports()
            self._written = self._target
            if self._spent == self._entered:
                self._spent = None
            self._entered = None

    def state(self, limit: Limit, need: int) -> LimitState:
        """The used and reserved amounts, as far as this server knows."""
        need = need or 1
        reserved = self._reserved + self._others_reserved()
        used = self._known() - reserved - self._planned
        free = limit.maximum - used - reserved
        entries = self._ledger.entries
        reset = 0
        if limit.kind is Kind.BUDGET:
            reset = max(MS, (self._span.end - self.now) * MS) if self._read_at != NEVER_READ else 0
        elif entries and used:
            reset = self._leaves_in(entries[-1][0])
        elif used:
            reset = limit.window_ns or MS
        if need <= free:
            return LimitState(limit, used, free, 0, reset, reserved)
        if need > limit.maximum:
            wait = NEVER_NS
        elif need + reserved > limit.maximum:
            wait = SLOT_RETRY_NS
        elif limit.kind is Kind.BUDGET:
            wait = reset or SLOT_RETRY_NS
        else:
            known = used - self._unknown_to_ledger()
            gone = self._ledger.used - known
            wait = self._leaves_in(self._ledger.next_at(need - free + gone)) or self._wait_for(need - free - known)
            wait = wait or reset or SLOT_RETRY_NS
        return LimitState(limit, used, max(0, free), wait, reset, reserved)

    def fits_alone(self, limit: Limit, need: int, alone: Alone) -> bool:
        """Whether enough is left, if every server charges as much as this one."""
        mine = self._unknown_to_ledger() + self._reserved - self._written
        return (need or 1) + self._known() + max(0, mine) * (alone.servers - 1) <= limit.maximum

    def report_uncounted(self) -> None:
        """Let the next round report to the ledger what was charged meanwhile."""
        self.urgent = True

    @property
    def _is_fresh(self) -> bool:
        return self._now_ns() - self._known_at <= self._times.fresh

    @property
    def _spent_is_due(self) -> bool:
        return self._spent is not None and self._now_ns() - self._spent_at >= REPORTED_NS

    def _missing(self, used: int) -> int:
        """By how much the usage is below that of the records; 0 if these are of another period."""
        begin, spent = self._spent or (0, 0)
        return spent - used if begin == self._span.begin else 0

    def tick(self) -> bool:
        """Report own charges, and read those of others, while requests come."""
        used_lately = self._now_ns() - self.used_at < 2 * self._times.fresh
        return (
            used_lately
            or self._is_to_renew(self._written)
            or self._spent_is_due
            or bool(self._charges or self._reports)
            or self._reserved != self._written
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is reserved, and everything is reported."""
        held = self._charges or self._reports or self._reserved or self._written
        return not held and self._spent is None

    def _known(self) -> int:
        used = self._used() + self._unknown_to_ledger()
        return used + max(0, self._missing(used)) + self._reserved + self._planned + self._others_reserved()

    def _others_reserved(self) -> int:
        return self._ledger.held(but=self._process)

    def _unknown_to_ledger(self) -> int:
        """What was charged since the ledger was read, and still counts."""
        if not self._charges and not self._reports:
            return 0
        if window := window_of(self.limit):
            self._forget_gone(self._now_ns() - window * MS)
        elif (over := self.now - self._span.end) > 0:
            self._forget_gone(self._now_ns() - (over + 1) * MS)
        return sum([amount for _, amount in self._not_in_ledger()])

    def _wait_for(self, free: int) -> int:
        """How long until so many of the tokens have left their window that the ledger does not know; 0 if they never do."""
        for at, amount in self._not_in_ledger():
            free -= amount
            if free <= 0:
                return at + window_of(self.limit) * MS - self._now_ns()
        return 0

    def _not_in_ledger(self) -> list[tuple[int, int]]:
        unknown = [report for report in self._reports if report.number > self._reported]
        return [*((one.used_at or 0, one.amount) for one in unknown), *self._charges]

    def _forget_gone(self, gone: int) -> None:
        """Forget what was charged until then, by this server's clock: it does not count any more."""
        while self._charges and self._charges[0][0] <= gone:
            self._charges.popleft()
        self._reports = [one for one in self._reports if one.used_at is None or one.used_at > gone]
