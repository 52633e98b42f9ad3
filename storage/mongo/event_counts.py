"""What waits in memory for the database, and counts of events that clients can cause at any rate.

Memory is bounded. A write is repeated until the database has acknowledged it: one that it took without saying so counts twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from pymongo import UpdateOne

from storage.mongo.clocks import Pause
from storage.mongo.database import Collection, Database, DatabaseUnavailableError

WRITE_SECONDS = 2.0
"""From one write of what happened to the next."""

BATCH_SECONDS = 2.0
"""How long a write may take."""

MAX_BATCH = 500
"""Counts of one write."""

K = TypeVar("K", bound=Hashable)
_log = logging.getLogger(__name__)


MAX_REQUESTS = 20
"""Ids of requests that a document of a count has, of its first events."""


class Count(Struct):
    """The number of equal events, the first and last time, details of the first one, and the requests of the first ones."""

    number: int
    first_at: datetime
    last_at: datetime
    first: Any = None
    requests: list[UUID] = msgspec.field(default_factory=list)


class CountDocument(NamedTuple):
    """The document of a count.

    Attributes:
        id: Follows from what is counted, so several processes have one document together.
        fields: What a new document begins with, by path.
        path: Where the count is.
        last_at: The path of the time of the last event; None keeps none.
    """

    id: UUID
    fields: Mapping[str, Any]
    path: str
    last_at: str | None = None


class BackgroundWriter:
    """Writes what waits every `WRITE_SECONDS`; `what` it is, for the log. A subclass has `flush`."""

    def __init__(self, database: Database, what: str, *, pause: Pause = asyncio.sleep) -> None:
        self.database = database
        self._what = what
        self._pause = pause

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            DatabaseUnavailableError: The database is unavailable; what was not acknowledged waits.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Write what waits every `WRITE_SECONDS`, until cancelled.

        Raises:
            DatabaseRefusalError: The database refuses the write.
        """
        health = self.database.health
        while True:
            await self._pause(WRITE_SECONDS)
            await health.wait_until_back()
            with health.tolerate(f"{self._what} wait to be written"):
                await self.flush()

    async def close(self) -> None:
        """Write the rest, if the database is available."""
        try:
            await self.flush()
        except DatabaseUnavailableError as error:
            _log.warning("%s could not be written and are lost: %s", self._what, error)


class EventCounts(BackgroundWriter, Generic[K]):
    """Counts by key that wait for the database.

    Args:
        database: The database.
        what: What is counted, for the log.
        collection: Where the documents are.
        document: Makes the document of a key and its count.
    """

    def __init__(
        self,
        database: Database,
        what: str,
        collection: Collection,
        document: Callable[[K, Count], CountDocument],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        super().__init__(database, what, pause=pause)
        self.collection = collection
        self._document = document
        self._pending: dict[K, Count] = {}
        self._sending: dict[K, Count] = {}
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._pending) + len(self._sending)

    def __contains__(self, key: K) -> bool:
        """Whether the next event of this key adds to a count that waits."""
        return key in self._pending

    def add(self, key: K, at: datetime, first: Any = None, request_id: UUID | None = None) -> None:
        """Count an event. `first` is kept if it is the first of its key, `request_id` if it is one of the first."""
        if (count := self._pending.get(key)) is None:
            count = self._pending[key] = Count(1, at, at, first)
        else:
            count.number += 1
            count.first_at, count.last_at = min(count.first_at, at), max(count.last_at, at)
        if request_id is not None and len(count.requests) < MAX_REQUESTS:
            count.requests.append(request_id)

    async def flush(self) -> None:
        """Write what waits, as `BackgroundWriter.flush` says."""
        async with self._writing:
            while self._sending or self._pending:
                if not self._sending:
                    self._sending = {key: self._pending.pop(key) for key in list(islice(self._pending, MAX_BATCH))}
                updates = [_added(self._document(key, count), count) for key, count in self._sending.items()]
                async with self.database.within(BATCH_SECONDS, "take counts"):
                    await self.collection.bulk_write(updates, ordered=False)
                self._sending = {}


def _added(counted: CountDocument, count: Count) -> UpdateOne:
    """Make the document, or add to it."""
    change: dict[str, Any] = {"$setOnInsert": dict(counted.fields), "$inc": {counted.path: count.number}}
    if count.requests:
        change["$push"] = {"request_ids": {"$each": count.requests, "$slice": MAX_REQUESTS}}
    if counted.last_at is not None:
        change["$max"] = {counted.last_at: count.last_at}
    return UpdateOne({"_id": counted.id}, change, upsert=True)


class DistinctEvents:
    """Decides which events of a period are counted separately. The others are counted together."""

    def __init__(self) -> None:
        self._period = 0
        self._known: dict[Hashable, set[Hashable]] = {}

    def admit(self, period: int, group: Hashable, event: Hashable, most: int) -> bool:
        """Whether an event is among the first `most` different ones of its group in this period."""
        if period != self._period:
            self._period, self._known = period, {}
        known = self._known.setdefault(group, set())
        if event not in known:
            if len(known) >= most:
                return False
            known.add(event)
        return True


def event_id(*said: Any) -> UUID:
    """Return the id that follows from these values, which can be written as JSON."""
    return UUID(bytes=sha256(msgspec.json.encode(said)).digest()[:16], version=5)
