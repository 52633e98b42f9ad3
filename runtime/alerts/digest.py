"""The cost of last week's calls, sent once a week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from intercept.times import format_time
from resources.fields import micro_dollars
from runtime.alerts.watch import Alert, Source
from storage.accounts.users import User
from storage.alerts.documents import AlertType
from storage.derived.rollup import TOKENS, Bucket, Totals, add
from storage.queries.found import SPEND
from storage.queries.questions.groups import Row
from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions

POLL_SECONDS: Final = 60.0
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
        week = Question(start, end, by=(By(Dimension.USER), By(Dimension.MODEL)))
        rows = await questions.every(week, SPEND)
        by_user, by_model = _summed(rows, 0), _summed(rows, 1)
        names = await users({user for user, _ in by_user[:MAX_ROWS]})
        known[:] = [end]
        if not by_model:
            return []
        data = {
            "from": format_time(start),
            "to": format_time(end),
            **_figures(_all(totals for _, totals in by_model)),
            "users": [_of_user(user, totals, names) for user, totals in by_user[:MAX_ROWS]],
            "models": [{"model": model, **_figures(totals)} for model, totals in by_model[:MAX_ROWS]],
        }
        return [Alert(AlertType.WEEKLY_DIGEST, f"digest:{start:%Y-%m-%d}", data)]

    return find


def _summed(rows: Iterable[Row], position: int) -> list[tuple[Any, Totals]]:
    """Add rows up by one value of their keys, those that cost most first."""
    totals: defaultdict[Any, Totals] = defaultdict(dict)
    for row in rows:
        add(totals[row.key[position]], row.totals)
    return sorted(totals.items(), key=lambda one: (-one[1].get("cost", 0), str(one[0])))


def _all(some: Iterable[Totals]) -> Totals:
    total: Totals = {}
    for totals in some:
        add(total, totals)
    return total


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
