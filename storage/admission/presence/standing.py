"""Whether a server of a cluster decides by the ledgers or alone, and what it can prove then. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from storage.admission.presence.shares import Alone, Share


class State(Enum):
    """How a server decides."""

    SHARED = auto()  # by the ledgers
    ALONE = auto()  # within its share: the database is unavailable
    # Still within its share, and the ledgers are told of it: they do not know yet what other servers admitted alone.
    RETURNING = auto()


class Standing:
    """The standing of one server.

    A heartbeat reads those of the others, then it is written if that takes no longer than `beat_ns`. So the last one that
    others can see was written by then, and they hear of this server for `missing_ns` after it at most. What they were
    granted before that is used `answer_ns` later at most.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
        lease_ns: For how long heartbeats have to succeed until the ledgers decide again.
        hidden_ns: The sum of these times: so long after a heartbeat read the others, they leave a server its share.
    """

    def __init__(self, now_ns: Callable[[], int], *, lease_ns: int, hidden_ns: int) -> None:
        self._now_ns = now_ns
        self._lease_ns = lease_ns
        self._hidden_ns = hidden_ns
        self._shares: tuple[Share, ...] = (Share(),)
        self._since = 0
        self._back_at = 0
        self.state = State.SHARED

    @property
    def alone(self) -> Alone:
        """What can be proved while this server decides alone."""
        return Alone(self._shares, self._since if self._known_to_others else 0)

    @property
    def may_be_alone(self) -> bool:
        """Whether the others leave this server its share by now. The only server need not wait for that."""
        return self.state is not State.SHARED or not self._known_to_others or self._now_ns() >= self._since

    def read(self, share: Share) -> None:
        """The heartbeats of all were read, and a new one is about to be written that tells of this share."""
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
        """The database is unavailable. Whether that is new."""
        new = self.state is State.SHARED
        if new:
            self._since = max(self._since, self._now_ns())
        self.state = State.ALONE
        return new

    def share_again(self) -> bool:
        """Decide by the ledgers again, if every server had the time to tell them what it admitted alone."""
        if self.state is not State.RETURNING or self._now_ns() - self._back_at < self._lease_ns:
            return False
        self.state = State.SHARED
        self._since = self._now_ns() + self._hidden_ns
        return True

    @property
    def _known_to_others(self) -> bool:
        return max(share.servers for share in self._shares) > 1
