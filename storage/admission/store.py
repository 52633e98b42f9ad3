"""The ledgers of a cluster and the heartbeats of its servers, in MongoDB. Errors of the driver are passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from pymongo import DESCENDING
from pymongo.errors import AutoReconnect

from limits.limit import Kind, Limit, LimitState
from storage.admission.ledger import MS, Change, Document, Ledger, Use, span_of, state_of, statement_of
from storage.admission.members import Heartbeat, Share
from storage.mongo.clocks import MonotonicNs
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, command
from storage.mongo.errors import DUPLICATE_KEY

BEAT_MS = 1_000
"""A heartbeat may be written until so many milliseconds after the read of the others."""

HEARTBEAT_KEPT_MS = 86_400_000
"""A heartbeat is kept for so many milliseconds."""

MAX_LEDGERS_READ = 1_000
"""Usage is reported of so many ledgers of each kind at most: those that expire last."""


class Time(NamedTuple):
    """The database's time in milliseconds, by the clock of one member, and when that was read by this server's clock."""

    now: int
    clock: str
    read_at: int

    def at(self, now_ns: int) -> int:
        """The database's time at another time of this server's clock."""
        return self.now + (now_ns - self.read_at) // MS


class Read(NamedTuple):
    """Ledgers by name, and the time when they were read."""

    ledgers: dict[str, Ledger]
    time: Time


class LedgerStore:
    """The documents of a cluster.

    Attributes:
        commands: The number of commands sent to MongoDB.
        time: The time that was read last; None before the first.
    """

    def __init__(self, database: Database, process: UUID, now_ns: MonotonicNs) -> None:
        self._database = database
        self._ledgers = database.limit_ledgers
        self._process = str(process)
        self._id = f"process:{process}"
        self._now_ns = now_ns
        self._beat = 0
        self.commands = 0
        self.time: Time | None = None

    async def change(self, changes: Sequence[Change], names: Sequence[str]) -> Read:
        """Make changes, and read what ledgers say then."""
        if changes:
            time = self.time or (await self._read(())).time
            self.commands += 1
            now = time.at(self._now_ns())
            updates = [statement_of(change, now, time.clock) for change in changes]
            # A write that failed is missing in its ledger. So is one for a new ledger that another server made first.
            done = await command(
                self._ledgers, "update", updates=updates, ordered=False, writeConcern={"w": "majority"}
            )
            failed = [one for one in done.get("writeErrors", ()) if one["code"] != DUPLICATE_KEY]
            if failed or "writeConcernError" in done:
                raise AutoReconnect(f"limits were not written: {(failed or [done['writeConcernError']])[0]}")
        return await self._read(names)

    async def _read(self, names: Sequence[str]) -> Read:
        sent_at = self._now_ns()
        self.commands += 1
        # The heartbeat of this server exists even if no ledger does.
        cursor = self._ledgers.find({"_id": {"$in": [*names, self._id]}}, _PROJECTION)
        found = await cursor.to_list(None)
        if not found:
            await self.beat(Heartbeat(0), {}, None)
            cursor = self._ledgers.find({"_id": self._id}, _PROJECTION)
            found = await cursor.to_list(None)
        self.time = time = Time(write_ms(found[0]["now"]), self._clock_of(cursor), sent_at)
        return Read({one["_id"]: Ledger.of(one) for one in found if one["_id"] != self._id}, time)

    def _clock_of(self, cursor: Any) -> str:
        return "" if self._database.is_sharded else ":".join(map(str, cursor.address or ()))

    async def beat(self, heartbeat: Heartbeat, report: Document, others: Time | None) -> None:
        """Write the heartbeat of this server, with its report.

        Args:
            heartbeat: Its number is not used.
            report: The report of this server.
            others: When the heartbeats of the others were read. Later than `BEAT_MS` after that, nothing is written. So
                no heartbeat appears late of a server that cannot reach the database any more.

        Raises:
            TimeoutError: It is too late.
        """
        self._beat += 1
        self.commands += 1
        fields = {
            "beat": {"$literal": self._beat},
            "servers": {"$literal": heartbeat.share.servers},
            "rank": {"$literal": heartbeat.share.rank},
            "alone": {"$literal": heartbeat.alone},
            "clock": {"$literal": others.clock if others else ""},
            "report": {"$literal": report},
            "expires_at": {"$add": ["$$NOW", HEARTBEAT_KEPT_MS]},
        }
        which: Document = {"_id": self._id}
        if others is not None:
            which["$expr"] = {"$lte": [{"$toLong": "$$NOW"}, others.now + BEAT_MS]}
        done = await self._ledgers.update_one(which, [{"$set": fields}], upsert=others is None)
        if others is not None and not done.matched_count:
            raise TimeoutError

    async def leave(self) -> None:
        """Remove the heartbeat of this server, because it leaves."""
        await self._ledgers.delete_one({"_id": self._id})

    async def leave_for(self, process: str) -> None:
        """Remove the heartbeat of another server, which has ended: the one that was here before."""
        await self._ledgers.delete_one({"_id": f"process:{process}"})

    async def heartbeats(self) -> tuple[dict[str, Heartbeat], dict[str, Document], Time | None]:
        """The last heartbeats and reports of all servers, and the time, if this server is among them."""
        sent_at = self._now_ns()
        self.commands += 1
        cursor = self._ledgers.find({"_id": {"$regex": "^process:"}}, _BEATS)
        found = await cursor.to_list(None)
        clock = self._clock_of(cursor)
        if found:
            self.time = Time(write_ms(found[0]["now"]), clock, sent_at)
        beats, reports = {}, {}
        for one in found:
            name = one["_id"].removeprefix("process:")
            age = (one["now"] - one["expires_at"]) // timedelta(milliseconds=1) + HEARTBEAT_KEPT_MS
            share = Share(one["servers"], one["rank"])
            beats[name] = Heartbeat(one["beat"], share, one["alone"], age if one["clock"] == clock else None)
            reports[name] = one["report"]
        return beats, reports, self.time if self._process in beats else None

    async def usage(self, is_dead: Callable[[str], bool]) -> list[LimitState]:
        """The states of the limits with the ledgers that expire last, of each kind."""
        found: list[LimitState] = []
        for kind in Kind:  # of all kinds together, budgets expire last
            wanted = {"_id": {"$regex": f"^{kind}:"}, "limit": {"$exists": True}}
            cursor = self._ledgers.find(wanted, _PROJECTION | {"limit": 1})
            for one in await cursor.sort("expires_at", DESCENDING).limit(MAX_LEDGERS_READ).to_list(None):
                limit = msgspec.convert(one["limit"], Limit)
                span = span_of(limit, write_ms(one["now"]))
                ledger = Ledger.of(one).counted(span)
                held = sum(member.held for name, member in ledger.members.items() if not is_dead(name))
                found.append(state_of(limit, Use(span, ledger.log, sum(n for _, n in ledger.log), held)))
        return found


_BEATS: Document = dict.fromkeys(("beat", "servers", "rank", "alone", "clock", "report", "expires_at"), 1) | {
    "now": "$$NOW"
}
_LEFT: Document = {"$lte": [{"$first": "$log.at"}, {"$subtract": [{"$toLong": "$$NOW"}, "$window"]}]}
_SUM: Document = {"at": {"$last": "$log.at"}, "n": {"$sum": "$log.n"}}
# The whole log only where it says more than its sum: how long to wait, and what has left the window since.
_LOG: Document = {"$cond": [{"$or": ["$busy", _LEFT, {"$eq": ["$log", []]}]}, "$log", [_SUM]]}
_PROJECTION: Document = {"log": _LOG, "members": 1, "now": "$$NOW"}
