"""What else is worth an alert: refused keys, open circuits, new owners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from intercept.times import format_time
from limits.protection.circuit_breaker import CircuitBreakers, CircuitState
from runtime.alerts.watch import Alert, Source
from storage.accounts.events import Action
from storage.accounts.users import Role
from storage.alerts.documents import AlertType
from storage.mongo.database import Database
from storage.mongo.indexes import AUDIT_BY_TIME

LOOKED_BACK: Final = timedelta(hours=1)
"""The maximum age of a change in the audit trail that raises an alert."""

MAX_ENTRIES: Final = 200
"""Entries of the audit trail that are checked."""

READ_SECONDS: Final = 2.0


def refused_keys(report: Callable[[], Iterable[Mapping[str, Any]]]) -> Source:
    """Keys of providers that are refused: once for each time that one begins to be."""

    async def find() -> list[Alert]:
        return [
            Alert(
                AlertType.KEY_REFUSED,
                f"key:{one['provider']}:{one['key']}:{one['since']:%Y-%m-%dT%H}",
                {
                    "provider": one["provider"],
                    "key": one["key"],
                    "status": one["status"],
                    "since": format_time(one["since"]),
                },
            )
            for one in report()
        ]

    return find


def open_circuits(breakers: CircuitBreakers | None, now: Callable[[], datetime]) -> Source:
    """Circuits that are open: each at most once an hour."""

    async def find() -> list[Alert]:
        states = {} if breakers is None else breakers.states()
        return [
            Alert(
                AlertType.CIRCUIT_OPEN,
                f"circuit:{':'.join(map(str, key))}:{now():%Y-%m-%dT%H}",
                dict(zip(("provider", "route", "model"), map(str, key), strict=False)),
            )
            for key, state in states.items()
            if state is CircuitState.OPEN
        ]

    return find


def new_owners(database: Database, now: Callable[[], datetime]) -> Source:
    """Users who became owners, found in the audit trail, which includes changes by the command line."""

    async def find() -> list[Alert]:
        actions = [Action.USER_ADDED.value, Action.USER_CHANGED.value]
        made = {"at": {"$gt": now() - LOOKED_BACK}, "action": {"$in": actions}, "detail.role": Role.OWNER.value}
        async with database.within(READ_SECONDS):
            found = database.audit.find(made).sort(list(AUDIT_BY_TIME)).hint(list(AUDIT_BY_TIME)).limit(MAX_ENTRIES)
            entries = await found.to_list(MAX_ENTRIES)
        return [
            Alert(
                AlertType.OWNER_ADDED,
                f"owner:{entry['_id']}",
                {
                    "username": entry["subject"]["username"],
                    "by": entry["actor"]["username"],
                    "at": format_time(entry["at"]),
                },
            )
            for entry in entries
            if entry["detail"].get("role_before") != Role.OWNER.value
        ]

    return find
