"""`GET /api/v2/aibridge/users/{name}/usage`: how near a user is to every limit; for members of themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from handlers.api.accounts.applied import (
    AppliedLimit,
    effective_of,
    find_user,
    limits_of_token,
    limits_of_user,
    states_of,
)
from handlers.api.accounts.tokens import UserOrMe
from handlers.bridge import Bridge
from handlers.limits_state import scope_of_limits, state_of_limits
from handlers.operations.operation import READERS, Ask, operation
from handlers.operations.query import MAX_LIMIT, InHours
from intercept.refusals import Rule
from intercept.times import format_time
from resources.accounts.policies import LimitRule
from resources.accounts.usage import MAX_REFUSALS, MAX_TOKENS, ActiveToken, UserRefusals, UserUsage, count_rules
from resources.fields import Initiator
from resources.recorded.refusals import Refusal
from resources.recorded.statistics import GroupTotals
from storage.accounts.users import User
from storage.queries.accounts.tokens import TokenDetails
from storage.queries.questions.question import By, Counted, Dimension, Question
from storage.queries.refusals import read_refusals

_NEVER = datetime.min.replace(tzinfo=UTC)


@operation("GET", "users/{name}/usage", READERS, own=True, tag="limits")
async def get_usage(ask: Ask, name: UserOrMe, query: InHours) -> UserUsage:
    """Read the usage of a user.

    By limit what is used, what is left and when there will be more; their active tokens; and of a time range, what their
    calls add up to and what was refused. Readers see no tokens of others.
    """
    bridge = ask.bridge
    start, end = query.range(bridge.now())
    user = await find_user(bridge, name, ask.user)
    spend = await bridge.people.spend_of(user)
    sees_tokens = ask.user.role.sees_everything or user.id == ask.user.id
    tokens = await _tokens(ask, user) if sees_tokens else []
    refusals = await _refusals(bridge, user, start, end, is_given=bool(query.from_ or query.to or query.range_))
    # A user has totals of hours and days, so that it takes no time to speak of.
    total = await bridge.questions.answer(Question(start, end, visible_to=user.id))
    own: list[AppliedLimit] = limits_of_user(bridge, user, effective_of(bridge, user))
    of_tokens = [limits_of_token(bridge, user, one.token) for one in tokens]
    states = await states_of(bridge, [*own, *(limit for limits in of_tokens for limit in limits)])
    now = bridge.now()
    rules = iter([LimitRule.of_limit(limit, state, now, applied) for limit, state, applied in states])
    return UserUsage(
        user=Initiator.of_user(user),
        at=format_time(now),
        from_=format_time(start),
        to=format_time(end),
        total=GroupTotals.of(Counted.CALLS, total.total.total),
        scope=scope_of_limits(bridge.cluster, bridge.workers),
        state=state_of_limits(bridge.cluster, bridge.workers),
        spend_usd=float(spend),
        limits=[next(rules) for _ in own],
        tokens=[
            ActiveToken.used(one.token, one.last_use, limits=[next(rules) for _ in limits])
            for one, limits in zip(tokens, of_tokens, strict=True)
        ]
        if sees_tokens
        else None,
        refusals=refusals,
    )


async def _tokens(ask: Ask, user: User) -> list[TokenDetails]:
    """The active tokens, those that were used last first; of many those among the newest."""
    bridge, now = ask.bridge, ask.bridge.now()
    if user.is_service:
        _, found = await bridge.tokens.search(ask.identity.token_id, limit=1, offset=0)
    else:
        _, found = await bridge.tokens.of_user(user.username, limit=MAX_LIMIT, offset=0)
    active = [
        one
        for one in found
        if one.token.revoked_at is None and (one.token.expires_at is None or one.token.expires_at > now)
    ]
    active.sort(key=lambda one: one.last_use.at if one.last_use else _NEVER, reverse=True)
    return active[:MAX_TOKENS]


async def _refusals(bridge: Bridge, user: User, start: datetime, end: datetime, *, is_given: bool) -> UserRefusals:
    """Refusals of a user in a time range. The latest are of it if the request gives it, else whenever they were."""
    by_rule = Question(start, end, of=Counted.REFUSALS, by=(By(Dimension.RULE),), limit=len(Rule), visible_to=user.id)
    rules = {one.key[0]: one.total["refusals"] for one in (await bridge.questions.answer(by_rule)).groups}
    refused: dict[str, Any] = {"shadow": {"$ne": True}}
    if is_given:
        refused["at"] = {"$gte": start, "$lt": end}
    _, rows = await read_refusals(bridge.database, refused, visible_to=user.id, limit=MAX_REFUSALS)
    latest = [Refusal.of(row, {user.id: user}) for row in rows]
    return UserRefusals(since=format_time(start), latest=latest, **count_rules(rules))
