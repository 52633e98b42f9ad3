"""Ledgers in MongoDB: read together, and each written only if nobody changed it since.

```
{
  _id: "rate:60000:user:<id>" | "concurrency:server" | ..,   see `storage.admission.account.name_of`
  version: "<server>.<number>",           of the last write, never the same again
  clock: "<host>:<port>",                 the member of the replica set whose clock the times are of
  log: [at, count, at, count, ..],        in milliseconds since 1970
  members: {<server>: [held, report, write, at]},
  limit: [..],                            the limit as it was last asked for, for those who look; none if it never was
  expires_at: date                        when nothing of this matters any more; a TTL index removes it
}
```

Reading tells the primary's time (`$$NOW`). A write that was given up may still be made later: only if nothing was written in
between, so it does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from pymongo import DESCENDING, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from limits.limit import UNLIMITED, Limit
from storage.admission.account import span_of
from storage.admission.ledger import Ledger, Member
from storage.admission.round import Change, Snapshot
from storage.mongo.database import Database

HELD_MS = 86_400_000
"""How long a ledger is kept in which something is held, in milliseconds. It is written again more often."""

DUPLICATE_KEY = 11000

LEDGERS_LOOKED_AT = 1_000
"""Of how many ledgers, those that matter longest, usage is told."""

Document = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class LedgerStore:
    """The ledgers of a cluster, and the heartbeats of its servers. What the driver raises is passed on.

    Args:
        database: Where they are.
        process: This server.
        now_ns: This server's clock.

    Attributes:
        commands: How many commands were sent to MongoDB.
    """

    def __init__(self, database: Database, process: UUID, now_ns: Callable[[], int]) -> None:
        self._database = database
        self._ledgers = database.limit_ledgers
        self._process = str(process)
        self._id = f"process:{process}"
        self._now_ns = now_ns
        self._beat = 0
        self.commands = 0

    async def read(self, names: Sequence[str]) -> Snapshot:
        """Read ledgers, and what time it is."""
        read_at = self._now_ns()
        self.commands += 1
        # The heartbeat of this server is there also if no ledger is.
        cursor = self._ledgers.find({"_id": {"$in": [*names, self._id]}}, _PROJECTION)
        documents = await cursor.to_list(None)
        while not documents:
            await self.beat({})
            documents = await self._ledgers.find({"_id": self._id}, _PROJECTION).to_list(None)
        now = _milliseconds(documents[0]["now"])
        address: Any = cursor.address
        clock = "" if self._database.is_sharded else ":".join(map(str, address or ()))
        ledgers = {one["_id"]: (_ledger(one), one["version"]) for one in documents if "version" in one}
        return Snapshot(ledgers, now, clock, read_at)

    async def write(self, changes: Sequence[Change]) -> set[str]:
        """Write ledgers that nobody changed meanwhile; the names of those that were written."""
        requests: list[InsertOne[Document] | ReplaceOne[Document]] = []
        for change in changes:
            document = _document(change)
            if change.before is None:
                requests.append(InsertOne(document))
            else:
                requests.append(ReplaceOne({"_id": change.name, "version": change.before}, document))
        self.commands += len({type(request) for request in requests})  # a command has one kind of write
        try:
            done: Mapping[str, Any] = (await self._ledgers.bulk_write(requests, ordered=False)).bulk_api_result
        except BulkWriteError as error:
            done = error.details
            if done["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in done["writeErrors"]):
                raise
        names = {change.name for change in changes}
        if done["nInserted"] + done["nMatched"] == len(changes):
            return names
        return {change.name for change in changes} & await self._written(changes)

    async def _written(self, changes: Sequence[Change]) -> set[str]:
        """Find out which of several writes counted: others may have changed the ledgers again since."""
        self.commands += 1
        versions = {change.name: change.after for change in changes}
        own = f"members.{self._process}"
        written = set()
        async for one in self._ledgers.find({"_id": {"$in": list(versions)}}, {"version": 1, own: 1}):
            member = one.get("members", {}).get(self._process)
            if one["version"] == versions[one["_id"]] or (
                member is not None and versions[one["_id"]] == f"{self._process}.{member[2]}"
            ):
                written.add(one["_id"])
        return written

    async def beat(self, report: Document) -> None:
        """Say that this server is alive, and what it reports."""
        self._beat += 1
        self.commands += 1
        said = {
            "beat": {"$literal": self._beat},
            "report": {"$literal": report},
            "expires_at": {"$add": ["$$NOW", HELD_MS]},
        }
        await self._ledgers.update_one({"_id": self._id}, [{"$set": said}], upsert=True)

    async def leave(self) -> None:
        """Say that this server is gone."""
        await self._ledgers.delete_one({"_id": self._id})

    async def servers(self) -> dict[str, tuple[int, Document]]:
        """The last heartbeat and report of every server, this one included."""
        self.commands += 1
        which = {"_id": {"$regex": "^process:"}}
        return {
            one["_id"].removeprefix("process:"): (one["beat"], one["report"]) async for one in self._ledgers.find(which)
        }

    async def usage(self, is_dead: Callable[[str], bool]) -> list[tuple[Limit, Ledger, int]]:
        """The ledgers that matter longest, as they are now: their limits, and what time it is."""
        cursor = self._ledgers.find({"limit": {"$exists": True}}, _PROJECTION | {"limit": 1})
        found: list[tuple[Limit, Ledger, int]] = []
        for one in await cursor.sort("expires_at", DESCENDING).limit(LEDGERS_LOOKED_AT).to_list(None):
            limit, ledger, now = msgspec.convert(one["limit"], Limit), _ledger(one), _milliseconds(one["now"])
            ledger.advance(span_of(limit, now), ledger.clock, is_dead)
            found.append((limit, ledger, now))
        return found


_PROJECTION: Document = {"version": 1, "clock": 1, "log": 1, "members": 1, "now": "$$NOW"}


def _ledger(document: Mapping[str, Any]) -> Ledger:
    log = document["log"]
    members = {name: Member(*said) for name, said in document["members"].items()}
    return Ledger(document["clock"], list(zip(log[::2], log[1::2], strict=True)), members)


def _document(change: Change) -> Document:
    ledger, limit = change.ledger, change.limit
    now = max([member.at for member in ledger.members.values()], default=0)
    last = ledger.entries[-1][0] if ledger.entries else now
    span = span_of(limit, now)
    until = max(last + span.window, span.end, now)
    if any(member.held for member in ledger.members.values()):
        until = max(until, now + HELD_MS)
    document = {
        "_id": change.name,
        "version": change.after,
        "clock": ledger.clock,
        "log": [number for entry in ledger.entries for number in entry],
        "members": {name: [one.held, one.report, one.write, one.at] for name, one in ledger.members.items()},
        "expires_at": _EPOCH + until * _MS,
    }
    if limit.maximum != UNLIMITED:
        document["limit"] = msgspec.to_builtins(limit)
    return document


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MS
