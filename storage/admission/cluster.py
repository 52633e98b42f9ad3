"""The authority of a cluster: this server's permits, and the rounds with the ledgers in MongoDB.

Requests that a server cannot admit by itself wait for a round (`storage.admission.rounds`). A call without a response is
repeated. The database counts as unavailable when a second call, sent after the first, has no response either, and this
process was not paused meanwhile. The other servers then need time to notice that this one is missing, and to leave it its
share. After that it decides alone, until heartbeats have succeeded for a moment. Then it uses the ledgers again, and leaves
the others their shares until they have reported to the ledgers too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pymongo

from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from storage.admission.database_calls import RETRY_SECONDS, OwnPauseError, Silence, call_database
from storage.admission.kinds.parameters import MS, Times
from storage.admission.ledger_documents import Document
from storage.admission.ledger_store import BEAT_MS, LedgerStore
from storage.admission.ledger_usage import busiest, state_of
from storage.admission.permits import Permits
from storage.admission.presence.heartbeats import Presence
from storage.admission.presence.members import Members
from storage.admission.presence.standing import Standing, State
from storage.admission.rounds import Rounds
from storage.admission.waiting import Waiting
from storage.mongo.clocks import MonotonicNs, Pause
from storage.mongo.database import Database, DatabaseUnavailableError, database_errors

ROUND_SECONDS = 0.4
"""How long a round may take, in seconds in which this process was running."""

HEARTBEAT_SECONDS = 1.0
"""The time between two heartbeats, in seconds. Due work is done as often."""

HEARTBEAT_FACTOR = 4
"""A heartbeat may take so many times as long as a round: nobody waits for it."""

RETURN_SECONDS = 2.0
"""For how many seconds heartbeats must succeed before a server that decided alone uses the ledgers again."""

LEASE_SECONDS = 5.0
"""A server that knew of no other, or sent no heartbeat yet, is dead so many seconds after its last heartbeat."""

MISSING_SECONDS = 4.0
"""So many seconds after its last heartbeat a server may be deciding alone. The others then leave it its share."""

DEAD_SECONDS = 600.0
"""A server is dead when its heartbeat has not changed for so many seconds. Its share is then free."""

WELCOMES = 24
"""How often a starting server checks whether all others know of it."""

REPORT_SECONDS = 2.0
"""How many seconds the database may take to report the usage."""

T = TypeVar("T")

_log = logging.getLogger(__name__)

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime_ns() -> int:
    """A clock in nanoseconds that never goes back, and goes on while the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK)


