"""The authority of a cluster: this server's requests, and the rounds with the ledgers in MongoDB.

Requests wait for a round (`storage.admission.rounds`). One without a response is repeated: it may be this process that was
paused. If the second one has no response either, this server decides alone, with its share of each limit, until
heartbeats have succeeded for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple

import msgspec
import pymongo
from pymongo import DESCENDING
from pymongo.errors import AutoReconnect

from limits.limit import NOTHING, Amounts, Decision, Limit, LimitKind, LimitState
from storage.admission.ledger import (
    MS,
    Document,
    Ledger,
    LedgerChange,
    Use,
    span_of,
    state_of,
    statement_of,
    unexpected_of,
)
from storage.admission.rounds import Rounds, Waiting
from storage.members.membership import RETRY_SECONDS, Membership, Silence
from storage.mongo.clocks import DatabaseTime, MonotonicNs, Pause, uptime_ns
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, DatabaseUnavailableError, command, database_errors
from storage.mongo.errors import DUPLICATE_KEY

ROUND_SECONDS = 0.5
"""How long the database may take for a round."""

RETURN_SECONDS = 2.0
"""For how many seconds heartbeats must succeed before a server that decided alone uses the ledgers again."""

LATE_SECONDS = 2.5
"""After a heartbeat that is so late the others may have forgotten what this server holds. It then reports all of it again."""

REPORT_SECONDS = 2.0
"""How many seconds the database may take to report the usage."""

_log = logging.getLogger(__name__)


class ClusterAuthority:
    """Decides for one server of a cluster, on one event loop, between `open` and `close`.

    Args:
        membership: The heartbeats of this server. It is opened and closed after this.
        round_seconds: How long the database may take for a round.
    """

    def __init__(
        self,
        database: Database,
        membership: Membership,
        *,
        round_seconds: float = ROUND_SECONDS,
        now_ns: MonotonicNs = uptime_ns,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._database = database
        self._membership = membership
        self._members = membership.members
        self._store = LedgerStore(database, now_ns)
        self._rounds = Rounds(str(membership.id), now_ns, self._members, self._wall_ns)
        self._round_seconds = round_seconds
        self._now_ns = now_ns
        self._pause = pause
        self._beaten_at = now_ns()
        self._back_at: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_change: Callable[[], None] = lambda: None

    @property
    def unavailable(self) -> bool:
        """Whether this server decides alone: the database is unavailable, or was until a moment ago."""
        return self._rounds.alone is not None

    @property
    def commands(self) -> int:
        """The number of commands sent to MongoDB."""
        return self._store.commands

    @property
    def busy(self) -> bool:
        """Whether a round is under way."""
        return self._task is not None

    def open(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Share limits with those that share them with this server. `on_change` is called when `unavailable` has changed."""
        self._on_change = on_change
        self._membership.limits = lambda: {**self._members.share._asdict(), "alone": self.unavailable}
        self._membership.on_beat = self._beaten

    async def close(self) -> None:
        """Report what is not yet in the ledgers."""
        if not self.unavailable:
            self._rounds.tick()
            self._work()
            if self._task is not None:
                await asyncio.wait({self._task})
        elif self._task is not None:
            self._task.cancel()

    # -- decisions

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, and count it for all its limits if they all admit it; see `limits.limiter.Limiter.start`."""
        waiting = self._rounds.start(limits, reserve)
        self._work()
        return waiting.decision or await self._decided(waiting)

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start."""
        self._rounds.charge(ticket, amounts, reserve)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request."""
        self._rounds.end(ticket)
        self._work()

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Count at least this much of a budget as used in a period: once, however many servers report it."""
        self._rounds.restore(limit, used, begin_ns)

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys with the least left, of all servers together. While it decides alone: of this server."""
        if not self.unavailable:
            with contextlib.suppress(DatabaseUnavailableError, TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    with database_errors(), pymongo.timeout(REPORT_SECONDS):
                        return busiest(await self._store.usage(self._members.is_dead), most)
        return busiest(self._rounds.states(), most)

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

    # -- rounds

    def _work(self) -> None:
        """Begin a round, unless one is under way or there is nothing to do."""
        if self._task is None and self._rounds.pending and not self.unavailable:
            self._task = asyncio.create_task(self._make_rounds())  # noqa: TID251 - awaited or cancelled by `close`
            self._task.add_done_callback(self._rounds_made)

    def _rounds_made(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()
            self._work()

    async def _make_rounds(self) -> None:
        silence = Silence(self._round_seconds, self._now_ns)
        while self._rounds.pending and not self.unavailable:
            known = self._store.time
            round_ = self._rounds.begin(known.at(self._now_ns()) if known else self._wall_ns() // MS)
            if round_ is None:
                break
            began = self._now_ns()
            try:
                async with self._database.within(self._round_seconds, "count limits"):
                    read = await self._store.change(round_.to_send, round_.names, round_.expected)
            except DatabaseUnavailableError as error:
                if silence.note(began):
                    self._begin_alone(error)
                else:
                    await self._pause(RETRY_SECONDS)
                continue
            silence = Silence(self._round_seconds, self._now_ns)
            self._rounds.settle(read.ledgers, read.time.now, read.time.read_at)

    # -- the other servers

    def _beaten(self, began: int, error: Exception | None) -> None:
        """Report charges after a heartbeat. Decide alone if there was no answer, until there are answers again."""
        self._rounds.tick()
        if error is not None:
            self._back_at = None
            self._begin_alone(error)
            return
        self._store.time = self._membership.time
        late, self._beaten_at = began - self._beaten_at > round(1000 * LATE_SECONDS) * MS, began
        if late:
            self._rounds.report_all()
        if self.unavailable:
            if self._back_at is None:
                self._back_at = began
            elif began - self._back_at >= round(1000 * RETURN_SECONDS) * MS:
                self._back_at = None
                self._rounds.end_alone()
                _log.info("the database is available: limits are shared again")
                self._on_change()
        self._work()

    def _begin_alone(self, error: Exception) -> None:
        """Decide alone, with this server's share."""
        changed = not self.unavailable
        self._rounds.begin_alone(self._members.share)
        if changed:
            _log.warning("limits are server-local until the database is available: %s", str(error) or "no answer")
            self._on_change()

    def _wall_ns(self) -> int:
        """The time since 1970, by the database as far as that is known."""
        known = self._store.time
        return known.at(self._now_ns()) * MS if known else time.time_ns()


