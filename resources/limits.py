"""The limits: how much of each is used, by which users, and when more is available."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.times import format_time
from limits.limit import LimitKind, LimitState
from limits.request_limits import LimitSettings, Usage
from resources.fields import Time, doc, word

MAX_KEYS = 20
"""Users and rate keys that are named, those that use most."""

MICRO_DOLLARS: Final = 1_000_000

LimitsScope = Literal["process", "server", "cluster"]


class LimitsState(StrEnum):
    """Whether the limits hold as they were set, or who decides alone, and why."""

    OK = "ok"
    PROCESS_LOCAL = "process-local: the database is unavailable"
    NO_SUPERVISOR = "unavailable: the supervisor does not answer"
    SERVER_LOCAL = "server-local: the database is unavailable"


SETTINGS: Final = {
    "concurrency": "max-concurrency",
    "user_concurrency": "user-max-concurrency",
    "rate": "rate-limit",
    "user_rate": "user-rate-limit",
    "user_tokens": "user-token-limit",
    "user_budget": "user-budget-usd",
}
"""The limits by name, with the setting of each."""

Amount = Annotated[float, Meta(ge=0)]
NextFree = Annotated[Time | UnsetType | None, doc("When the next one may start; null if that is unknown.")]
Remaining = Annotated[Amount | UnsetType | None, doc("How much more may start now; null if the limit is off.")]


class KeyUsage(Struct, kw_only=True):
    """How much of a limit a user, a token or an address has used. Of the budget that is in US dollars."""

    key: Annotated[str, doc("The user's id. Of `rate` a token, or a client's address or network.")]
    username: Annotated[
        str | UnsetType | None,
        doc("Null if it is unknown, for example while the database is unavailable. Absent of `rate`."),
    ] = UNSET
    used: Amount
    remaining: Remaining
    next_free_at: NextFree = UNSET
    resets_at: Annotated[Time | UnsetType | None, doc("When the period ends.")] = UNSET


class LimitUsage(Struct, kw_only=True):
    """How much of a limit is used, by key; `concurrency` has no keys, as it is of the whole server."""

    name: Annotated[str, Meta(extra_json_schema={"enum": list(SETTINGS)})]
    setting: Annotated[str, Meta(extra_json_schema={"enum": list(SETTINGS.values())})]
    limit: Annotated[float, Meta(ge=0, description="As set, of the budget in US dollars; 0 is off.")]
    used: Amount | UnsetType = UNSET
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
    period: Literal["day", "week", "month", "total"] | UnsetType = UNSET
    timezone: Annotated[str | UnsetType, doc("The time zone in which periods start.")] = UNSET


def limit_usages(
    settings: LimitSettings,
    usage: Usage,
    now: datetime,
    names: Mapping[str, str],
) -> list[LimitUsage]:
    """Show how much of each limit is used. Names are by the ids of users."""

    def show(name: str, limit: float, states: Mapping[str, LimitState] | None = None, **more: Any) -> LimitUsage:
        if states is not None:
            more["keys"] = [
                KeyUsage(key=key, username=UNSET if name == "rate" else names.get(key), **_use(state, now))
                for key, state in states.items()
            ]
        return LimitUsage(name=name, setting=SETTINGS[name], limit=limit, **more)

    window, token_window = settings.rate_window.total_seconds(), settings.token_window.total_seconds()
    budget, period = settings.user_budget / MICRO_DOLLARS, word(settings.budget_period)
    slots = settings.max_concurrency
    free = not slots or usage.slots < slots
    of_server: dict[str, Any] = {
        "used": usage.slots,
        "remaining": max(0, slots - usage.slots) if slots else None,
        "next_free_at": format_time(now) if free else None,
    }
    return [
        show("concurrency", slots, **of_server),
        show("user_concurrency", settings.user_max_concurrency, usage.users),
        show("rate", settings.rate_limit, usage.rates, window_seconds=window),
        show("user_rate", settings.user_rate_limit, usage.user_rates, window_seconds=window),
        show("user_tokens", settings.user_token_limit, usage.user_tokens, window_seconds=token_window),
        show("user_budget", budget, usage.user_budgets, period=period, timezone=settings.budget_zone),
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


def _use(state: LimitState, now: datetime) -> dict[str, Any]:
    """How much is used. Nobody knows when a request ends, so the time of the next free slot is unknown."""
    if state.limit.kind is LimitKind.BUDGET:
        used, remaining = state.used / MICRO_DOLLARS, state.remaining / MICRO_DOLLARS
        return {"used": used, "remaining": remaining, "resets_at": period_end(now, state.reset_ns)}
    free_at = format_time(now + timedelta(milliseconds=-(-state.retry_after_ns // 1_000_000)))
    is_free = state.limit.kind is not LimitKind.CONCURRENCY or state.remaining
    return {"used": state.used, "remaining": state.remaining, "next_free_at": free_at if is_free else None}
