"""Ledgers in MongoDB: read together, and each written only if nobody changed it since.

```
{
  _id: "rate:60000:user:<id>" | "concurrency:server" | ..,   see `storage.admission.kinds.account.name_of`
  version: "<server>.<number>",           of the last write, never the same again
  base: "<server>.<number>",              if the last write only added something: the version before it
  clock: "<host>:<port>",                 the member of the replica set whose clock gave the times
  log: [at, count, at, count, ..],        in milliseconds since 1970
  members: {<server>: [held, report, write, at]},
  limit: [..],                            the limit as it was last requested, to show it; missing if it never was
  expires_at: date                        when nothing in it counts any more; a TTL index removes it
}
```

A read also returns the primary's time (`$$NOW`). An abandoned write may still arrive later. It counts only if nothing was
written in between, or if there is room for what it adds and its server wrote nothing since. So it does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from pymongo import DESCENDING
from pymongo.errors import BulkWriteError

from limits.limit import Kind, Limit
from storage.admission.database_clock import DatabaseClock, DatabaseTime
from storage.admission.kinds.parameters import span_of
from storage.admission.ledger import Ledger
from storage.admission.ledger_documents import HELD_MS, Document, ledger_of, statement_of
from storage.admission.presence.members import Heartbeat
from storage.admission.presence.shares import Share
from storage.admission.round import Change, Outcome, Snapshot
from storage.mongo.clocks import MonotonicNs
from storage.mongo.codec import EPOCH, write_ms
from storage.mongo.database import Database
from storage.mongo.errors import DUPLICATE_KEY

BEAT_MS = 1_000
"""A heartbeat may be written until so many milliseconds after the read of the others."""

MAX_LEDGERS_READ = 1_000
"""Usage is reported of so many ledgers of each kind at most: those that expire last."""


class Heartbeats(NamedTuple):
    """The last heartbeats of all servers.

    Attributes:
        now: The database's time when they were read.
        clock: The member of the replica set whose clock that is.
    """

    by_server: dict[str, Heartbeat]
    reports: dict[str, Document]
    now: datetime
    clock: str = ""


class LedgerStore:
    """The ledgers of a cluster, and the heartbeats of its servers. Errors of the driver are passed on.

    Attributes:
        commands: The number of commands sent to MongoDB.
    """

    def __init__(self, database: Database, process: UUID, now_ns: MonotonicNs) -> None:
        self._database = database
        self._ledgers = database.limit_ledgers
        self._process = str(process)
        self._id = f"process:{process}"
        self._now_ns = now_ns
        self._beat = 0
        self.commands = 0
        self.clock = DatabaseClock(now_ns)

    async def snapshot(self, names: Sequence[str]) -> Snapshot:
        """Read ledgers, if there are any to read. Without any, a known time saves the read."""
        time = None if names else self.clock.read()
        return await self.read(names) if time is None else Snapshot({}, *time)

    async def read(self, names: Sequence[str]) -> Snapshot:
        """Read ledgers and the time."""
        read_at = self._now_ns()
        self.commands += 1
        # The heartbeat of this server exists even if no ledger does.
        cursor = self._ledgers.find({"_id": {"$in": [*names, self._id]}}, _PROJECTION)
        documents = await cursor.to_list(None)
        while not documents:
            await self.beat(Heartbeat(0), {}, Heartbeats({}, {}, EPOCH))
            documents = await self._ledgers.find({"_id": self._id}, _PROJECTION).to_list(None)
        now = write_ms(documents[0]["now"])
        clock = self._clock_of(cursor)
        self.clock.note(DatabaseTime(now, clock, read_at))
        ledgers = {one["_id"]: (ledger_of(one), one["version"]) for one in documents if "version" in one}
        bases = {one["_id"]: one["base"] for one in documents if "base" in one}
        return Snapshot(ledgers, now, clock, read_at, bases=bases)

    def _clock_of(self, cursor: Any) -> str:
        return "" if self._database.is_sharded else ":".join(map(str, cursor.address or ()))

    async def write(self, changes: Sequence[Change]) -> Outcome:
        """Write ledgers that nobody changed meanwhile, and add to others if they have room."""
        names = [change.name for change in changes if change.room is not None]
        self.commands += 1
        if not names:
            return await self._outcome(changes, await self._send(changes))
        done, seen = await asyncio.gather(self._send(changes), self.read(names), return_exceptions=True)
        if isinstance(done, BaseException):
            raise done
        outcome = await self._outcome(changes, done)
        if isinstance(seen, BaseException):
            return outcome
        return outcome._replace(seen={name: (*one, seen.bases.get(name, "")) for name, one in seen.ledgers.items()})

    async def _send(self, changes: Sequence[Change]) -> Mapping[str, Any]:
        statements = [statement_of(change, self._process) for change in changes]
        try:
            return (await self._ledgers.bulk_write(statements, ordered=False)).bulk_api_result
        except BulkWriteError as error:
            done: Mapping[str, Any] = error.details
            if done["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in done["writeErrors"]):
                raise
            return done

    async def _outcome(self, changes: Sequence[Change], done: Mapping[str, Any]) -> Outcome:
        failed = {changes[one["index"]].name for one in done["writeErrors"]}
        new = {changes[one["index"]].name for one in done["upserted"]}
        counted = {change.name for change in changes if change.name not in failed}
        added = {change.name: change.after for change in changes if change.room is not None}
        unsure = {name: added[name] for name in added.keys() & counted - new}
        if lacking := len(counted - new) - done["nModified"]:  # some additions found no room
            counted -= unsure.keys()
            counted |= await self._written(unsure) if lacking < len(unsure) else set()
        return Outcome(counted, new & counted)

    async def _written(self, versions: Mapping[str, str]) -> set[str]:
        """Find out which of several writes counted. Others may have changed the ledgers since then."""
        self.commands += 1
        own = f"members.{self._process}"
        written = set()
        async for one in self._ledgers.find({"_id": {"$in": list(versions)}}, {"version": 1, own: 1}):
            member = one.get("members", {}).get(self._process)
            if member is not None and versions[one["_id"]] == f"{self._process}.{member[2]}":
                written.add(one["_id"])
        return written

    async def beat(self, heartbeat: Heartbeat, report: Document, others: Heartbeats) -> None:
        """Write the heartbeat of this server, with its report.

        Args:
            heartbeat: Its number is not used.
            report: The report of this server.
            others: The heartbeats that were just read. Later than `BEAT_MS` after that read, nothing is written. So no
                heartbeat appears late of a server that cannot reach the database any more.

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
            "clock": {"$literal": others.clock},
            "report": {"$literal": report},
            "expires_at": {"$add": ["$$NOW", HELD_MS]},
        }
        known = self._process in others.by_server
        until = others.now + timedelta(milliseconds=BEAT_MS)
        which = {"_id": self._id, "$expr": {"$lte": ["$$NOW", until]}} if known else {"_id": self._id}
        done = await self._ledgers.update_one(which, [{"$set": fields}], upsert=not known)
        if known and not done.matched_count:
            raise TimeoutError

    async def leave(self) -> None:
        """Remove the heartbeat of this server, because it leaves."""
        await self._ledgers.delete_one({"_id": self._id})

    async def leave_for(self, process: str) -> None:
        """Remove the heartbeat of another server, which has ended: the one that was here before."""
        await self._ledgers.delete_one({"_id": f"process:{process}"})

    async def servers(self) -> Heartbeats:
        """The last heartbeat and report of every server, this one included."""
        self.commands += 1
        sent_at = self._now_ns()
        # The database's time comes with a document. There is always one, from the first heartbeat on.
        cursor = self._ledgers.find({"_id": {"$regex": "^process:"}}, _BEATS)
        found = await cursor.to_list(None)
        heartbeats = Heartbeats({}, {}, found[0]["now"] if found else EPOCH, self._clock_of(cursor))
        if found:
            self.clock.note(DatabaseTime(write_ms(heartbeats.now), heartbeats.clock, sent_at))
        for one in found:
            name = one["_id"].removeprefix("process:")
            age: int | None = write_ms(one["now"]) - write_ms(one["expires_at"]) + HELD_MS
            age = age if one.get("clock") == heartbeats.clock else None
            share = Share(one.get("servers", 2), one.get("rank", 0))
            heartbeats.by_server[name] = Heartbeat(one["beat"], share, one.get("alone", False), age)
            heartbeats.reports[name] = one["report"]
        return heartbeats

    async def usage(self, is_dead: Callable[[str], bool]) -> list[tuple[Limit, Ledger, int]]:
        """Of each kind the ledgers that expire last, as they are now, each with its limit and the time."""
        found: list[tuple[Limit, Ledger, int]] = []
        for kind in Kind:  # of all kinds together, budgets expire last
            wanted = {"_id": {"$regex": f"^{kind}:"}, "limit": {"$exists": True}}
            cursor = self._ledgers.find(wanted, _PROJECTION | {"limit": 1})
            for one in await cursor.sort("expires_at", DESCENDING).limit(MAX_LEDGERS_READ).to_list(None):
                limit, ledger, now = msgspec.convert(one["limit"], Limit), ledger_of(one), write_ms(one["now"])
                ledger.advance(span_of(limit, now), ledger.clock, is_dead)
                found.append((limit, ledger, now))
        return found


_SAID = ("beat", "servers", "rank", "alone", "clock", "report", "expires_at")
_BEATS: Document = {**dict.fromkeys(_SAID, 1), "now": "$$NOW"}
_PROJECTION: Document = {"version": 1, "base": 1, "clock": 1, "log": 1, "members": 1, "now": "$$NOW"}
