"""The limits of a request: by the settings, its user and its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from msgspec import Struct

from intercept.refusals import Rule
from limits.calendar import nanoseconds
from limits.limit import BudgetPeriod, Limit, LimitKind, LimitState, Of
from limits.policies.effective import Effective


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What is set for every request. 0 is off.

    Attributes:
        max_concurrency: Requests under way at the same time.
        user_max_concurrency: The same of one user.
        rate_limit: Requests that a token, or an address without a valid one, may start in `rate_window`.
        user_rate_limit: Requests that a user may start in `rate_window`, with all tokens.
        rate_window: Any window of this length.
        user_token_limit: Tokens that a user may use in `token_window`.
        token_window: Any window of this length.
        count_cache_reads: Whether tokens read from a cache count.
        user_budget: Micro-dollars that a user's calls may cost in a `budget_period`.
        budget_period: Which period.
        budget_zone: The IANA time zone in which it begins.
        reserve: Whether tokens and budgets hold back what a request may use itself.
    """

    max_concurrency: int = 0
    user_max_concurrency: int = 0
    rate_limit: int = 0
    user_rate_limit: int = 0
    rate_window: timedelta = timedelta(seconds=1)
    user_token_limit: int = 0
    token_window: timedelta = timedelta(minutes=1)
    count_cache_reads: bool = False
    user_budget: int = 0
    budget_period: BudgetPeriod = BudgetPeriod.MONTH
    budget_zone: str = "UTC"
    reserve: bool = False


class Usage(NamedTuple):
    """How much of the limits is used: slots of the server; the states of the others, by token, address or user."""

    slots: int
    users: Mapping[str, LimitState]
    rates: Mapping[str, LimitState]
    user_rates: Mapping[str, LimitState]
    user_tokens: Mapping[str, LimitState]
    user_budgets: Mapping[str, LimitState]


class Client(Struct, frozen=True):
    """Whose request it is.

    Attributes:
        key: The public part of its token; without a valid one, the client's address.
        user: The user's id; None without a valid token.
        pays: Whether it pays the provider itself, with a key of its own.
        policy: What policies say of it; None if they say nothing.
        is_free: Whether its request uses nothing, as it only counts or cancels: no tokens or budget that are used up refuse it.
    """

    key: str
    user: str | None = None
    pays: bool = False
    policy: Effective | None = None
    is_free: bool = False


class RequestLimits:
    """Makes the list of limits for each step of a request's admission. No limit is in two of them."""

    def __init__(self, settings: LimitSettings) -> None:
        self.settings = settings
        maximum = settings.max_concurrency
        self._of_server = (
            (Limit(LimitKind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", maximum),) if maximum else ()
        )
        self._rate_window_ns = nanoseconds(settings.rate_window)
        self._token_window_ns = nanoseconds(settings.token_window)

    def of_server(self) -> tuple[Limit, ...]:
        """The limits that hold for every request, before it is known whose it is."""
        return self._of_server

    def of_client(self, client: Client) -> list[Limit]:
        """The limits of a client, before the body is read."""
        settings, limits = self.settings, []
        user = None if client.user is None else f"user:{client.user}"
        if user is not None and settings.user_max_concurrency:
            maximum = settings.user_max_concurrency
            limits.append(Limit(LimitKind.CONCURRENCY, Rule.USER_CONCURRENCY, Of.USER, user, maximum))
        if settings.rate_limit:
            of, key = (Of.ADDRESS, f"address:{client.key}") if user is None else (Of.TOKEN, f"token:{client.key}")
            limits.append(Limit(LimitKind.RATE, Rule.RATE, of, key, settings.rate_limit, self._rate_window_ns))
        if user is not None and settings.user_rate_limit:
            maximum = settings.user_rate_limit
            limits.append(Limit(LimitKind.RATE, Rule.USER_RATE, Of.USER, user, maximum, self._rate_window_ns))
        if user is not None and not settings.reserve:
            limits += self._of_usage(user, client)
        if client.policy is not None:
            limits += client.policy.before_body(pays=client.pays)
        return limits

    def of_call(self, client: Client) -> list[Limit]:
        """The limits that need the body: those that reserve what the request may use."""
        if client.user is None:
            return []
        limits = self._of_usage(f"user:{client.user}", client) if self.settings.reserve else []
        if client.policy is not None:
            limits += client.policy.after_body(pays=client.pays)
        return limits

    def budgets_of(self, client: Client) -> list[Limit]:
        """The budgets of a client."""
        return [limit for limit in self._of_usage(f"user:{client.user}", client) if limit.kind is LimitKind.BUDGET]

    def _of_usage(self, user: str, client: Client) -> list[Limit]:
        settings, limits = self.settings, []
        if settings.user_token_limit:
            limits.append(
                Limit(
                    *(LimitKind.TOKENS, Rule.USER_TOKENS, Of.USER, user, settings.user_token_limit),
                    window_ns=self._token_window_ns,
                    reserve=settings.reserve,
                )
            )
        if settings.user_budget and not client.pays:
            limits.append(
                Limit(
                    *(LimitKind.BUDGET, Rule.USER_BUDGET, Of.USER, user, settings.user_budget),
                    period=settings.budget_period,
                    zone=settings.budget_zone,
                    reserve=settings.reserve,
                )
            )
        return limits
