"""Whether a server of a cluster uses the ledgers or decides alone, and what it can prove then. Pure."""

from __future__ import annotations

from enum import Enum, auto

from storage.admission.presence.shares import Alone, Share
from storage.mongo.clocks import MonotonicNs


class State(Enum):
    """How a server decides."""

    SHARED = auto()  # by the ledgers
    ALONE = auto()  # within its share: the database is unavailable
    # Still within its share, and it reports to the ledgers: they do not know yet what other servers admitted alone.
    RETURNING = auto()


class Standing:
    """The standing of one server.

    A heartbeat first reads those of the others. Then it is written, if that takes no longer than `beat_ns`. So the last
    heartbeat that others can see was written by then. They consider this server missing `missing_ns` after it at the latest.
    They use what they were granted before that within `grant_ns`.

    Args:
        lease_ns: How long heartbeats must succeed before the ledgers decide again.
        hidden_ns: The sum of these three times. So long after a server's last read of the others, they leave it its share.
    """

    def __init__(self, now_ns: MonotonicNs, *, lease_ns: int, hidden_ns: int) -> None:
        self._now_ns = now_ns
        self._lease_ns = lease_ns
        self._hidden_ns = hidden_ns
        self._shares: tuple[Share, ...] = (Share(),)
        self._since = 0
        self._back_at = 0
        self.state = State.SHARED

    @property
    def alone(self) -> Alone:
        """What this server can prove while it decides alone."""
        return Alone(self._shares, self._since if self._known_to_others else 0)

    @property
    def may_be_alone(self) -> bool:
        """Whether the others leave this server its share by now. The only server does not wait for that."""
        return self.state is not State.SHARED or not self._known_to_others or self._now_ns() >= self._since

    def read(self, share: Share) -> None:
        """The heartbeats of all were read. A new one with this share is about to be written."""
        self._shares = tuple(dict.fromkeys((*self._shares, share)))
        if self.state is State.SHARED:
            self._since = self._now_ns() + self._hidden_ns

    def written(self) -> None:
        """The heartbeat was written."""
        if self.state is State.SHARED:
            self._shares = self._shares[-1:]
        elif self.state is State.ALONE:
            self.state, self._back_at = State.RETURNING, self._now_ns()

    def lose(self) -> bool:
        """The database is unavailable. Return whether that is new."""
        new = self.state is State.SHARED
        if new:
            self._since = max(self._since, self._now_ns())
        self.state = State.ALONE
        return new

    def share_again(self) -> bool:
        """Use the ledgers again, if every server had the time to report what it admitted alone. Return whether it does."""
        if self.state is not State.RETURNING or self._now_ns() - self._back_at < self._lease_ns:
            return False
        self.state = State.SHARED
        self._since = self._now_ns() + self._hidden_ns
        return True

    @property
    def _known_to_others(self) -> bool:
        return max(share.servers for share in self._shares) > 1
