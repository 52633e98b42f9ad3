"""Which servers are alive, and the ends of calls that dead ones left in flight.

Each server keeps a document with its heartbeat. It is dead when its heartbeat stands still for `DEAD_SECONDS` while
another one watches: measured on the watcher's own clock, from look to look, and started over when the database does not
answer a look. So neither clocks that differ nor a database that was away make a server look dead. One that has left no
document at all, but calls in flight, is watched in the same way. One on this host whose process is gone is dead at once.

The calls that a dead server has in flight end, see `storage.recording.left_calls`. Who writes the records that it left on
this host's disk ends those too that only then come to light.

The document also has the keys that providers refuse to this server, for the others to read with their next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from storage.mongo.clocks import Monotonic, Pause
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.indexes import IN_FLIGHT as CALLS_IN_FLIGHT
from storage.recording.left_calls import end_calls_left
from storage.recording.operations import IN_FLIGHT

HEARTBEAT_SECONDS = 10.0
"""Time between two heartbeats, and between two checks of the others."""

DEAD_SECONDS = 30.0
"""How long a heartbeat stands still before its server counts as dead. More than two may be missed."""

ANSWER_SECONDS = 5.0
"""How long the database may take for a heartbeat or a check."""


def process_space() -> str | None:
    """Name the set of processes in which this one's id is unique: the boot and the namespace; None where unknown.

    See random(4) and pid_namespaces(7).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


class Instances:
    """The heartbeat of one server and its watch over the others, from `open` to `close`.

    Args:
        host: Where it runs, for people.
        version: What it runs, for people.
        refused_keys: Its keys that providers refuse, in BSON types; written with every heartbeat.

    Attributes:
        refused_elsewhere: The refused keys that the others had written at the last look; none while the database is
            unavailable.
    """

    def __init__(
        self,
        database: Database,
        *,
        instance_id: UUID,
        host: str | None = None,
        version: str = "",
        refused_keys: Callable[[], Sequence[dict[str, Any]]] = list,
        clock: Monotonic = time.monotonic,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._database = database
        self._instances = database.instances
        self._interceptions = database.interceptions
        self._id = instance_id
        self._space = process_space()
        self._about = {
            "host": socket.gethostname() if host is None else host,
            "pid": os.getpid(),
            "process_space": self._space,
            "version": version,
        }
        self._refused_keys = refused_keys
        self._clock = clock
        self._pause = pause
        self._watched: dict[UUID, tuple[datetime | None, float]] = {}
        self._heartbeat: asyncio.Future[Any] | None = None
        self._has_just_registered = False
        self.refused_elsewhere: Sequence[dict[str, Any]] = ()

    async def open(self) -> None:
        """Register, unless the database is unavailable. `run` does the rest."""
        with contextlib.suppress(DatabaseUnavailableError):
            await self.register()
            self._has_just_registered = True

    async def close(self) -> None:
        """Unregister, once `run` has ended, if the database is available."""
        if self._database.health.available:
            with contextlib.suppress(DatabaseUnavailableError):
                await self.unregister()

    async def register(self) -> None:
        """Write a heartbeat, the first or another one, in the database's time.

        Raises:
            DatabaseUnavailableError: It is not written.
        """
        heartbeat = {"started_at": {"$ifNull": ["$started_at", "$$NOW"]}, "heartbeat_at": "$$NOW"}
        about = self._about | {"refused_keys": self._refused_keys()}
        about = {name: {"$literal": value} for name, value in about.items()}
        async with self._within_timeout():
            # If this is cancelled, the driver's thread sends it all the same.
            changes = [{"$set": {**about, **heartbeat}}]
            self._heartbeat = asyncio.ensure_future(  # noqa: TID251 - the future of the driver's thread
                self._instances.update_one({"_id": self._id}, changes, upsert=True)
            )
            self._heartbeat.add_done_callback(_consume_error)
            await asyncio.shield(self._heartbeat)

    async def unregister(self) -> None:
        """Leave, with nothing in flight, once a heartbeat that is still under way has arrived.

        Raises:
            DatabaseUnavailableError: The document is still there; it will be found dead.
        """
        async with self._within_timeout():
            if self._heartbeat is not None:
                await asyncio.wait([self._heartbeat])
            await self._instances.delete_one({"_id": self._id})

    async def run(self) -> None:
        """Write heartbeats and end what dead servers left, until cancelled.

        Raises:
            DatabaseRefusalError: The database does not take heartbeats.
        """
        while True:
            with self._database.health.tolerate("there are no heartbeats"):
                if not self._has_just_registered:
                    await self.register()
                self._has_just_registered = False
                await self.reap()
            await self._pause(HEARTBEAT_SECONDS)

    async def reap(self) -> int:
        """Check the other servers once; end the calls that dead ones left in flight. Return the number of these calls.

        Any number of servers may do this at the same time.

        Raises:
            DatabaseUnavailableError: Not all were checked.
        """
        async with self._within_timeout():
            others = await self._others()
            dead = {id_: instance for id_, instance in others.items() if self._is_dead(id_, instance)}
            alive = [instance for id_, instance in others.items() if id_ not in dead]
            self.refused_elsewhere = [key for one in alive for key in one.get("refused_keys", ())]
            ended = sum([await end_calls_left(self._database, instance) for instance in dead.values()])
        self._watched = {id_: seen for id_, seen in self._watched.items() if id_ in others}
        return ended

    @contextlib.asynccontextmanager
    async def _within_timeout(self) -> AsyncIterator[None]:
        try:
            async with self._database.within(ANSWER_SECONDS, "take heartbeats"):
                yield
        except DatabaseUnavailableError:
            # The others could not write their heartbeats either.
            self._watched.clear()
            self.refused_elsewhere = ()
            raise

    async def _others(self) -> dict[UUID, dict[str, Any]]:
        """Return each other server, including those of which only calls in flight are known."""
        registered = {document["_id"]: document async for document in self._instances.find({"_id": {"$ne": self._id}})}
        with_calls = self._interceptions.aggregate(
            [{"$match": {**IN_FLIGHT, "instance_id": {"$ne": self._id}}}, {"$group": {"_id": "$instance_id"}}],
            hint=dict(CALLS_IN_FLIGHT),
        )
        return {document["_id"]: document async for document in with_calls} | registered

    def _is_dead(self, id_: UUID, instance: dict[str, Any]) -> bool:
        heartbeat, now = instance.get("heartbeat_at"), self._clock()
        last, since = self._watched.get(id_, (heartbeat, now))
        if heartbeat != last:
            since = now
        self._watched[id_] = heartbeat, since
        return now - since >= DEAD_SECONDS or self._has_exited(instance)

    def _has_exited(self, instance: dict[str, Any]) -> bool:
        is_here = self._space is not None and instance.get("process_space") == self._space
        return is_here and not _runs(instance["pid"])


def _runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie, which has exited and was not reaped (proc_pid_stat(5)).

    Called only where `process_space` is known, so there is a /proc.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def _consume_error(heartbeat: asyncio.Future[Any]) -> None:
    """Retrieve the error of a heartbeat whose task was cancelled, so that asyncio does not warn."""
    if not heartbeat.cancelled():
        heartbeat.exception()
