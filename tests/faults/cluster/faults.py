"""The faults of the servers and of the members of the replica set, one after the other."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from tests.faults.cluster.network import Host
from tests.faults.cluster.servers import Server
from tests.mongodb.replica_set import ReplicaSet

# A server that is paused is heard of in time; to one that hangs the others leave its share.
PAUSE_SECONDS = 2.0
HUNG_SECONDS = 6.0
DOWN_SECONDS = 2.0
CUT_SECONDS = 6.0
# Until a server that is cut off decides alone, and for a window after that.
ALONE_SECONDS = 18.0
REST_SECONDS = 5.0


class Happened(NamedTuple):
    """What happened to whom, and when it began and ended, in seconds."""

    what: str
    whom: str
    begin: float
    end: float


class Fault(NamedTuple):
    """Something that may happen; `make` returns when it is over."""

    what: str
    whom: str
    make: Callable[[], Awaitable[None]]


class Faults:
    def __init__(self, servers: Sequence[Server], members: ReplicaSet, machines: Sequence[Host]) -> None:
        self.happened: list[Happened] = []
        self._members = members
        self._machines = dict(zip(members.addresses, machines, strict=True))
        self.of_servers = [
            [Fault(what, f"server {number + 1}", make) for what, make in self._server_faults(server)]
            for number, server in enumerate(servers)
        ]
        self.of_members = [
            Fault(what, "primary", make)
            for what, make in (
                ("paused", self._pause),
                ("killed", self._kill),
                *([("cut off", self._cut)] if self._cuttable else []),
                ("restarted", self._restart),
            )
        ]

    async def make(self, fault: Fault) -> None:
        """Make it, wait until all is well again, and then for a while."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await fault.make()
        await self._members.complete()
        self.happened.append(Happened(fault.what, fault.whom, began, clock()))
        await asyncio.sleep(REST_SECONDS)

    def rounds(self) -> Iterator[list[Fault]]:
        """Rounds without end. In each comes each kind of fault once; servers take turns."""
        kinds, servers = len(self.of_servers[0]), len(self.of_servers)
        for number in itertools.count():
            yield [self.of_servers[(number + kind) % servers][kind] for kind in range(kinds)] + self.of_members

    @property
    def _cuttable(self) -> bool:
        return all(machine.cable is not None for machine in self._machines.values())

    def _server_faults(self, server: Server) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        faults: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("paused", lambda: server.pause(PAUSE_SECONDS)),
            ("hung", lambda: server.pause(HUNG_SECONDS)),
            ("killed", lambda: server.kill(DOWN_SECONDS)),
            ("reloaded", lambda: server.reload(DOWN_SECONDS)),
            ("restarted", lambda: server.restart(DOWN_SECONDS)),
        ]
        if server.host.cable is not None:
            faults.append(("cut off", lambda: server.cut(ALONE_SECONDS)))
        return faults

    async def _pause(self) -> None:
        primary = await self._members.primary()
        self._members.signal_member(primary, signal.SIGSTOP)
        await asyncio.sleep(CUT_SECONDS)
        self._members.signal_member(primary, signal.SIGCONT)

    async def _kill(self) -> None:
        primary = await self._members.primary()
        await self._members.kill_member(primary)
        await asyncio.sleep(CUT_SECONDS)
        self._members.start_member(primary)

    async def _cut(self) -> None:
        machine = self._machines[await self._members.primary()]
        machine.cut()
        await asyncio.sleep(CUT_SECONDS)
        machine.join()

    async def _restart(self) -> None:
        primary = await self._members.primary()
        await self._members.end_member(primary)
        await asyncio.sleep(DOWN_SECONDS)
        self._members.start_member(primary)
