"""The ledgers of a cluster, in MongoDB. Errors of the driver are passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from pymongo import DESCENDING
from pymongo.errors import AutoReconnect

from limits.limit import Limit, LimitKind, LimitState
from storage.admission.ledger import Document, Ledger, LedgerChange, Use, span_of, state_of, statement_of, unexpected_of
from storage.mongo.clocks import DatabaseTime, MonotonicNs
from storage.mongo.codec import write_ms
from storage.mongo.database import Database, command
from storage.mongo.errors import DUPLICATE_KEY

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