def busiest(states: Sequence[LimitState], most: int) -> list[LimitState]:
    """For each rule, the states with the least left, `most` at most."""
    by_rule: dict[str, list[LimitState]] = {}
    for state in states:
        if state.used or state.reserved:
            by_rule.setdefault(state.limit.rule, []).append(state)
    return [state for of_rule in by_rule.values() for state in nsmallest(most, of_rule, key=lambda one: one.remaining)]


TIME: Document = {"_id": "time"}
"""A document that is always there, to read the time by."""

MAX_LEDGERS_READ = 1_000
"""Usage is reported of so many ledgers of each kind at most: those that expire last."""


class LedgersRead(NamedTuple):
    """Ledgers by name, and the time when they were read."""

    ledgers: Mapping[str, Ledger]
    time: DatabaseTime


class LedgerStore:
    """The ledgers of a cluster.

    Attributes:
        commands: The number of commands sent to MongoDB.
        time: The time that was read last; None before the first.
    """

    def __init__(self, database: Database, now_ns: MonotonicNs) -> None:
        self._database = database
        self._now_ns = now_ns
        self.commands = 0
        self.time: DatabaseTime | None = None

    async def change(
        self, changes: Sequence[LedgerChange], names: Sequence[str], expected: Mapping[str, Ledger] | None = None
    ) -> LedgersRead:
        """Make changes, and read what ledgers say then.

        Args:
            changes: Each is made or not, whatever becomes of the others.
            names: Of the ledgers to read.
            expected: What they say if all changes are made, and of none of them half is used. They are not read then.
        """
        if changes:
            time = self.time or (await self._read(())).time
            self.commands += 1
            sent_at = self._now_ns()
            now = time.at(sent_at)
            updates = [statement_of(change, now, time.clock) for change in changes]
            if expected is not None:
                updates.append(unexpected_of(changes, names))
            # A write that failed is missing in its ledger. So is one for a new ledger that another server made first.
            done = await command(
                self._database.limit_ledgers, "update", updates=updates, ordered=False, writeConcern={"w": "majority"}
            )
            errors = done.get("writeErrors", ())
            failed = [one for one in errors if one["code"] != DUPLICATE_KEY]
            if failed or "writeConcernError" in done:
                raise AutoReconnect(f"limits were not written: {(failed or [done['writeConcernError']])[0]}")
            if expected is not None and not errors and done["n"] == len(changes):
                return LedgersRead(expected, DatabaseTime(now, time.clock, sent_at))
        return await self._read(names)

    async def _read(self, names: Sequence[str]) -> LedgersRead:
        sent_at = self._now_ns()
        self.commands += 1
        cursor = self._database.limit_ledgers.find({"_id": {"$in": [*names, TIME["_id"]]}}, _PROJECTION)
        found = await cursor.to_list(None)
        if not found:
            await self._database.limit_ledgers.update_one(TIME, {"$set": TIME}, upsert=True)
            return await self._read(names)
        self.time = DatabaseTime(write_ms(found[0]["now"]), self._database.clock_of(cursor), sent_at)
        return LedgersRead({one["_id"]: Ledger.of(one) for one in found if one["_id"] != TIME["_id"]}, self.time)

    async def usage(self, is_dead: Callable[[str], bool]) -> list[LimitState]:
        """The states of the limits with the ledgers that expire last, of each kind."""
        found: list[LimitState] = []
        for kind in LimitKind:  # of all kinds together, budgets expire last
            wanted = {"_id": {"$regex": f"^{kind}:"}, "limit": {"$exists": True}}
            cursor = self._database.limit_ledgers.find(wanted, _PROJECTION | {"limit": 1})
            for one in await cursor.sort("expires_at", DESCENDING).limit(MAX_LEDGERS_READ).to_list(None):
                limit = msgspec.convert(one["limit"], Limit)
                span = span_of(limit, write_ms(one["now"]))
                ledger = Ledger.of(one).counted(span)
                held = sum(member.held for name, member in ledger.members.items() if not is_dead(name))
                found.append(state_of(limit, Use(span, ledger.log, sum(n for _, n in ledger.log), held)))
        return found


_LEFT: Document = {"$lte": [{"$first": "$log.at"}, {"$subtract": [{"$toLong": "$$NOW"}, "$window"]}]}
_SUM: Document = {"at": {"$last": "$log.at"}, "n": {"$sum": "$log.n"}}
# The whole log only where it says more than its sum: how long to wait, and what has left the window since.
_LOG: Document = {"$cond": [{"$or": ["$busy", _LEFT, {"$eq": ["$log", []]}]}, "$log", [_SUM]]}
_PROJECTION: Document = {"log": _LOG, "members": 1, "now": "$$NOW"}
