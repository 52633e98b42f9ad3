"""What clients say of their calls and tools, written in the background: a document for each event.

They are no records: what the database does not take in time is lost, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import structs
from pymongo import ReplaceOne

from intercept.client_events import ClientEvent
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database
from storage.mongo.event_counts import BackgroundWriter, event_id

MAX_PENDING: Final = 5_000
"""Events that wait for the database."""

MAX_HOURLY: Final = 10_000
"""Events of one user that a process keeps in an hour: of some 3,000 tool calls."""

OLDEST: Final = timedelta(days=1)
"""How far back an event may say that it happened."""

_NANOSECONDS: Final = 1_000_000_000


class ClientEvents(BackgroundWriter[UUID, dict[str, Any]]):
    """Keeps events of clients. `counted` is called with "recorded" or "lost", and a number of events."""

    def __init__(
        self, database: Database, *, now: Now, counted: Callable[[str, int], None], pause: Pause = asyncio.sleep
    ) -> None:
        super().__init__(database, database.client_events, "events of clients", pause=pause)
        self._now = now
        self._counted = counted
        self._hour = 0
        self._of_user: dict[UUID, int] = {}

    def note(self, initiator_id: UUID, events: Iterable[ClientEvent]) -> None:
        """Note what a client of a user says. Returns at once. An event that is sent twice is one."""
        now, lost = self._now(), 0
        if (hour := int(now.timestamp()) // 3600) != self._hour:
            self._hour, self._of_user = hour, {}
        for event in events:
            known = self._of_user.get(initiator_id, 0)
            if known >= MAX_HOURLY or len(self._pending) >= MAX_PENDING:
                lost += 1
                continue
            self._of_user[initiator_id] = known + 1
            document = client_event_document(initiator_id, event, now)
            self._pending[document["_id"]] = document
        if lost:
            self._counted("lost", lost)

    def _change(self, key: UUID, value: dict[str, Any]) -> ReplaceOne[dict[str, Any]]:
        return ReplaceOne({"_id": key}, value, upsert=True)

    def _written(self, number: int) -> None:
        self._counted("recorded", number)


def client_event_document(initiator_id: UUID, event: ClientEvent, now: datetime) -> dict[str, Any]:
    """The document of an event. Its time is the client's where that can be."""
    said = structs.asdict(event)
    time_ns = said.pop("time_ns")
    latest = int(now.timestamp())
    seconds = min(max(time_ns / _NANOSECONDS, latest - OLDEST.total_seconds()), now.timestamp()) if time_ns else latest
    which = event.sequence, event.request_id, event.tool_call_id
    return {
        "_id": event_id(str(initiator_id), event.session_id, event.name, time_ns, *which),
        "schema_version": 1,
        "initiator_id": initiator_id,
        "at": datetime.fromtimestamp(seconds, UTC),
        **{name: value for name, value in said.items() if value is not None},
        "name": event.name.value,
    }
