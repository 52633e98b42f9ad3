"""Which processes on a database are alive, and which may be deciding about limits alone, by their heartbeats. Pure.

Only this process's own clock counts, except for the first heartbeat of another one. So the clocks of others make no
difference. A process that did not check considers nobody dead: after a pause of its own it starts to wait again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from storage.mongo.clocks import MonotonicNs

LEASE_SECONDS = 5.0
"""A server that knew of no other, or sent no heartbeat yet, is dead so many seconds after its last heartbeat."""

MISSING_SECONDS = 4.0
"""So many seconds after its last heartbeat a server may be deciding alone. The others then leave it its share."""

SILENT_SECONDS = 30.0
"""The calls of a process whose heartbeat has not changed for so many seconds end; should it live, their true ends win."""

DEAD_SECONDS = 600.0
"""A process is dead when its heartbeat has not changed for so many seconds. Its share of limits is then free."""

FORGET_NS = 3_600_000_000_000
"""How long a process that left is remembered, in nanoseconds."""

SECOND_NS = 1_000_000_000


class Waits(NamedTuple):
    """After how many seconds without a heartbeat a process is taken for what."""

    lease: float = LEASE_SECONDS
    missing: float = MISSING_SECONDS
    silent: float = SILENT_SECONDS
    dead: float = DEAD_SECONDS


class Share(NamedTuple):
    """One of `servers` shares that together are the limit. The first ones, by `rank` from 0, get the remainder."""

    servers: int = 1
    rank: int = 0

    def of(self, maximum: int) -> int:
        """The share of a limit with this maximum."""
        return max(0, (maximum + self.servers - 1 - self.rank) // self.servers)


class Heartbeat(NamedTuple):
    """The last heartbeat of a process.

    Attributes:
        beat: A number that is never used twice.
        share: What it may admit of shared limits when it decides alone; None if it has no part in them.
        alone: Whether it decides alone.
        age_ms: The age of the heartbeat by the database's clock; None if another member's clock gave its time.
        gone: Whether the process is known to have ended.
    """

    beat: int
    share: Share | None = Share()
    alone: bool = False
    age_ms: int | None = 0
    gone: bool = False


@dataclass(slots=True)
class _Known:
    """A process: its last heartbeat (None if it has none), since when that has not changed, and whether it left."""

    heartbeat: Heartbeat | None
    since: int
    heard_until: int = 0
    left: bool = False


class Members:
    """The processes on a database as one of them sees them."""

    def __init__(self, own: str, now_ns: MonotonicNs, waits: Waits) -> None:
        self._own = own
        self._now_ns = now_ns
        self._lease_ns, self._missing_ns, self._silent_ns, self._dead_ns = (
            round(seconds * SECOND_NS) for seconds in waits
        )
        self._known: dict[str, _Known] = {}
        self._checked_at = now_ns()

    @property
    def share(self) -> Share:
        """This process's share of every shared limit."""
        alive = sorted({self._own, *(name for name in self._sharing() if not self.is_dead(name))})
        return Share(len(alive), alive.index(self._own))

    def update(self, heartbeats: Mapping[str, Heartbeat]) -> None:
        """Note all current heartbeats. Processes without one have left."""
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
        """Whether a process that holds something is dead. For an unknown one, the wait begins now."""
        known = self._of(name)
        if known.left or (known.heartbeat and known.heartbeat.gone):
            return True
        share = known.heartbeat and known.heartbeat.share
        only_one = known.heartbeat is None or (share is not None and share.servers == 1)
        return self._checked_at - known.since >= (self._lease_ns if only_one else self._dead_ns)

    def is_silent(self, name: str) -> bool:
        """Whether a process with calls in flight has ended, or was not heard of for long. The wait may begin now."""
        known = self._of(name)
        ended = known.left or (known.heartbeat is not None and known.heartbeat.gone)
        return ended or self._checked_at - known.since >= self._silent_ns

    def dead(self) -> tuple[str, ...]:
        """The processes that are known to be dead."""
        return tuple([name for name in list(self._known) if name != self._own and self.is_dead(name)])

    def is_heard(self, name: str) -> bool:
        """Whether the heartbeats of a process are recent."""
        known = self._known.get(name)
        return known is not None and known.heartbeat is not None and self._now_ns() < known.heard_until

    def absent(self) -> Mapping[str, Share]:
        """The servers that may be deciding alone now, with their shares. What they may admit alone is left to them."""
        return {
            name: one.share
            for name, one in self._sharing().items()
            if one.share and name != self._own and (one.alone or not self.is_heard(name)) and not self.is_dead(name)
        }

    def _sharing(self) -> dict[str, Heartbeat]:
        """The heartbeats of those that share limits."""
        return {
            name: one.heartbeat
            for name, one in self._known.items()
            if one.heartbeat is not None and one.heartbeat.share is not None
        }

    def _of(self, name: str) -> _Known:
        return self._known.setdefault(name, _Known(None, self._checked_at))

    def _first(self, heartbeat: Heartbeat | None, now: int, *, left: bool) -> _Known:
        if heartbeat is None:
            return _Known(None, now, left=left)
        age = self._missing_ns if heartbeat.age_ms is None else max(0, heartbeat.age_ms * 1_000_000)
        return _Known(heartbeat, now, now - age + self._missing_ns)
