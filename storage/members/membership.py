"""The heartbeat of a process among all that use a database, and what those of the others say.

```
{
  _id: <the process>,
  host, pid, process_space, version,       where it runs, and what
  started_at: date, heartbeat_at: date,    by the database's clock
  beat: 7, clock: "<host>:<port>",         a number never used twice; the member of the replica set whose clock it was
  refused_keys: [..],                      keys of this bridge that providers refuse to it
  limits: {servers, rank, alone},  of one that shares limits: its share
  gone: true                               said by another one that is sure: it has its data folder now
}
```

A process reads the documents of all others and then writes its own, once a second. That is written only soon after the
others were read: so no heartbeat appears late of a process that cannot reach the database any more.

Which ones are alive, and which may be deciding about limits alone, only this process's own clock says, except for the first
heartbeat of another one. So the clocks of others make no difference. A process that did not check considers nobody dead: after
a pause of its own it starts to wait again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from pymongo import ReturnDocument

from storage.locked_folder import FolderInUseError, LockedFolder
from storage.mongo.clocks import DatabaseTime, MonotonicNs, Pause, uptime_ns
from storage.mongo.codec import write_ms
from storage.mongo.database import SLACK_SECONDS, Collection, Database, DatabaseUnavailableError

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


HEARTBEAT_SECONDS = 1.0
"""The time between two heartbeats, in seconds."""

ANSWER_SECONDS = 1.0
"""How long the database may take for a heartbeat."""

FAILURES = 2
"""The database counts as unavailable when it did not answer so often in a row."""

PAUSE_SECONDS = 1.0
"""A call that took so much longer than it may was in a process that was paused or busy. That says nothing of the database."""

GIVE_UP_SECONDS = 15.0
"""So long after the first of them even such calls count as failures."""

RETRY_SECONDS = 0.1
"""The pause in seconds before it is asked again."""

WRITE_MS = 1_000
"""A heartbeat may be written until so many milliseconds after the read of the others."""

Document: TypeAlias = dict[str, Any]


def process_space() -> str | None:
    """Name the set of processes in which this one's id is unique: the boot and the namespace; None where unknown.

    See random(4) and pid_namespaces(7).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


class Silence:
    """How often in a row the database did not answer.

    Args:
        answer_seconds: How long it may take.
    """

    def __init__(self, answer_seconds: float, now_ns: MonotonicNs) -> None:
        self._now_ns = now_ns
        self._paused_ns = round((answer_seconds + SLACK_SECONDS + PAUSE_SECONDS) * SECOND_NS)
        self._began = now_ns()
        self._failures = 0

    def note(self, began: int) -> bool:
        """Note that a call which began then had no answer. Return whether the database counts as unavailable."""
        now = self._now_ns()
        was_paused = now - began > self._paused_ns
        self._failures += not was_paused or now - self._began > GIVE_UP_SECONDS * SECOND_NS
        return self._failures >= FAILURES


