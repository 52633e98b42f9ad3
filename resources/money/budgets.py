"""Budgets: how much of each is spent, and when it will be used up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct

from intercept.times import format_time
from limits.limit import LimitState, Of
from limits.policies.compiled import Applied
from resources.accounts.policies import PolicySource
from resources.fields import Time, doc, word
from resources.limits import MICRO_DOLLARS, period_end

Dollars = Annotated[float, Meta(ge=0)]


class BudgetUse(Struct):
    """A budget and what is spent of it, in US dollars."""

    of: Annotated[Of, doc("Whose calls count together.")]
    name: Annotated[str, doc("Of the user or the group, the id of the token; empty for everyone.")]
    used_usd: Dollars
    limit_usd: Dollars
    period: Literal["day", "week", "month"]
    pace_usd: Annotated[Dollars, doc("What was spent a day in the last seven days.")]
    used_up_at: Annotated[
        Time | None,
        doc("When it will be used up at that pace, or `at` if it is; null if not before its period ends."),
    ]
    resets_at: Annotated[Time | None, doc("When its period ends.")]
    reserved_usd: Annotated[Dollars, doc("Held back for calls in progress.")]
    source: PolicySource
    shadow: Annotated[bool, doc("Whether it only counts, and refuses nothing.")]
    id: Annotated[str, doc("Stays while its period and what it is counted under do.")]

    @classmethod
    def of_state(cls, state: LimitState, name: str, pace_usd: float, now: datetime, applied: Applied | None) -> Self:
        """Show the state of a budget; `applied` says from which policy it is, None that it is from the settings."""
        limit = state.limit
        return cls(
            of=limit.of,
            name=name,
            used_usd=state.used / MICRO_DOLLARS,
            limit_usd=limit.maximum / MICRO_DOLLARS,
            period=word(limit.period),
            pace_usd=pace_usd,
            used_up_at=_used_up(state, pace_usd, now),
            resets_at=period_end(now, state.reset_ns),
            reserved_usd=state.reserved / MICRO_DOLLARS,
            source=PolicySource.of(applied.source if applied else None),
            shadow=limit.shadow,
            id=f"{limit.rule}:{limit.key}:{limit.period}",
        )


def _used_up(state: LimitState, pace_usd: float, now: datetime) -> str | None:
    left = (state.limit.maximum - state.used) / MICRO_DOLLARS
    if left <= 0:
        return format_time(now)
    if not pace_usd or left / pace_usd * timedelta(days=1) >= timedelta(microseconds=state.reset_ns / 1000):
        return None
    return format_time(now + left / pace_usd * timedelta(days=1))
