"""The authority of a cluster: this server's permits, and the rounds with the ledgers in MongoDB.

Requests that a server cannot admit by itself wait for a round; what one event loop iteration brings, and what came during
the last round, goes into the next one. A round that fails is made again. Only when another one fails, begun after the
first, and this process was not paused meanwhile, the database counts as unavailable: the server then decides alone,
within its share of what was left, until heartbeats have succeeded for a lease. By then the other servers too have told
the ledgers what they admitted alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum, auto
from typing import Any, TypeVar
from uuid import UUID

import pymongo
from pymongo.errors import PyMongoError

from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from storage.admission.account import MS, Times
from storage.admission.ledger_store import Document, LedgerStore
from storage.admission.ledger_usage import busiest, state_of
from storage.admission.members import Members
from storage.admission.own_pauses import OwnPauseError, answer_within
from storage.admission.permits import Permits
from storage.admission.round import Round
from storage.admission.waiting import Waiting
from storage.mongo.database import Database, DatabaseUnavailableError, database_errors

ANSWER_SECONDS = 0.4
"""How long a round may take, in seconds in which this process was running."""

FAILURES = 2
"""So many rounds in a row have to fail until the database counts as unavailable."""

OWN_PAUSES = 10
"""So many rounds in a row may fail because this process was paused or busy; the next one is a failure."""

HEARTBEAT_SECONDS = 1.0
"""From one heartbeat to the next; also how often what is due is done."""

HEARTBEAT_PATIENCE = 4
"""A heartbeat, which nobody waits for, may take so many times as long as a round."""

LEASE_SECONDS = 5.0
"""A server is dead when its heartbeat has not changed for so long; then its slots are free."""

REPORT_SECONDS = 2.0
"""How long the database may take to tell what is used."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def uptime_ns() -> int:
    """Nanoseconds that never go back, and also pass while the machine sleeps."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _State(Enum):
    """How this server decides."""

    SHARED = auto()  # by the ledgers
    ALONE = auto()  # within its share: the database is unavailable
    # Still within its share, and the ledgers are told of it: they do not know yet what other servers admitted alone.
    RETURNING = auto()


class ClusterAuthority:
    """Decides for one server of a cluster, on one event loop. `open` before use, `run` meanwhile, `close` after.

    Args:
        database: Where the ledgers are.
        process: This server; a new id each time it starts.
        patience: How long a round may take, in seconds.
        lease: After how many seconds without a heartbeat a server is dead.
        now_ns: A monotonic clock, in nanoseconds.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        process: UUID,
        patience: float = ANSWER_SECONDS,
        lease: float = LEASE_SECONDS,
        now_ns: Callable[[], int] = uptime_ns,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        answer = round(patience * 1000 + 100) * MS
        self._store = LedgerStore(database, process, now_ns)
        self._members = Members(now_ns, round(lease * 1000) * MS)
        self._lease_ns = round(lease * 1000) * MS
        self._permits = Permits(str(process), now_ns, self._members.is_dead, Times(answer=answer, fresh=2 * answer))
        self._report: Callable[[], Document] = dict
        self._on_change: Callable[[], None] = lambda: None
        self._reports: dict[str, Document] = {}
        self._process = str(process)
        self._patience = patience
        self._now_ns = now_ns
        self._pause = pause
        self._rounds: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beaten_at = now_ns()
        self._state = _State.SHARED
        self._back_at = 0
        self._closing = False

    @property
    def unavailable(self) -> bool:
        """Whether this server decides alone, as the database cannot be reached, or could not until a moment ago."""
        return self._state is not _State.SHARED

    @property
    def servers(self) -> int:
        """How many servers are alive, this one included."""
        return self._members.alive

    @property
    def commands(self) -> int:
        """How many commands were sent to MongoDB."""
        return self._store.commands

    async def open(self, report: Callable[[], Document] = dict, on_change: Callable[[], None] = lambda: None) -> None:
        """Send a first heartbeat, unless the database is unavailable. `run` does the rest.

        Args:
            report: What this server has to say of itself, as BSON can hold it; told with every heartbeat.
            on_change: Called when `unavailable` has changed.
        """
        self._report, self._on_change = report, on_change
        await self._beat()

    async def close(self) -> None:
        """Give all permits back and leave, once `run` has ended."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._permits.tick()
        self._permits.tick()  # what was used since the last one is not any more
        if self._state is not _State.ALONE:
            self._permits.report_uncounted()
            self._work()
            if self._rounds is not None:
                await asyncio.wait({self._rounds})
            with contextlib.suppress(DatabaseUnavailableError, OwnPauseError):
                await self._ask(self._store.leave())

    async def run(self) -> None:
        """Send heartbeats and do what is due, until cancelled."""
        while True:
            await self._pause(HEARTBEAT_SECONDS)
            self._permits.tick()
            await self._beat()
            self._work()

    # -- decisions

    def start_now(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision | None:
        """Decide on a request, if that is possible without waiting; None if it is not, and nothing is counted."""
        decision = self._permits.start(limits, reserve, waits=False).decision
        self._work()
        return decision

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, and count it for all its limits if they all admit it; see `limits.limiter.Limiter.start`."""
        waiting = self._permits.start(limits, reserve)
        self._work()
        if waiting.decision is not None:
            return waiting.decision
        return await self._decided(waiting)

    def count(self, limits: Sequence[Limit], reserve: Amounts = NOTHING, charged: Amounts = NOTHING) -> int:
        """Count a request that was admitted elsewhere; see `limits.limiter.Limiter.count`."""
        ticket = self._permits.count(limits, reserve, charged)
        self._work()
        return ticket

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start."""
        self._permits.charge(ticket, amounts, reserve)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request."""
        self._permits.end(ticket)
        self._work()

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Have at least this much of a budget used in a period: by its ledger, however many servers say so."""
        self._permits.restore(limit, used, begin_ns)
        self._work()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys that have least left, of all servers together; of this one while it decides alone."""
        if not self.unavailable:
            with contextlib.suppress(DatabaseUnavailableError, TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    with database_errors(), pymongo.timeout(REPORT_SECONDS):
                        ledgers = await self._store.usage(self._members.is_dead)
                return busiest([state_of(*one) for one in ledgers], most)
        return busiest(self._permits.states(), most)

    def reports(self) -> list[Document]:
        """What the other servers said of themselves with their last heartbeats; nothing while this one decides alone."""
        if self.unavailable:
            return []
        return [
            report
            for name, report in self._reports.items()
            if report and name != self._process and not self._members.is_dead(name)
        ]

    async def _decided(self, waiting: Waiting) -> Decision:
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

        def answered(decision: Decision) -> None:
            if not answer.done():
                answer.set_result(decision)

        waiting.done = answered
        try:
            return await answer
        except asyncio.CancelledError:
            waiting.gone = True
            if waiting.decision is not None and waiting.decision.ticket is not None:
                self.end(waiting.decision.ticket)
            raise

    # -- rounds

    def _work(self) -> None:
        due = self._permits.expire()
        if due is not None and self._timer is None and not self._closing:
            seconds = max(0.0, (due - self._now_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expired)
        if self._rounds is None and self._permits.pending and self._state is not _State.ALONE:
            self._rounds = asyncio.create_task(self._make_rounds())  # noqa: TID251 - requests wait for what it decides

    def _expired(self) -> None:
        self._timer = None
        self._work()

    async def _make_rounds(self) -> None:
        failures = pauses = 0
        try:
            while self._state is not _State.ALONE and (round_ := Round.begin(self._permits)) is not None:
                try:
                    await self._make(round_)
                except (OwnPauseError, DatabaseUnavailableError) as error:
                    round_.fail()
                    pauses += isinstance(error, OwnPauseError)
                    failures += isinstance(error, DatabaseUnavailableError) or pauses > OWN_PAUSES
                    if failures >= FAILURES:
                        self._begin_alone(error)
                except BaseException:
                    round_.fail()
                    if self._state is _State.SHARED:
                        self._permits.begin_alone(self._members.alive)  # nobody is left waiting
                        self._permits.end_alone()
                    raise
                else:
                    failures = pauses = 0
        finally:
            self._rounds = None
            self._work()

    async def _make(self, round_: Round) -> None:
        async def exchange() -> None:
            changes = round_.plan(await self._store.read(round_.names))
            planned.append(await self._store.write(changes) if changes else set())

        planned: list[set[str]] = []
        await asyncio.sleep(0)  # what this event loop iteration brings waits for the next round together
        await self._ask(exchange())
        round_.settle(planned[0])

    async def _ask(self, ask: Coroutine[Any, Any, T], times: int = 1) -> T:
        """Ask the database, which has to answer in so many times the patience of a round.

        Raises:
            DatabaseUnavailableError: It did not.
            OwnPauseError: It did not, and this process was paused.
        """
        seconds = times * self._patience

        async def bounded() -> T:
            # The driver goes on in a thread of its own. It has longer, so that its time is never up before ours.
            with database_errors(), pymongo.timeout(2 * seconds):
                return await ask

        try:
            return await answer_within(seconds, bounded())
        except (DatabaseUnavailableError, PyMongoError, TimeoutError) as error:
            reason = str(error) if isinstance(error, DatabaseUnavailableError) else type(error).__name__
            raise DatabaseUnavailableError(reason) from error

    # -- the database, and the other servers

    async def _beat(self) -> None:
        """Send a heartbeat, and look who else is alive."""

        async def beat() -> None:
            await self._store.beat(self._report())
            servers.update(await self._store.servers())

        servers: dict[str, tuple[int, Document]] = {}
        failures = pauses = 0
        while not servers:
            began = self._now_ns()
            try:
                await self._ask(beat(), HEARTBEAT_PATIENCE)
            except (OwnPauseError, DatabaseUnavailableError) as error:
                pauses += isinstance(error, OwnPauseError)
                failures += isinstance(error, DatabaseUnavailableError) or pauses > OWN_PAUSES
                if failures >= FAILURES or self.unavailable:
                    self._begin_alone(error)
                    return
        self._members.look({name: number for name, (number, _) in servers.items()})
        self._reports = {name: report for name, (_, report) in servers.items()}
        late, self._beaten_at = began - self._beaten_at > self._lease_ns // 2, began
        if late:
            self._permits.look_again()
        if self._state is _State.ALONE:
            self._state, self._back_at = _State.RETURNING, self._now_ns()
        if self._state is _State.RETURNING:
            self._return()

    def _return(self) -> None:
        """Tell the ledgers what was admitted alone; decide by them once every server had the time for that."""
        if self._now_ns() - self._back_at < self._lease_ns:
            self._permits.report_uncounted()
            return
        self._state = _State.SHARED
        self._permits.end_alone()
        _log.info("the database is available: limits are shared again")
        self._on_change()

    def _begin_alone(self, error: Exception) -> None:
        changed = self._state is _State.SHARED
        self._state = _State.ALONE
        self._permits.begin_alone(self._members.alive)
        if changed:
            _log.warning("limits are server-local until the database is available: %s", str(error) or "no answer")
            self._on_change()
