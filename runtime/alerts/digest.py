"""The cost of last week's calls, sent once a week."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from intercept.times import format_time
from runtime.alerts.watch import Alert, Source
from storage.accounts.users import User
from storage.alerts.documents import AlertType
from storage.derived.rollup import TOKENS, Bucket
from storage.queries.filters.grouped.spending import Dimension, Span, SpendQuery, SpendRow
from storage.queries.money.spend_rows import Spending

POLL_SECONDS: Final = 60.0
"""Time between two checks of the calendar."""

MAX_ROWS: Final = 10
"""How many users and models are listed, the most expensive first."""

DELAY: Final = timedelta(minutes=5)
"""From the end of a week to its digest, so that its last calls are counted."""


def weekly_digest(spending: Spending, users: Callable[[set[UUID]], Any], now: Callable[[], datetime]) -> Source:
    """The digest of the week before the present one, Monday to Sunday in UTC. It is summed up once by a process."""
    known: list[datetime] = []

    async def find() -> list[Alert]:
        today = Bucket.DAY.floor(now() - DELAY)
        end = today - timedelta(days=today.weekday())
        if known == [end]:
            return []
        start = end - timedelta(days=7)
        rows = await _rows(spending, start, end)
        by_user, by_model = _summed(rows, Dimension.USER), _summed(rows, Dimension.MODEL)
        names = await users({row.values[Dimension.USER] for row in by_user[:MAX_ROWS]})
        known[:] = [end]
        if not by_model:
            return []
        data = {
            "from": format_time(start),
            "to": format_time(end),
            **_figures(by_model),
            "users": [_of_user(row, names) for row in by_user[:MAX_ROWS]],
            "models": [{"model": row.values[Dimension.MODEL], **_figures([row])} for row in by_model[:MAX_ROWS]],
        }
        return [Alert(AlertType.WEEKLY_DIGEST, f"digest:{start:%Y-%m-%d}", data)]

    return find


async def _rows(spending: Spending, start: datetime, end: datetime) -> list[SpendRow]:
    """The totals of a week by user and model. A week in two months has two rows."""
    query = SpendQuery(start, end, (Dimension.USER, Dimension.MODEL), Span.MONTH)
    return [row async for page in spending.pages(query) for row in page]


def _summed(rows: Iterable[SpendRow], dimension: Dimension) -> list[SpendRow]:
    """The same by one of both, those that cost most first."""
    totals: dict[Any, SpendRow] = {}
    for row in rows:
        value = row.values[dimension]
        before = totals.get(value, SpendRow(row.at, {dimension: value}, {}, Decimal()))
        counts = {name: number + before.counts.get(name, 0) for name, number in row.counts.items()}
        totals[value] = SpendRow(before.at, before.values, counts, row.usd + before.usd)
    return sorted(totals.values(), key=lambda row: (-row.usd, str(row.values[dimension])))


def _of_user(row: SpendRow, names: Mapping[UUID, User]) -> dict[str, Any]:
    user = names.get(row.values[Dimension.USER])
    return {"id": str(row.values[Dimension.USER]), "username": user and user.username, **_figures([row])}


def _figures(rows: list[SpendRow]) -> dict[str, Any]:
    return {
        "calls": sum(row.counts["interceptions"] for row in rows),
        "tokens": sum(row.counts[name] for row in rows for name in TOKENS),
        "cost_micro_usd": sum(row.micro_dollars for row in rows),
        "unpriced_calls": sum(row.counts["unpriced"] for row in rows),
    }
