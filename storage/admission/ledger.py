"""A ledger: what all servers of a cluster use of one limit. Pure: who stores it says what time it is.

A ledger has entries, each a time and a count: admissions of a rate, tokens, or money. A member is a server: what it holds
(slots, or amounts reserved), and which of its reports are counted.

Times are milliseconds of the database's clock. An entry may count longer than what it stands for, never shorter:

- A permit that is taken ahead is entered at the end of its life, so it is never used after its time. Once those that were
  taken together are used up or their life is over, they are entered at the time of their use, or shortly after.
- Where there are many entries, those of one sub-window are merged at the latest of their times.
- `clock` names whose clock the times are of, a member of the replica set. When another one is primary, times move on by
  as much as clocks may differ, but not beyond the end of the life of what is granted now: none was granted later.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_LIFE_MS = 5_000
"""How long a permit that is taken ahead may be used at most, in milliseconds."""

MAX_SKEW_MS = 60_000
"""By how much the clocks of two members of a replica set may differ, in milliseconds."""

MAX_FUTURE_MS = MAX_LIFE_MS + 1_000
"""How far ahead of the clock a time in a ledger may be. Beyond it the clock was set back: it is believed."""

MAX_ENTRIES = 1_000
"""How many entries of a ledger are kept one by one."""

SUB_WINDOWS = 500
"""Into how many sub-windows the entries of a window fall when there are more."""

IDLE_MS = 60_000
"""How long a member that holds nothing is remembered, in milliseconds."""


class Span(NamedTuple):
    """What counts now.

    Attributes:
        now: The time.
        begin: The first time that counts.
        window: How long an entry counts; 0 of a calendar period.
        end: When all entries of a calendar period leave; 0 of a window.
    """

    now: int
    begin: int
    window: int = 0
    end: int = 0

    @classmethod
    def of_window(cls, now: int, window: int) -> Span:
        """What counts in the half-open window that ends now."""
        return cls(now, now - window + 1, window)

    def leaves_in(self, at: int) -> int:
        """In how many milliseconds an entry counts no more."""
        return (at + self.window if self.window else self.end) - self.now


class Report(NamedTuple):
    """Something that a server tells a ledger, which counts once however often it is told.

    Attributes:
        number: Its place among the reports of the server to this ledger, from 1.
        amount: What is charged; negative: how many permits are not entered any more as they were.
        at: Of permits: the time at which they were entered. Of a charge: how many milliseconds ago it was.
        clock: Of permits: whose clock that was.
        sent: Whether it was told before, and nobody knows if it counted.
        used_at: Of permits: the time at which they were used at the latest, and are entered; None if they are given back.
    """

    number: int
    amount: int
    at: int
    clock: str = ""
    sent: bool = False
    used_at: int | None = None


@dataclass(slots=True)
class Member:
    """A server: what it holds, its last report that counts, its last write, and when that was."""

    held: int = 0
    report: int = 0
    write: int = 0
    at: int = 0


@dataclass(slots=True)
class Ledger:
    """What is used; entries in the order of their times."""

    clock: str = ""
    entries: list[tuple[int, int]] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """The sum of all entries."""
        return sum([count for _, count in self.entries])

    def held(self, but: str = "") -> int:
        """What all members hold, but one."""
        return sum([member.held for name, member in self.members.items() if name != but])

    def advance(self, span: Span, clock: str, is_dead: Callable[[str], bool]) -> bool:
        """Forget what counts no more. Whether it must be written: times of another clock may move only once."""
        now, moved = span.now, bool(self.clock) and self.clock != clock
        if moved and span.window:
            latest = now + MAX_LIFE_MS
            self.entries = [(max(at, min(at + MAX_SKEW_MS, latest)), count) for at, count in self.entries]
        if moved:
            for member in self.members.values():
                member.at = now
        self.clock = clock
        latest = now + MAX_FUTURE_MS
        if self.entries and self.entries[-1][0] > latest and span.window:
            self.entries = [(min(at, latest), count) for at, count in self.entries]
        if self.entries and self.entries[0][0] < span.begin:
            self.entries = [entry for entry in self.entries if entry[0] >= span.begin]
        gone = [
            name
            for name, member in self.members.items()
            if (member.held and is_dead(name)) or (not member.held and member.at < now - IDLE_MS)
        ]
        for name in gone:
            del self.members[name]
        return moved

    def enter(self, at: int, count: int, span: Span) -> None:
        """Enter a count at a time."""
        entries = self.entries
        index = bisect_left(entries, (at,))
        if index < len(entries) and entries[index][0] == at:
            entries[index] = (at, entries[index][1] + count)
        else:
            insort(entries, (at, count))
            if len(entries) > MAX_ENTRIES:
                self._merge(-(-span.window // SUB_WINDOWS))

    def report(self, process: str, reports: Iterable[Report], span: Span) -> None:
        """Count what a server tells, each report once.

        Of a server that is not known any more, nobody knows which reports counted: permits that may have been given back
        are not given back again, and charges are counted again.
        """
        member = self.members.get(process)
        for report in reports:
            if member is None:
                if report.sent and report.amount < 0:
                    continue
            elif report.number <= member.report:
                continue
            if report.amount >= 0:
                self.enter(max(span.now - report.at, span.begin) if span.window else span.begin, report.amount, span)
            elif report.clock == self.clock and report.at >= span.begin:
                self.remove(report.at, -report.amount)
                if report.used_at is not None and (at := min(report.used_at, report.at)) >= span.begin:
                    self.enter(at, -report.amount, span)

    def next_at(self, free: int) -> int | None:
        """The entry that has to leave before so much is free; None if it need not, or if all entries are not enough.

        Args:
            free: How much is missing.
        """
        left = free
        for at, count in self.entries:
            left -= count
            if left <= 0:
                return at if free > 0 else None
        return None

    def remove(self, at: int, count: int) -> None:
        """Remove permits that were entered at a time; they may have been moved to a later one since."""
        entries = self.entries
        index = bisect_left(entries, (at,))
        while count and index < len(entries):
            time, there = entries[index]
            taken = min(count, there)
            count -= taken
            if taken == there:
                del entries[index]
            else:
                entries[index] = (time, there - taken)

    def _merge(self, grain: int) -> None:
        merged: list[tuple[int, int]] = []
        for at, count in self.entries:
            if merged and merged[-1][0] // grain == at // grain:
                merged[-1] = (at, merged[-1][1] + count)
            else:
                merged.append((at, count))
        self.entries = merged