class ClusterAuthority:
    """Decides for one server of a cluster, on one event loop. `open` before use, `run` meanwhile, `close` after.

    Args:
        process: This server; a new id each time it starts.
        round_seconds: How long a round may take, in seconds.
        lease: After how many seconds without a heartbeat a server that knew of no other is dead.
        missing: So many seconds after its last heartbeat a server may be deciding alone.
        dead: After how many seconds without a heartbeat a server is dead.
        folder: The data folder of this server. If it is killed, the next server in this folder frees at once what it held.
    """

    def __init__(
        self,
        database: Database,
        *,
        process: UUID,
        round_seconds: float = ROUND_SECONDS,
        lease: float = LEASE_SECONDS,
        missing: float = MISSING_SECONDS,
        dead: float = DEAD_SECONDS,
        folder: Path | None = None,
        now_ns: MonotonicNs = uptime_ns,
        pause: Pause = asyncio.sleep,
    ) -> None:
        grant, lease_ns, missing_ns, dead_ns = (
            round(1000 * seconds) * MS for seconds in (round_seconds + 0.1, lease, missing, dead)
        )
        times = Times(grant=grant, fresh=2 * grant)
        hidden_ns = BEAT_MS * MS + missing_ns + grant
        self._store = LedgerStore(database, process, now_ns)
        self._members = Members(
            str(process), now_ns, lease_ns=lease_ns, missing_ns=missing_ns, dead_ns=max(dead_ns, lease_ns)
        )
        self._standing = Standing(now_ns, lease_ns=round(1000 * RETURN_SECONDS) * MS, hidden_ns=hidden_ns)
        self._permits = Permits(
            *(str(process), now_ns, self._members.is_dead, self._members.absent),
            servers=lambda: self.servers,
            times=times,
        )
        self._presence = Presence(process, self._store, self._members, self._standing, folder)
        self._lease_ns = lease_ns
        self._on_change: Callable[[], None] = lambda: None
        self._round_seconds = round_seconds
        self._now_ns = now_ns
        self._pause = pause
        self._rounds = Rounds(
            *(self._permits, self._store, self._standing),
            is_only=lambda: self.servers == 1,
            lose=self._begin_alone,
            round_seconds=round_seconds,
            now_ns=now_ns,
            pause=pause,
        )
        self._beaten_at = now_ns()

    @property
    def unavailable(self) -> bool:
        """Whether this server decides alone: the database is unavailable, or was until a moment ago."""
        return self._standing.state is not State.SHARED

    @property
    def servers(self) -> int:
        """The number of servers that share the limits, this one included."""
        return self._members.share.servers

    @property
    def commands(self) -> int:
        """The number of commands sent to MongoDB."""
        return self._store.commands

    async def open(self, report: Callable[[], Document] = dict, on_change: Callable[[], None] = lambda: None) -> None:
        """Send a first heartbeat, unless the database is unavailable, and wait until all others know. `run` does the rest.

        Args:
            report: Returns this server's report about itself, for BSON. Every heartbeat carries it.
            on_change: Called when `unavailable` has changed.
        """
        self._presence.report, self._on_change = report, on_change
        with contextlib.suppress(DatabaseUnavailableError, OwnPauseError):
            await self._call(self._presence.take_over(), HEARTBEAT_FACTOR)
        await self._beat()
        for _ in range(WELCOMES):
            if self.unavailable or not self._members.has_unaware:
                break
            await self._pause(HEARTBEAT_SECONDS / 4)
            await self._beat()

    async def close(self) -> None:
        """Give all permits back and leave the cluster, after `run` has ended."""
        self._rounds.close()
        self._permits.give_back_all()
        if self._standing.state is not State.ALONE:
            self._permits.report_uncounted()
            await self._rounds.finish()
            with contextlib.suppress(DatabaseUnavailableError, OwnPauseError):
                await self._call(self._store.leave())
        self._presence.close()

    async def run(self) -> None:
        """Send heartbeats and do due work, until cancelled."""
        while True:
            await self._pause(HEARTBEAT_SECONDS)
            self._permits.tick()
            await self._beat()
            self._rounds.work()

    # -- decisions

    def start_now(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision | None:
        """Decide on a request, if no wait is needed. Otherwise return None, and count nothing."""
        decision = self._permits.start(limits, reserve, waits=False).decision
        self._rounds.work()
        return decision

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, and count it for all its limits if they all admit it; see `limits.limiter.Limiter.start`."""
        waiting = self._permits.start(limits, reserve)
        self._rounds.work()
        if waiting.decision is not None:
            return waiting.decision
        return await self._decided(waiting)

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start."""
        self._permits.charge(ticket, amounts, reserve)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request."""
        self._permits.end(ticket)
        self._rounds.work()

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Count at least this much of a budget as used in a period: once, however many servers report it."""
        self._permits.restore(limit, used, begin_ns)
        self._rounds.work()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys with the least left, of all servers together. While it decides alone: of this server."""
        if not self.unavailable:
            with contextlib.suppress(DatabaseUnavailableError, TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    with database_errors(), pymongo.timeout(REPORT_SECONDS):
                        ledgers = await self._store.usage(self._members.is_dead)
                return busiest([state_of(*one) for one in ledgers], most)
        return busiest(self._permits.states(), most)

    def reports(self) -> list[Document]:
        """The reports in the last heartbeats of the other servers. Empty while this server decides alone."""
        return [] if self.unavailable else self._presence.others()

    async def _decided(self, waiting: Waiting) -> Decision:
        result: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

        def on_decision(decision: Decision) -> None:
            if not result.done():
                result.set_result(decision)

        waiting.done = on_decision
        try:
            return await result
        except asyncio.CancelledError:
            waiting.gone = True
            if waiting.decision is not None and waiting.decision.ticket is not None:
                self.end(waiting.decision.ticket)
            raise

    # -- the other servers

    async def _beat(self) -> None:
        """Send a heartbeat, and read those of the others."""
        silence = Silence()
        while True:
            began = self._now_ns()
            try:
                await self._call(self._presence.beat(began, unreported=self._permits.unreported), HEARTBEAT_FACTOR)
                break
            except (OwnPauseError, DatabaseUnavailableError) as error:
                if silence.note(error) or self.unavailable:
                    if self._begin_alone(error):
                        return
                    await self._pause(RETRY_SECONDS)
        late, self._beaten_at = began - self._beaten_at > self._lease_ns // 2, began
        if late:
            self._permits.check_all_again()
        if self._standing.share_again():
            self._permits.end_alone()
            _log.info("the database is available: limits are shared again")
            self._on_change()
        elif self.unavailable:
            self._permits.report_uncounted()

    def _begin_alone(self, error: Exception) -> bool:
        """Decide alone, if the others leave this server its share by now. Return whether it does."""
        if not self._standing.may_be_alone:
            return False
        changed = self._presence.lose()
        self._permits.begin_alone(self._standing.alone)
        if changed:
            _log.warning("limits are server-local until the database is available: %s", str(error) or "no answer")
            self._on_change()
        return True

    async def _call(self, operation: Coroutine[Any, Any, T], times: int = 1) -> T:
        return await call_database(times * self._round_seconds, operation)
