"""The limits: how much of each is used, by which users, and when more is available."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from intercept.times import format_time
from limits.limit import LimitState
from limits.request_limits import LimitSettings
from resources.fields import Count, Time, doc, word

MAX_ACTIVE_REQUESTS = 100
"""Requests of each process that are named, those that began first."""

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


NextFree = Annotated[Time | None, doc("When the next one may start; null if that is unknown.")]
Remaining = Annotated[Count | None, doc("Requests that may still start now; null if the limit is off.")]
Limit = Annotated[Count, doc("As set; 0 is off.")]
Username = Annotated[str | None, doc("Null if it is unknown, for example while the database is unavailable.")]
Refused = Annotated[Count, doc("Requests refused since the process started.")]


class ConcurrencyUsage(Struct):
    """Requests at a time, of the whole server."""

    name: Literal["concurrency"]
    setting: Literal["max-concurrency"]
    limit: Limit
    used: Count
    remaining: Remaining
    next_free_at: NextFree
    refused: Refused

    @classmethod
    def of(cls, limit: int, used: int, now: datetime, refused: int) -> Self:
        """Show how many slots are used."""
        return cls("concurrency", "max-concurrency", limit, *_slots(limit, used, now), refused)


class UserUsage(Struct):
    """Requests of one user at a time."""

    key: Annotated[str, doc("The user's id.")]
    username: Username
    used: Count
    remaining: Remaining
    next_free_at: NextFree


class UserConcurrencyUsage(Struct):
    """Requests at a time, by user."""

    name: Literal["user_concurrency"]
    setting: Literal["user-max-concurrency"]
    limit: Limit
    keys: Annotated[list[UserUsage], Meta(max_length=MAX_KEYS, description="Those with the highest usage.")]
    refused: Refused

    @classmethod
    def of(cls, limit: int, users: Mapping[str, int], names: Mapping[str, str], now: datetime, refused: int) -> Self:
        """Show how many slots users have, by their ids."""
        keys = [UserUsage(key, names.get(key), *_slots(limit, used, now)) for key, used in users.items()]
        return cls("user_concurrency", "user-max-concurrency", limit, keys, refused)


class KeyUsage(Struct):
    """What one key of the rate limit has used of its window."""

    key: Annotated[str, doc("A token, or a client's address or network.")]
    used: Count
    remaining: Count
    next_free_at: Time


class RateUsage(Struct):
    """Requests per window, by key."""

    name: Literal["rate"]
    setting: Literal["rate-limit"]
    limit: Limit
    keys: Annotated[list[KeyUsage], Meta(max_length=MAX_KEYS, description="Those with the highest usage.")]
    window_seconds: Annotated[float, Meta(gt=0)]
    refused: Refused

    @classmethod
    def of(
        cls, limit: int, rates: Mapping[str, LimitState], now: datetime, *, window_seconds: float, refused: int
    ) -> Self:
        """Make the usage of a rate, by key."""
        keys = [KeyUsage(key, *_rate(rate, now)) for key, rate in rates.items()]
        return cls("rate", "rate-limit", limit, keys, window_seconds, refused)


class UserWindowUsage(Struct):
    """What one user has used of their window, with all tokens."""

    key: Annotated[str, doc("The user's id.")]
    username: Username
    used: Count
    remaining: Count
    next_free_at: Time

    @classmethod
    def all_of(cls, states: Mapping[str, LimitState], names: Mapping[str, str], now: datetime) -> list[Self]:
        """Show how much users have used, by their ids."""
        return [cls(key, names.get(key), *_rate(state, now)) for key, state in states.items()]


class UserRateUsage(Struct):
    """Requests per window, by user."""

    name: Literal["user_rate"]
    setting: Literal["user-rate-limit"]
    limit: Limit
    keys: Annotated[list[UserWindowUsage], Meta(max_length=MAX_KEYS, description="Those with the highest usage.")]
    window_seconds: Annotated[float, Meta(gt=0)]
    refused: Refused


class UserTokensUsage(Struct):
    """Tokens per window, by user."""

    name: Literal["user_tokens"]
    setting: Literal["user-token-limit"]
    limit: Limit
    keys: Annotated[list[UserWindowUsage], Meta(max_length=MAX_KEYS, description="Those with the least left.")]
    window_seconds: Annotated[float, Meta(gt=0)]
    refused: Refused


class UserSpend(Struct):
    """What one user's calls have cost in the present period."""

    key: Annotated[str, doc("The user's id.")]
    username: Username
    used_usd: Annotated[float, Meta(ge=0)]
    remaining_usd: Annotated[float, Meta(ge=0)]
    resets_at: Annotated[Time | None, doc("When the period ends; null while a server of a cluster does not know that.")]


