"""Which servers of a cluster are alive, by their heartbeats. Pure, and by this server's own clock alone.

So it makes no difference what the clocks of others say. Nobody is taken for dead by a server that did not look: after a
pause of its own it begins to wait anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

FORGET_NS = 3_600_000_000_000
"""How long a server that is gone is remembered."""


class Members:
    """The servers of a cluster as one of them sees them.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
        lease_ns: A server is dead when its heartbeat has not changed for so long, while it was looked at all the time.
    """

    def __init__(self, now_ns: Callable[[], int], lease_ns: int) -> None:
        self._now_ns = now_ns
        self._lease_ns = lease_ns
        self._beats: dict[str, tuple[int | None, int]] = {}
        self._looked_at = now_ns()

    @property
    def alive(self) -> int:
        """How many are alive, at least one."""
        return max(1, sum(beat is not None and not self.is_dead(name) for name, (beat, _) in self._beats.items()))

    def look(self, beats: Mapping[str, int]) -> None:
        """Take note of all heartbeats that there are."""
        now = self._now_ns()
        slept = now - self._looked_at > self._lease_ns // 2
        self._looked_at = now
        for name in beats.keys() | self._beats.keys():
            beat = beats.get(name)
            before, since = self._beats.get(name, (None, now))
            self._beats[name] = (beat, now if slept or beat != before else since)
        forgotten = [name for name, (beat, since) in self._beats.items() if beat is None and now - since > FORGET_NS]
        for name in forgotten:
            del self._beats[name]

    def is_dead(self, name: str) -> bool:
        """Whether a server that holds something is dead. One that is not known yet is waited for as long as the others."""
        known = self._beats.get(name)
        if known is None:
            self._beats[name] = (None, self._looked_at)
            return False
        return self._looked_at - known[1] >= self._lease_ns
