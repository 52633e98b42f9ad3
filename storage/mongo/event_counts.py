"""What waits in memory for the database, and counts of events that clients can cause at any rate.

Memory is bounded. A write is repeated until the database has acknowledged it: one that it took without saying so counts twice.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from pymongo import ReplaceOne, UpdateOne

from storage.mongo.clocks import Pause
from storage.mongo.database import Collection, Database, DatabaseUnavailableError

WRITE_SECONDS = 2.0
"""From one write of what happened to the next."""

BATCH_SECONDS = 2.0
"""How long a write may take."""

MAX_BATCH = 500
"""Most of what waits that is written at a time."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
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


class BackgroundWriter(ABC, Generic[K, V]):
    """Keeps values by keys until the database has them, and writes them every `WRITE_SECONDS`.

    Args:
        collection: Where they are written.
        what: What they are, for the log.
    """

    def __init__(self, database: Database, collection: Collection, what: str, *, pause: Pause = asyncio.sleep) -> None:
        self.database = database
        self.collection = collection
        self._what = what
        self._pause = pause
        self._pending: dict[K, V] = {}
        self._sending: dict[K, V] = {}
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._pending) + len(self._sending)

    @abstractmethod
    def _change(self, key: K, value: V) -> UpdateOne | ReplaceOne[dict[str, Any]]:
        """Have the driver write a value."""

    def _written(self, number: int) -> None:
        """Note that the database has so many more."""

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            DatabaseUnavailableError: The database is unavailable; what was not acknowledged waits.
        """
        async with self._writing:
            while self._sending or self._pending:
                if not self._sending:
                    self._sending = {key: self._pending.pop(key) for key in list(islice(self._pending, MAX_BATCH))}
                changes = [self._change(key, value) for key, value in self._sending.items()]
                async with self.database.within(BATCH_SECONDS, f"take {self._what}"):
                    await self.collection.bulk_write(changes, ordered=False)
                self._sending = {}
                self._written(len(changes))

    async def run(self) -> None:
        """Write what waits every `WRITE_SECONDS`, until cancelled.

        Raises:
            DatabaseRefusalError: The database refuses the write.
        """
        waiting = f"{self._what} wait to be written"
        await self.database.health.repeat(self.flush, waiting, WRITE_SECONDS, pause=self._pause)

    async def close(self) -> None:
        """Write the rest, if the database is available."""
        try:
            await self.flush()
        except DatabaseUnavailableError as error:
            _log.warning("%s could not be written and are lost: %s", self._what, error)


class EventCounts(BackgroundWriter[K, Count]):
    """Counts by key that wait for the database. `document` makes the document of a key and its count."""

    def __init__(
        self,
        database: Database,
        what: str,
        collection: Collection,
        document: Callable[[K, Count], CountDocument],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        super().__init__(database, collection, what, pause=pause)
        self._document = document

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

    def _change(self, key: K, value: Count) -> UpdateOne:
        """Make the document, or add to it."""
        counted = self._document(key, value)
        change: dict[str, Any] = {"$setOnInsert": dict(counted.fields), "$inc": {counted.path: value.number}}
        if value.requests:
            change["$push"] = {"request_ids": {"$each": value.requests, "$slice": MAX_REQUESTS}}
        if counted.last_at is not None:
            change["$max"] = {counted.last_at: value.last_at}
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