class UserBudgetUsage(Struct):
    """Money per calendar period, by user."""

    name: Literal["user_budget"]
    setting: Literal["user-budget-usd"]
    limit: Annotated[float, Meta(ge=0, description="US dollars, as set; 0 is off.")]
    keys: Annotated[list[UserSpend], Meta(max_length=MAX_KEYS, description="Those with the least left.")]
    period: Literal["day", "week", "month"]
    timezone: Annotated[str, doc("The time zone in which periods start.")]
    refused: Refused

    @classmethod
    def of(
        cls,
        settings: LimitSettings,
        budgets: Mapping[str, LimitState],
        names: Mapping[str, str],
        now: datetime,
        refused: int,
    ) -> Self:
        """Show how much is spent, by the ids of users."""
        keys = [
            UserSpend(
                *(key, names.get(key), state.used / MICRO_DOLLARS, state.remaining / MICRO_DOLLARS),
                period_end(now, state.reset_ns),
            )
            for key, state in budgets.items()
        ]
        period, limit = word(settings.budget_period), settings.user_budget / MICRO_DOLLARS
        return cls("user_budget", "user-budget-usd", limit, keys, period, settings.budget_zone, refused)


class ActiveRequest(Struct):
    """A request that holds slots. Null if unknown or not applicable."""

    request_id: UUID
    since: Time
    user_id: UUID | None
    username: str | None
    provider: str | None
    route: str | None
    model: str | None
    interception_id: UUID | None

    @classmethod
    def of(cls, holder: Mapping[str, Any]) -> Self:
        """Show a holder as a process reports it, maybe one of another version."""
        known: dict[str, Any] = {name: holder.get(name) for name in cls.__struct_fields__}
        return cls(**known)


LimitUsages: TypeAlias = tuple[
    ConcurrencyUsage, UserConcurrencyUsage, RateUsage, UserRateUsage, UserTokensUsage, UserBudgetUsage
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
    refused_since: Annotated[Time, doc("The time since which `refused` counts: the start of the oldest process.")]
    limits: LimitUsages
    holding: Annotated[Count, doc("The number of requests that hold a slot.")]
    holders: Annotated[
        list[ActiveRequest], doc(f"Those that began first, at most {MAX_ACTIVE_REQUESTS} of each process.")
    ]


def period_end(now: datetime, reset_ns: int) -> str | None:
    """When the period of a budget ends, None if unknown. It is a whole second: two clocks do not tell it by a moment."""
    end = now + timedelta(microseconds=reset_ns // 1000 + 500_000)
    return format_time(end.replace(microsecond=0)) if reset_ns else None


def _slots(limit: int, used: int, now: datetime) -> tuple[int, int | None, str | None]:
    """Nobody knows when a request ends, so the time of the next free slot is unknown."""
    free = not limit or used < limit
    return used, max(0, limit - used) if limit else None, format_time(now) if free else None


def _rate(state: LimitState, now: datetime) -> tuple[int, int, str]:
    free_at = now + timedelta(milliseconds=-(-state.retry_after_ns // 1_000_000))
    return state.used, state.remaining, format_time(free_at)
