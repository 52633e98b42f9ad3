"""Who signed in, who was not authenticated and who was refused, as entries of the audit trail.

Unlike changes, these happen as often as somebody likes. So equal events of one hour are one entry with a count, the
number of entries is bounded, each is removed after `KEPT`, and nobody waits for one to be written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import pymongo
from msgspec import Struct, structs
from pymongo import UpdateOne

from storage.audit import Action
from storage.database import Database, DatabaseUnavailableError, database_errors
from storage.users import User

MAX_ENTRIES = 100
"""Entries of one action that a process makes in an hour; what is beyond them is counted without address and user."""

MAX_SIGN_INS = 1_000
"""The same of sign-ins, which take a valid token."""

MAX_PENDING = 5_000
"""Entries that wait for the database. While so many do, further ones are not kept."""

KEPT_DAYS = 90
"""How long an entry is kept."""

WRITE_SECONDS = 2.0
"""From one write of what happened to the next, and how long one may take."""

UNKNOWN_CALLER = "unknown caller"  # which no user can have: it has a space

_HOUR_SECONDS = 3600
_log = logging.getLogger(__name__)


class AccessEvent(Struct, frozen=True):
    """What happened. Equal events are counted together, so each field is of a bounded number of values, or counted.

    Attributes:
        action: `AUTHENTICATION_FAILED`, `ACCESS_DENIED` or `SIGNED_IN`.
        client_ip: The client's address.
        user: Who it was, as far as is known.
        token_id: The public part of the token; None for an unknown one.
        detail: Names and values of what else is to be known.
    """

    action: Action
    client_ip: str | None = None
    user: User | None = None
    token_id: str | None = None
    detail: tuple[tuple[str, str], ...] = ()

    def counted(self) -> AccessEvent:
        """What is left of it where there are too many."""
        return structs.replace(self, client_ip=None, user=None, token_id=None)


class _Count(Struct):
    number: int
    first_at: datetime
    last_at: datetime


class AccessTrail:
    """Counts events, and writes the counts in the background.

    Args:
        database: Where the audit trail is.
        now: The wall clock, in UTC, in whole milliseconds.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._entries = database.audit
        self._now = now
        self._pause = pause
        self._hour = 0
        self._known: dict[Action, set[AccessEvent]] = {}
        self._pending: dict[tuple[int, AccessEvent], _Count] = {}
        self._away = False

    def note(self, event: AccessEvent) -> None:
        """Count an event. Returns at once."""
        now = self._now()
        hour = int(now.timestamp()) // _HOUR_SECONDS
        if hour != self._hour:
            self._hour, self._known = hour, {}
        known = self._known.setdefault(event.action, set())
        if event not in known:
            if len(known) >= (MAX_SIGN_INS if event.action is Action.SIGNED_IN else MAX_ENTRIES):
                event = event.counted()
            else:
                known.add(event)
        self._add((hour, event), _Count(1, now, now))

    async def flush(self) -> None:
        """Write what was counted. A write of which nobody knows whether it was made is repeated, and then counts twice.

        Raises:
            DatabaseUnavailableError: The database is away; what was counted waits.
        """
        pending, self._pending = self._pending, {}
        if not pending:
            return
        updates = [_update(hour, event, count) for (hour, event), count in pending.items()]
        try:
            with database_errors(), pymongo.timeout(WRITE_SECONDS):
                await self._entries.bulk_write(updates, ordered=False)
        except BaseException:
            for key, count in pending.items():
                self._add(key, count)
            raise

    async def run(self) -> None:
        """Write what was counted every `WRITE_SECONDS`, until cancelled."""
        while True:
            await self._pause(WRITE_SECONDS)
            try:
                await self.flush()
            except DatabaseUnavailableError as error:
                if not self._away:
                    _log.warning("sign-ins and refusals wait to be written to the audit trail: %s", error)
                self._away = True
            else:
                self._away = False

    async def close(self) -> None:
        """Write what is left, if the database is there."""
        with contextlib.suppress(DatabaseUnavailableError):
            await self.flush()

    def _add(self, key: tuple[int, AccessEvent], count: _Count) -> None:
        if key in self._pending:
            kept = self._pending[key]
            kept.number += count.number
            kept.first_at = min(kept.first_at, count.first_at)
            kept.last_at = max(kept.last_at, count.last_at)
        elif len(self._pending) < MAX_PENDING:
            self._pending[key] = count


def _update(hour: int, event: AccessEvent, count: _Count) -> UpdateOne:
    """Make the entry, or add to it. Its id follows from what it says: so several processes have one entry together."""
    user = event.user
    actor: dict[str, Any] = {"id": user and user.id, "username": user.username if user else UNKNOWN_CALLER}
    if event.token_id is not None:
        actor["token_id"] = event.token_id
    first: Mapping[str, Any] = {
        "schema_version": 1,
        "at": count.first_at,
        "actor": actor,
        "action": event.action.value,
        "subject": None,
        "client_ip": event.client_ip,
        "expires_at": count.first_at + timedelta(days=KEPT_DAYS),
        **{f"detail.{name}": value for name, value in event.detail},
    }
    said = msgspec.json.encode((hour, event.action, event.client_ip, actor["id"], event.token_id, event.detail))
    change = {"$setOnInsert": first, "$inc": {"detail.count": count.number}, "$max": {"detail.last_at": count.last_at}}
    return UpdateOne({"_id": UUID(bytes=sha256(said).digest()[:16], version=5)}, change, upsert=True)
