"""`GET /api/v2/aibridge/budgets`: every budget, what is spent of it, and when it will be used up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from msgspec import Meta, Struct

from handlers.api.policies import effective_of, limits_of_user
from handlers.bridge import Bridge
from handlers.operations.operation import READERS, Ask, operation
from handlers.operations.query import Paged
from intercept.times import format_time
from limits.limit import BudgetPeriod, Limit, LimitKind, LimitState, Of
from limits.policies.compiled import Applied, Level, PolicyHolder
from resources.fields import ListPage, Time, doc, word
from resources.limits import MICRO_DOLLARS, period_end
from resources.policies import PolicySource
from storage.accounts.users import User
from storage.policies.budgets import budgets_of, spend_by_key
from storage.queries.money import spend_by_token

_DAY_SECONDS: Final = 86_400
_FORECAST_SECONDS: Final = 366 * _DAY_SECONDS
"""Nothing is said about what will be used up later."""

Dollars = Annotated[float, Meta(ge=0)]


class BudgetUse(Struct):
    """A budget and what is spent of it, in US dollars."""

    of: Annotated[Of, doc("Whose calls count together.")]
    name: Annotated[str, doc("Of the user or the group, the id of the token; empty for everyone.")]
    used_usd: Dollars
    limit_usd: Dollars
    period: Literal["day", "week", "month", "total"]
    pace_usd: Annotated[Dollars, doc("What was spent a day in the last seven days.")]
    used_up_at: Annotated[
        Time | None,
        doc("When it will be used up at that pace, now if it is; null if not before its period ends."),
    ]
    resets_at: Annotated[Time | None, doc("When its period ends; null of `total`.")]
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
    seconds = left / pace_usd * _DAY_SECONDS if pace_usd else inf
    until = inf if state.limit.period is BudgetPeriod.TOTAL else state.reset_ns / 1e9
    return None if seconds >= min(until, _FORECAST_SECONDS) else format_time(now + timedelta(seconds=seconds))


LONGEST_PERIOD: Final = timedelta(days=31)
PACE_DAYS: Final = 7
AT_ONCE: Final = 100
"""Users whose budgets are found, and budgets whose states are read, before others may run."""


@operation("GET", "budgets", READERS, tag="limits")
async def list_budgets(ask: Ask, query: Paged) -> ListPage[BudgetUse]:
    """List budgets.

    Of everyone, groups, users and tokens; those first of which the largest part is spent. A budget that each member has
    is listed for those who spent something in the last 31 days. Readers see none of tokens.
    """
    found = await every_budget(ask.bridge, of_tokens=ask.user.role.sees_everything)
    return ListPage(len(found), found[query.offset : query.offset + query.limit])


async def every_budget(bridge: Bridge, *, of_tokens: bool) -> list[BudgetUse]:
    """Every budget that holds, those first of which the largest part is spent.

    Raises:
        DatabaseUnavailableError: What was spent cannot be known now.
    """
    overload, now = bridge.overload, bridge.now()
    spent = await spend_by_token(bridge.questions, now - LONGEST_PERIOD, now)
    users = await bridge.identities.users_by_id({user for user, _ in spent})
    budgets = await _budgets(bridge, users, of_tokens=of_tokens)
    states: list[LimitState] = []
    limits = list(budgets)
    for start in range(0, len(limits), AT_ONCE):
        states += await overload.states(limits[start : start + AT_ONCE])
        await asyncio.sleep(0)
    states.sort(key=_part_used, reverse=True)
    paces = await _paces(bridge, users)
    return [
        BudgetUse.of_state(one, name, paces.get(_whose(one.limit), 0.0), now, applied)
        for one in states
        for name, applied in [budgets[one.limit]]
    ]


async def _budgets(
    bridge: Bridge, users: Mapping[UUID, User], *, of_tokens: bool
) -> dict[Limit, tuple[str, Applied | None]]:
    """The budgets that hold, with the name of whose each is, and the policy that it is from."""
    found: dict[Limit, tuple[str, Applied | None]] = {}
    for number, user in enumerate(users.values()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        for limit, applied in limits_of_user(bridge, user, effective_of(bridge, user)):
            if limit.of is Of.USER and (applied is None or applied.replaced_by is None):
                found.setdefault(limit, (user.username, applied))
    for one in bridge.policies.book.shared_limits():
        if of_tokens or one.limit.of is not Of.TOKEN:
            found.setdefault(one.limit, (one.source.name, one))
    return {limit: whose for limit, whose in found.items() if limit.kind is LimitKind.BUDGET}


def _part_used(state: LimitState) -> float:
    return state.used / state.limit.maximum if state.limit.maximum else 1.0


def _whose(limit: Limit) -> tuple[Of, str]:
    """What a limit is of, and the id of that: budgets of the settings and of policies are counted under different keys."""
    return limit.of, limit.key.partition(":")[2]


async def _paces(bridge: Bridge, users: Mapping[UUID, User]) -> dict[tuple[Of, str], float]:
    """What each spent a day in the last days, in US dollars."""
    now = bridge.now()
    spent = await spend_by_token(bridge.questions, now - timedelta(days=PACE_DAYS), now)
    binding = await bridge.identities.binding_of({token for _, token in spent})
    wanted = [(source, part) for source, part, _ in budgets_of(bridge.policies.book)]
    by_key = spend_by_key(spent, users, [*wanted, (PolicyHolder(Level.USER), "")], binding)
    return {(of, key.partition(":")[2]): round(float(usd) / PACE_DAYS, 6) for (of, key), usd in by_key.items()}
