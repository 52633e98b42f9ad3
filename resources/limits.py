"""The limits: how much of each is used, by which users, and when more is available."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.times import format_time
from limits.limit import LimitState
from limits.request_limits import LimitSettings, Usage
from resources.fields import Count, Time, doc, word

MAX_KEYS = 20
"""Users and rate keys that are named, those that use most."""

MICRO_DOLLARS: Final = 1_000_000

PROCESS_LOCAL: Final = "process-local: the database is unavailable"
NO_SUPERVISOR: Final = "unavailable: the supervisor does not answer"
SERVER_LOCAL: Final = "server-local: the database is unavailable"
LimitsScope = Literal["process", "server", "cluster"]
LimitsState = Literal[
    "ok",
    "process-local: the database is unavailable",
    "unavailable: the supervisor does not answer",
    "server-local: the database is unavailable",
]


SETTINGS: Final = {
    "concurrency": "max-concurrency",
    "user_concurrency": "user-max-concurrency",
    "rate": "rate-limit",
    "user_rate": "user-rate-limit",
    "user_tokens": "user-token-limit",
    "user_budget": "user-budget-usd",
}
"""The limits by name, with the setting of each."""

NextFree = Annotated[Time | UnsetType | None, doc("When the next one may start; null if that is unknown.")]
Remaining = Annotated[Count | UnsetType | None, doc("How many more may start now; null if the limit is off.")]


class KeyUsage(Struct, kw_only=True):
    """How much of a limit a user, a token or an address has used. Of the budget that is in US dollars."""

    key: Annotated[str, doc("The user's id. Of `rate` a token, or a client's address or network.")]
    username: Annotated[
        str | UnsetType | None,
        doc("Null if it is unknown, for example while the database is unavailable. Absent of `rate`."),
    ] = UNSET
    used: Count | UnsetType = UNSET
    remaining: Remaining = UNSET
    next_free_at: NextFree = UNSET
    used_usd: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    remaining_usd: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    resets_at: Annotated[Time | UnsetType | None, doc("When the period ends.")] = UNSET


class LimitUsage(Struct, kw_only=True):
    """How much of a limit is used, by key; `concurrency` has no keys, as it is of the whole server."""

    name: Annotated[str, Meta(extra_json_schema={"enum": list(SETTINGS)})]
    setting: Annotated[str, Meta(extra_json_schema={"enum": list(SETTINGS.values())})]
    limit: Annotated[float, Meta(ge=0, description="As set, of the budget in US dollars; 0 is off.")]
    used: Count | UnsetType = UNSET
    remaining: Remaining = UNSET
    next_free_at: NextFree = UNSET
    keys: (
        Annotated[
            list[KeyUsage],
            Meta(
                max_length=MAX_KEYS,
                description="Those with the highest usage; of `user_tokens` and `user_budget` those with the least left.",
            ),
        ]
        | UnsetType
    ) = UNSET
    window_seconds: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    period: Literal["day", "week", "month"] | UnsetType = UNSET
    timezone: Annotated[str | UnsetType, doc("The time zone in which periods start.")] = UNSET


def limit_usages(
    settings: LimitSettings,
    usage: Usage,
    now: datetime,
    names: Mapping[str, str],
) -> list[LimitUsage]:
    """Show how much of each limit is used. Names are by the ids of users."""

    def show(name: str, limit: float, **more: Any) -> LimitUsage:
        return LimitUsage(name=name, setting=SETTINGS[name], limit=limit, **more)

    def by_user(states: Mapping[str, LimitState]) -> list[KeyUsage]:
        return [KeyUsage(key=key, username=names.get(key), **_rate(state, now)) for key, state in states.items()]

    slots, user_slots, window = settings.max_concurrency, settings.user_max_concurrency, settings.rate_window
    concurrency = [
        KeyUsage(key=key, username=names.get(key), **_slots(user_slots, state.used, now))
        for key, state in usage.users.items()
    ]
    budgets = [
        KeyUsage(
            key=key,
            username=names.get(key),
            used_usd=state.used / MICRO_DOLLARS,
            remaining_usd=state.remaining / MICRO_DOLLARS,
            resets_at=period_end(now, state.reset_ns),
        )
        for key, state in usage.user_budgets.items()
    ]
    seconds, rates = window.total_seconds(), [KeyUsage(key=key, **_rate(one, now)) for key, one in usage.rates.items()]
    token_seconds = settings.token_window.total_seconds()
    budget, period = settings.user_budget / MICRO_DOLLARS, word(settings.budget_period)
    return [
        show("concurrency", slots, **_slots(slots, usage.slots, now)),
        show("user_concurrency", user_slots, keys=concurrency),
        show("rate", settings.rate_limit, keys=rates, window_seconds=seconds),
        show("user_rate", settings.user_rate_limit, keys=by_user(usage.user_rates), window_seconds=seconds),
        show("user_tokens", settings.user_token_limit, keys=by_user(usage.user_tokens), window_seconds=token_seconds),
        show("user_budget", budget, keys=budgets, period=period, timezone=settings.budget_zone),
    ]


class Limits(Struct):
    """How much of the limits is used."""

    scope: Annotated[LimitsScope, doc("The requests that are counted together.")]
    state: Annotated[
        LimitsState,
        doc(
            "With `process-local` and a reason all that follows is of this process alone, with `server-local` of this server."
        ),
    ]
    at: Time
    limits: list[LimitUsage]


def period_end(now: datetime, reset_ns: int) -> str | None:
    """When the period of a budget ends, None if unknown. It is a whole second: two clocks do not tell it by a moment."""
    end = now + timedelta(microseconds=reset_ns // 1000 + 500_000)
    return format_time(end.replace(microsecond=0)) if reset_ns else None


def _slots(limit: int, used: int, now: datetime) -> dict[str, Any]:
    """Nobody knows when a request ends, so the time of the next free slot is unknown."""
    free = not limit or used < limit
    remaining = max(0, limit - used) if limit else None
    return {"used": used, "remaining": remaining, "next_free_at": format_time(now) if free else None}


def _rate(state: LimitState, now: datetime) -> dict[str, Any]:
    free_at = now + timedelta(milliseconds=-(-state.retry_after_ns // 1_000_000))
    return {"used": state.used, "remaining": state.remaining, "next_free_at": format_time(free_at)}
