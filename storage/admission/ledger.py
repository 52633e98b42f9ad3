"""A ledger: what all servers of a cluster use of one limit. Pure: the caller gives the time.

A ledger has entries and members. An entry is a time and a count: admissions of a rate, tokens, or money. A member is a
server: what it holds (slots, or reserved amounts), and which of its reports are counted.

Times are milliseconds of the database's clock. An entry may count longer than the use that it stands for, never shorter:

- A prefetched permit is entered at the end of its life. So it is never used after its time. When all permits that were
  prefetched together are used or over, they are entered again at the time of their use, or shortly after.
- If there are many entries, those of one sub-window are merged at the latest of their times.
- `clock` names the member of the replica set whose clock the times are of. When another member is primary, all times move
  by the largest difference of clocks, but not beyond the end of the life of a permit that is granted now: no earlier
  permit lives longer.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_LIFE_MS = 5_000
"""A prefetched permit may be used for so many milliseconds at most."""

MAX_SKEW_MS = 60_000
"""The clocks of two members of a replica set may differ by so many milliseconds."""

MAX_FUTURE_MS = MAX_LIFE_MS + 1_000
"""How many milliseconds later than the clock a time in a ledger may be. If it is more, the clock was set back; the clock
counts."""

MAX_ENTRIES = 1_000
"""So many entries of a ledger are kept one by one."""

SUB_WINDOWS = 500
"""If there are more entries, they are merged by so many sub-windows of a window."""

IDLE_MS = 60_000
"""A member that holds nothing is remembered for so many milliseconds."""


class Span(NamedTuple):
    """The times that count now.

    Attributes:
        begin: The first time that counts.
        window: How long an entry counts; 0 for a calendar period.
        end: When all entries of a calendar period leave; 0 for a window.
    """

    now: int
    begin: int
    window: int = 0
    end: int = 0

    @classmethod
    def of_window(cls, now: int, window: int) -> Span:
        """The half-open window that ends now."""
        return cls(now, now - window + 1, window)

    def leaves_in(self, at: int) -> int:
        """The milliseconds after which an entry does not count any more."""
        return (at + self.window if self.window else self.end) - self.now


class Report(NamedTuple):
    """A report of a server to a ledger. It counts once, however often it is sent.

    Attributes:
        number: Its number among the reports of this server to this ledger, from 1.
        amount: The charge. If negative: the number of permits whose earlier entry is removed.
        at: For permits: the time of their entry. For a charge: how many milliseconds ago it was.
        clock: For permits: the member of the replica set whose clock that was.
        sent: Whether it was sent before, with unknown result.
        used_at: For permits: the latest time of their use, which is their new entry; None if they are given back. For
            tokens and money: when they were charged, by the server's clock.
    """

    number: int
    amount: int
    at: int
    clock: str = ""
    sent: bool = False
    used_at: int | None = None


@dataclass(slots=True)
class Member:
    """A server: what it holds, its last counted report, its last write, and the time of that write."""

    held: int = 0
    report: int = 0
    write: int = 0
    at: int = 0


@dataclass(slots=True)
class Ledger:
    """The use of a limit; entries in the order of their times."""

    clock: str = ""
    entries: list[tuple[int, int]] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """The sum of all entries."""
        return sum([count for _, count in self.entries])

    def held(self, but: str = "") -> int:
        """What all members hold, except the member `but`."""
        return sum([member.held for name, member in self.members.items() if name != but])

    def advance(self, span: Span, clock: str, is_dead: Callable[[str], bool]) -> bool:
        """Forget what does not count any more. Return whether it must be written: times of another clock may move only once."""
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
        """Count the reports of a server, each one once.

        If the server is not known any more, it is unknown which reports counted. Then permits that may have been given back
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
        """The time of the entry that has to leave before so much is free; None if none has to, or all are too few."""
        left = free
        for at, count in self.entries:
            left -= count
            if left <= 0:
                return at if free > 0 else None
        return None

    def remove(self, at: int, count: int) -> None:
        """Remove permits that were entered at a time. They may have moved to a later time since then."""
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
