"""Which servers of a cluster are alive, and which may be deciding alone, by their heartbeats. Pure.

Only this server's own clock counts, except for the first heartbeat of another server. So the clocks of others make no
difference. A server that did not check considers nobody dead: after a pause of its own it starts to wait again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from storage.mongo.clocks import MonotonicNs

FORGET_NS = 3_600_000_000_000
"""How long a server that left is remembered, in nanoseconds."""


class Share(NamedTuple):
    """One of `servers` shares that together are the limit. The first ones, by `rank` from 0, get the remainder."""

    servers: int = 1
    rank: int = 0

    def of(self, maximum: int) -> int:
        """The share of a limit with this maximum."""
        return max(0, (maximum + self.servers - 1 - self.rank) // self.servers)


class Heartbeat(NamedTuple):
    """The last heartbeat of a server.

    Attributes:
        beat: A number that is never used twice.
        share: What the server may admit when it decides alone.
        alone: Whether it decides alone.
        age_ms: The age of the heartbeat by the database's clock; None if another member's clock gave its time.
    """

    beat: int
    share: Share = Share()
    alone: bool = False
    age_ms: int | None = 0


@dataclass(slots=True)
class _Known:
    """A server: its last heartbeat (None if it has none), since when that has not changed, and whether it left."""

    heartbeat: Heartbeat | None
    since: int
    heard_until: int = 0
    left: bool = False


class Members:
    """The servers of a cluster as one of them sees them.

    Args:
        lease_ns: How long this server waits for one without a heartbeat, and for one that knew of no other.
        missing_ns: A server may be deciding alone when so much time has passed since its last heartbeat.
        dead_ns: A server is dead when its heartbeat has not changed for so long, and this server checked all the time.
    """

    def __init__(self, own: str, now_ns: MonotonicNs, *, lease_ns: int, missing_ns: int, dead_ns: int) -> None:
        self._own = own
        self._now_ns = now_ns
        self._lease_ns = lease_ns
        self._missing_ns = missing_ns
        self._dead_ns = dead_ns
        self._known: dict[str, _Known] = {}
        self._checked_at = now_ns()

    @property
    def share(self) -> Share:
        """This server's share of every limit."""
        known = [name for name, one in self._known.items() if one.heartbeat is not None and not self.is_dead(name)]
        alive = sorted({self._own, *known})
        return Share(len(alive), alive.index(self._own))

    def update(self, heartbeats: Mapping[str, Heartbeat]) -> None:
        """Note all current heartbeats. Servers without one have left."""
        now = self._now_ns()
        slept = now - self._checked_at > self._lease_ns // 2
        for name in heartbeats.keys() | self._known.keys():
            one, known = heartbeats.get(name), self._known.get(name)
            if known is None or (one is None) != (known.heartbeat is None):
                self._known[name] = self._first(one, now, left=known is not None)
                continue
            if known.heartbeat is not None and one is not None and one.beat != known.heartbeat.beat:
                known.heard_until = now + self._missing_ns
                known.since = now
            elif slept and not known.left:
                known.since = now
            known.heartbeat = one
        self._checked_at = now
        for name in [
            name for name, one in self._known.items() if one.heartbeat is None and now - one.since > FORGET_NS
        ]:
            del self._known[name]

    def is_dead(self, name: str) -> bool:
        """Whether a server that holds something is dead. For an unknown server, the wait begins now."""
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Known(None, self._checked_at)
            return False
        if known.left:
            return True
        only_one = known.heartbeat is None or known.heartbeat.share.servers == 1
        return self._checked_at - known.since >= (self._lease_ns if only_one else self._dead_ns)

    def dead(self) -> tuple[str, ...]:
        """The servers that are known to be dead."""
        return tuple([name for name in list(self._known) if name != self._own and self.is_dead(name)])

    def is_heard(self, name: str) -> bool:
        """Whether the heartbeats of a server are recent."""
        known = self._known.get(name)
        return known is not None and known.heartbeat is not None and self._now_ns() < known.heard_until

    def absent(self) -> Mapping[str, Share]:
        """The servers that may be deciding alone now, with their shares. What they may admit alone is left to them."""
        now = self._now_ns()
        return {
            name: one.heartbeat.share
            for name, one in self._known.items()
            if one.heartbeat is not None
            and name != self._own
            and (one.heartbeat.alone or now >= one.heard_until)
            and not self.is_dead(name)
        }

    def _first(self, heartbeat: Heartbeat | None, now: int, *, left: bool) -> _Known:
        if heartbeat is None:
            return _Known(None, now, left=left)
        age = self._missing_ns if heartbeat.age_ms is None else max(0, heartbeat.age_ms * 1_000_000)
        return _Known(heartbeat, now, now - age + self._missing_ns)
