"""What calls cost: of users, of tokens, and of a provider's bill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from intercept.records import CredentialKind
from storage.queries.found import SPEND, RecordedDay
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions

_BILLED: Final = {"credential_kind": CredentialKind.CENTRALIZED.value}


async def spend_by_user(
    questions: Questions, user_ids: Sequence[UUID], start: datetime, end: datetime
) -> dict[UUID, Decimal]:
    """Return by user what calls cost that started in [start, end), whole days in UTC, in US dollars.

    A call counts a few seconds after its end, and with a user's own key too. Users without calls that have a price are
    left out.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    users = {"initiator_id": {"$in": list(user_ids)}}
    rows = await questions.every(Question(start, end, users, by=(By(Dimension.USER),)), ["cost"])
    return {row.key[0]: row.totals["cost"] for row in rows if "cost" in row.totals}


async def spend_by_token(questions: Questions, start: datetime, end: datetime) -> dict[tuple[UUID, str], Decimal]:
    """Return what calls cost that started in [start, end) with a key of the bridge, by user and public part of the token.

    Those that cost nothing are left out.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
        DatabaseRefusalError: It takes too long.
    """
    by = By(Dimension.USER), By(Dimension.TOKEN)
    rows = await questions.every(Question(start, end, _BILLED, by=by), ["cost"])
    return {(user, token): row.totals["cost"] for row in rows if "cost" in row.totals for user, token in [row.key]}


async def read_recorded(
    questions: Questions, types: Sequence[str], names: Sequence[str], start: datetime, end: datetime
) -> list[RecordedDay]:
    """Add up the calls that started in [start, end), of providers of these types, and of these names if there are any.

    Raises:
        NotRecordedError: Records of some of the calls were removed.
        DatabaseUnavailableError: The database is unavailable.
        DatabaseRefusalError: It takes too long.
    """
    conditions: dict[str, Any] = {**_BILLED, "provider": {"$in": list(types)}}
    if names:
        conditions["provider_name"] = {"$in": list(names)}
    by = By(Dimension.MODEL), By(Dimension.LATE)
    question = Question(start, end, conditions, by=by, period=Period.DAY)
    days: dict[tuple[date, str], RecordedDay] = {}
    for row in await questions.every(question, SPEND, if_recorded=True):
        day, (model, late) = row.at.date(), row.key
        days.setdefault((day, model), RecordedDay(day, model)).add(row.totals, late=late)
    return list(days.values())
