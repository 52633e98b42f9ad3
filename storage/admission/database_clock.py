"""The time by the database's clock, without a call: the earliest and the latest time that it can be. Pure."""

from __future__ import annotations

from typing import NamedTuple

from storage.admission.kinds.parameters import MS
from storage.mongo.clocks import MonotonicNs

MAX_ROUND_TRIP_NS = 100_000_000
"""A response that took longer, in nanoseconds, is too inexact. The one before it stays in use."""

MAX_AGE_NS = 10_000_000_000
"""How long a response is used, in nanoseconds; clocks may differ in pace by a thousandth."""


class DatabaseTime(NamedTuple):
    """The database's time.

    Attributes:
        now: In milliseconds.
        clock: The member of the replica set whose clock that is.
        at: The same moment or a later one, by this server's clock.
        late: By how many milliseconds later it may have been when this was read.
    """

    now: int
    clock: str
    at: int
    late: int = 0


class DatabaseClock:
    """The clock of the primary, as one server knows it from the responses that it gets anyway.

    It says what the primary's clock certainly shows by now, and by how much more it may show. It does not matter if the
    primary's clock was set since then: only the time that passed counts, and this server measures it.
    """

    def __init__(self, now_ns: MonotonicNs) -> None:
        self._now_ns = now_ns
        self._latest: DatabaseTime | None = None
        self._received_at = 0

    def note(self, time: DatabaseTime) -> None:
        """Note the time of a response that has just come; its call was sent at `time.at`."""
        now = self._now_ns()
        if now - time.at <= MAX_ROUND_TRIP_NS:
            self._latest, self._received_at = time, now
        elif self._latest is not None and self._latest.clock != time.clock:
            self._latest = None

    def read(self) -> DatabaseTime | None:
        """The latest time that has certainly passed; None if it is not known well enough."""
        if self._latest is None:
            return None
        now = self._now_ns()
        age, longest = now - self._received_at, now - self._latest.at
        if age > MAX_AGE_NS:
            return None
        passed = (age - age // 1_000) // MS
        late = (longest + longest // 1_000) // MS + 1 - passed  # the response has whole milliseconds, rounded down
        return DatabaseTime(self._latest.now + passed, self._latest.clock, self._latest.at + passed * MS, late)
