"""Checks the sources of alerts regularly, and raises each alert once.

Sources are budgets that are used to a share or will be used up too early, refused keys, open circuits, new owners, and the
cost of last week's calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import to_builtins

from handlers.api.budgets import BudgetUse
from intercept.times import format_time
from limits.protection.circuit_breaker import CircuitBreakers, CircuitState
from resources.fields import micro_dollars
from storage.accounts.events import Action
from storage.accounts.users import Role, User
from storage.alerts.documents import AlertType
from storage.alerts.outbox import AlertOutbox
from storage.derived.rollup import TOKENS, Bucket, Totals
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.errors import DatabaseRefusalError
from storage.mongo.indexes import AUDIT_BY_TIME
from storage.queries.questions.question import By, Dimension, Order, Question
from storage.queries.questions.questions import Questions

POLL_SECONDS: Final = 2.0
"""Time between two checks."""

MAX_PENDING: Final = 1_000
"""Alerts that wait for the database; further ones are noticed again as long as they last."""

MAX_RAISED: Final = 10_000
"""Keys of alerts that a process remembers, to save queries."""


_log = logging.getLogger(__name__)


class Alert(NamedTuple):
    """An alert: its type, its key, which is unique in the whole cluster, and its data."""

    type: AlertType
    key: str
    data: Mapping[str, Any]


Source = Callable[[], Awaitable[Iterable[Alert]]]


@dataclass
class Watch:
    """Raises alerts.

    Attributes:
        database: Its health says when to look.
        outbox: Where alerts are raised.
        sources: Tell what there is now.
        seconds: Time between two checks.
    """

    database: Database
    outbox: AlertOutbox
    sources: Sequence[Source]
    seconds: float = POLL_SECONDS
    _pending: dict[str, Alert] = field(default_factory=dict)
    _raised: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def run(self) -> None:
        """Check, until cancelled. While the database is unavailable, alerts wait."""
        while True:
            await self.check()
            await asyncio.sleep(self.seconds)

    async def check(self) -> None:
        """Read the sources, and raise new alerts. Those that cannot be raised now are raised later."""
        await self._notice()
        if self.database.health.available:
            await self._raise()

    async def _notice(self) -> None:
        for source in self.sources:
            try:
                found = await source()
            except DatabaseRefusalError as error:
                _log.warning("alerts cannot be checked: %s", error)
                continue
            except DatabaseUnavailableError:
                continue
            for alert in found:
                if alert.key not in self._raised and len(self._pending) < MAX_PENDING:
                    self._pending.setdefault(alert.key, alert)

    async def _raise(self) -> None:
        try:
            for key, alert in list(self._pending.items()):
                await self.outbox.raise_alert(alert.type, key, alert.data)
                del self._pending[key]
                self._raised[key] = None
                if len(self._raised) > MAX_RAISED:
                    self._raised.popitem(last=False)
        except DatabaseRefusalError as error:
            _log.warning("alerts cannot be raised: %s", error)
        except DatabaseUnavailableError:
            return


SHARES: Final = (50, 80, 100)
"""The percentages of a budget at which there is an alert."""

BUDGET_SECONDS: Final = 60.0
"""Time between two looks at all budgets."""


def budget_alerts(budgets: Callable[[], Awaitable[Iterable[BudgetUse]]]) -> Source:
    """Budgets of which a share is used, and those of a week or a month that will be used up before their end.

    Each share, and each forecast, is told once in a period. A budget of a day would be forecast each day, and one that is used
    up has another alert.
    """

    async def find() -> list[Alert]:
        found = []
        for one in await budgets():
            if one.shadow or not one.limit_usd:
                continue
            key, data = f"{one.id}:{one.resets_at}:{one.limit_usd}", to_builtins(one)
            reached = [share for share in SHARES if one.used_usd * 100 >= one.limit_usd * share]
            found += [
                Alert(AlertType.BUDGET_THRESHOLD, f"budget:{key}:{share}", {"share": share, **data})
                for share in reached
            ]
            if one.used_up_at and one.used_usd < one.limit_usd and one.period != "day":
                found.append(Alert(AlertType.BUDGET_FORECAST, f"forecast:{key}", data))
        return found

    return find


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


CALENDAR_SECONDS: Final = 60.0
"""Time between two checks of the calendar."""

MAX_ROWS: Final = 10
"""How many users and models are listed, the most expensive first."""

DELAY: Final = timedelta(minutes=5)
"""From the end of a week to its digest, so that its last calls are counted."""


def weekly_digest(questions: Questions, users: Callable[[set[UUID]], Any], now: Callable[[], datetime]) -> Source:
    """The digest of the week before the present one, Monday to Sunday in UTC. It is summed up once by a process."""
    known: list[datetime] = []

    async def find() -> list[Alert]:
        today = Bucket.DAY.floor(now() - DELAY)
        end = today - timedelta(days=today.weekday())
        if known == [end]:
            return []
        start = end - timedelta(days=7)
        week = Question(start, end, order=Order.COST, limit=MAX_ROWS)
        by_user = await questions.answer(replace(week, by=(By(Dimension.USER),)))
        by_model = await questions.answer(replace(week, by=(By(Dimension.MODEL),)))
        names = await users({one.key[0] for one in by_user.groups})
        known[:] = [end]
        if not by_model.groups:
            return []
        data = {
            "from": format_time(start),
            "to": format_time(end),
            **_figures(by_model.total.total),
            "users": [_of_user(one.key[0], one.total, names) for one in by_user.groups],
            "models": [{"model": one.key[0], **_figures(one.total)} for one in by_model.groups],
        }
        return [Alert(AlertType.WEEKLY_DIGEST, f"digest:{start:%Y-%m-%d}", data)]

    return find


def _of_user(user: UUID, totals: Totals, names: Mapping[UUID, User]) -> dict[str, Any]:
    known = names.get(user)
    return {"id": str(user), "username": known and known.username, **_figures(totals)}


def _figures(totals: Totals) -> dict[str, Any]:
    return {
        "calls": totals.get("interceptions", 0),
        "tokens": sum(totals.get(name, 0) for name in TOKENS),
        "cost_micro_usd": micro_dollars(Decimal(totals.get("cost", 0))),
        "unpriced_calls": totals.get("unpriced", 0),
    }