class Membership:
    """One process among those on a database, from `open` to `close`, and its watch over the others.

    Args:
        process: This process; a new id each time it starts.
        folder: The data folder of this server. A process that had it before, and was killed, is then known to be gone.
        host: Where it runs, for people.
        version: What it runs, for people.
        answer_seconds: How long a heartbeat may take.
        waits: When others are taken for dead.

    Attributes:
        id: This process.
        members: Who is alive.
        time: The database's time when the others were read last; None before that.
        refused_keys: Returns this process's keys that providers refuse, for BSON. Every heartbeat carries them.
        limits: Returns what the others have to know if they share limits with this process; None if they do not.
        on_beat: Called after each heartbeat with the time at which it began, and the error if there was no answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        process: UUID,
        folder: Path | None = None,
        host: str | None = None,
        version: str = "",
        answer_seconds: float = ANSWER_SECONDS,
        waits: Waits | None = None,
        now_ns: MonotonicNs = uptime_ns,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.id = process
        self.members = Members(str(process), now_ns, waits or Waits())
        self.time: DatabaseTime | None = None
        self.refused_keys: Callable[[], Sequence[Document]] = list
        self.limits: Callable[[], Document] | None = None
        self.on_beat: Callable[[int, Exception | None], None] = lambda _began, _error: None
        self._database = database
        self._folder = folder
        self._lock: LockedFolder | None = None
        self._space = process_space()
        self._about = {
            "host": socket.gethostname() if host is None else host,
            "pid": os.getpid(),
            "process_space": self._space,
            "version": version,
        }
        self._answer_seconds = answer_seconds
        self._now_ns = now_ns
        self._pause = pause
        self._beat = 0
        self._is_lost = False
        self._others: Mapping[UUID, Document] = {}

    @property
    def others(self) -> Mapping[UUID, Document]:
        """The documents of the others when they were read last; none while the database is unavailable."""
        return self._others

    @property
    def refused_elsewhere(self) -> list[Document]:
        """The refused keys of the others that are alive."""
        return [
            key
            for id_, one in self._others.items()
            if not self.members.is_silent(str(id_))
            for key in one.get("refused_keys", ())
        ]

    async def open(self) -> None:
        """Send a first heartbeat, unless the database is unavailable. `run` does the rest."""
        with contextlib.suppress(DatabaseUnavailableError):
            await self._take_folder()
            await self.beat()
            await self.beat()  # the first one could not say by which clock it is

    async def close(self) -> None:
        """Leave, once `run` has ended, if the database is available."""
        if not self._is_lost:
            with contextlib.suppress(DatabaseUnavailableError):
                async with self._within_timeout():
                    await self._database.members.delete_one({"_id": self.id})
        if self._lock is not None:
            self._lock.close()

    async def run(self) -> None:
        """Send heartbeats, until cancelled."""
        while True:
            await self._pause(HEARTBEAT_SECONDS)
            with self._database.health.tolerate("there are no heartbeats"):
                await self.beat()

    async def beat(self) -> None:
        """Read the heartbeats of the others and send one.

        Raises:
            DatabaseUnavailableError: There was no answer, twice.
        """
        silence = Silence(self._answer_seconds, self._now_ns)
        while True:
            began = self._now_ns()
            try:
                async with self._within_timeout():
                    await self._exchange()
                break
            except DatabaseUnavailableError as error:
                if silence.note(began) or self._is_lost:
                    self._is_lost, self._others = True, {}
                    self.on_beat(began, error)
                    raise
                await self._pause(RETRY_SECONDS)
        self._is_lost = False
        self.on_beat(began, None)

    async def _exchange(self) -> None:
        sent_at = self._now_ns()
        cursor = self._database.members.find({}, _READ)
        found = {one["_id"]: one async for one in cursor}
        clock = self._database.clock_of(cursor)
        if found:
            now = write_ms(next(iter(found.values()))["now"])
            self.time = DatabaseTime(now, clock, sent_at)
        own = found.pop(self.id, None)
        self.members.update({str(id_): self._heartbeat(one, clock) for id_, one in found.items()})
        self._others = found
        await self._write(self.time if own else None)

    async def _write(self, read: DatabaseTime | None) -> None:
        """Write the heartbeat of this process.

        Args:
            read: When the heartbeats of the others were read, if that of this process was among them. Much later than
                that, nothing is written.

        Raises:
            DatabaseUnavailableError: It is too late.
        """
        self._beat += 1
        said = {
            **self._about,
            "beat": self._beat,
            "clock": read.clock if read else "",
            "refused_keys": list(self.refused_keys()),
        }
        if self.limits is not None and read is not None:  # of its first one the others could not tell the age
            said["limits"] = self.limits()
        fields = {name: {"$literal": value} for name, value in said.items()}
        times = {"started_at": {"$ifNull": ["$started_at", "$$NOW"]}, "heartbeat_at": "$$NOW"}
        which: Document = {"_id": self.id}
        if read is not None:
            which["$expr"] = {"$lte": [{"$toLong": "$$NOW"}, read.now + WRITE_MS]}
        stages: list[Document] = [{"$set": fields | times}, {"$unset": "gone"}]
        done = await self._database.members.update_one(which, stages, upsert=read is None)
        if read is not None and not done.matched_count:
            raise DatabaseUnavailableError("the database answered too late")

    def _heartbeat(self, one: Document, clock: str) -> Heartbeat:
        limits, age_ms = one.get("limits"), None
        if one.get("clock") == clock and "heartbeat_at" in one:
            age_ms = (one["now"] - one["heartbeat_at"]) // timedelta(milliseconds=1)
        share = limits and Share(limits["servers"], limits["rank"])
        gone = one.get("gone", False) or self._has_exited(one)
        return Heartbeat(one.get("beat", 0), share, bool(limits and limits["alone"]), age_ms, gone)

    def _has_exited(self, one: Document) -> bool:
        is_here = self._space is not None and one.get("process_space") == self._space
        return is_here and "pid" in one and not _runs(one["pid"])

    async def _take_folder(self) -> None:
        """Take the data folder, and say that the process which had it before is gone."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = LockedFolder(self._folder, f"{os.getpid()} {self.id}")
        except (FolderInUseError, OSError):  # who has it is not gone; that it cannot be used the spool says
            return
        with contextlib.suppress(ValueError):  # no note, or one without an id
            before = UUID(self._lock.before.partition(" ")[2])
            async with self._within_timeout():
                await self._database.members.update_one({"_id": before}, {"$set": {"gone": True}})

    def _within_timeout(self) -> AbstractAsyncContextManager[None]:
        return self._database.within(self._answer_seconds, "take heartbeats")


_READ: Document = dict.fromkeys(
    ("beat", "clock", "heartbeat_at", "pid", "process_space", "refused_keys", "limits", "gone"), 1
) | {"now": "$$NOW"}


def _runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie, which has exited and was not reaped (proc_pid_stat(5)).

    Called only where `process_space` is known, so there is a /proc.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


async def has_lease(collection: Collection, name: str, holder: UUID, seconds: float) -> bool:
    """Take a lease that is free, or renew the own one, by the database's clock. Return whether `holder` has it.

    The lease is the field `lease` of the document with this `_id`, which is made if it is missing. A change that needs
    the lease should match `lease.holder` in its own transaction: it may have ended since.

    Args:
        collection: Where the lease is kept.
        name: The `_id` of its document.
        holder: Who takes it.
        seconds: So much later the lease is free again, unless it was renewed.

    Raises:
        PyMongoError: It is not known.
    """
    is_free = {"$lte": [{"$ifNull": ["$lease.until", "$$NOW"]}, "$$NOW"]}
    is_own = {"$eq": ["$lease.holder", {"$literal": holder}]}
    renewed = {"holder": {"$literal": holder}, "until": {"$add": ["$$NOW", round(1000 * seconds)]}}
    after = await collection.find_one_and_update(
        {"_id": name},
        [{"$set": {"lease": {"$cond": [{"$or": [is_own, is_free]}, renewed, "$lease"]}}}],
        {"lease.holder": 1},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return bool(after["lease"]["holder"] == holder)
