"""Anthropic's reports: tokens and costs by day, model and tier.

Source: Claude API reference, "Usage and Cost API" (`/v1/organizations/usage_report/messages` and `/cost_report`). An admin
key reads them. Amounts are cents.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar

from msgspec import Struct, field

from upstream.headers import Headers
from upstream.reports.pages import ReportPages
from upstream.reports.reported import NO_MODEL, STANDARD, Reported, ReportedTokens, ReportError

MAX_DAYS: Final = 31
"""The days that one request may be about."""

_CENTS: Final = 100

T = TypeVar("T")


def headers_of(key: str) -> Headers:
    """The headers of a request for reports."""
    return [("x-api-key", key), ("anthropic-version", "2023-06-01")]


class CacheCreation(Struct):
    """Tokens written to caches, by their lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class MessagesUsage(Struct):
    """Disjoint counts of tokens of a model and tier in a day."""

    model: str | None = None
    service_tier: str | None = None
    uncached_input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)


class DescribedCost(Struct):
    """Costs of a model and tier in a day, in cents, or of something else, which `cost_type` names."""

    model: str | None = None
    service_tier: str | None = None
    cost_type: str | None = None
    amount: Decimal = Decimal(0)
    currency: str = "USD"


class DayOfResults(Struct, Generic[T]):
    """The usage, or the costs, of a day."""

    starting_at: datetime
    results: list[T]


async def read_anthropic(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    """Read what is reported of the days in [start, end), or raise `ReportError`."""
    found: list[Reported] = []
    while start < end:
        until = min(start + timedelta(days=MAX_DAYS), end)
        span = [(name, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in (("starting_at", start), ("ending_at", until))]
        query = [*span, ("bucket_width", "1d"), ("limit", str(MAX_DAYS))]
        by_model = [*query, ("group_by[]", "model"), ("group_by[]", "service_tier")]
        usage = await pages.read("v1/organizations/usage_report/messages", by_model, DayOfResults[MessagesUsage])
        by_line = [*query, ("group_by[]", "description")]
        costs = await pages.read("v1/organizations/cost_report", by_line, DayOfResults[DescribedCost])
        found += [_used(day.starting_at, one) for day in usage for one in day.results]
        found += [_charged(day.starting_at, one) for day in costs for one in day.results]
        start = until
    return found


def _used(at: datetime, usage: MessagesUsage) -> Reported:
    written = usage.cache_creation.ephemeral_5m_input_tokens + usage.cache_creation.ephemeral_1h_input_tokens
    tokens = ReportedTokens(usage.uncached_input_tokens, usage.output_tokens, usage.cache_read_input_tokens, written)
    return Reported(_day(at), usage.model or NO_MODEL, tokens, tier=_tier(usage.service_tier))


def _charged(at: datetime, cost: DescribedCost) -> Reported:
    if cost.currency.upper() != "USD":
        raise ReportError(f"costs are reported in {cost.currency[:9]!r}; only US dollars are compared")
    model = cost.model or cost.cost_type or NO_MODEL
    return Reported(_day(at), model, usd=cost.amount / _CENTS, tier=_tier(cost.service_tier))


def _day(at: datetime) -> date:
    return (at if at.tzinfo is None else at.astimezone(UTC)).date()


def _tier(tier: str | None) -> str:
    return STANDARD if tier in {None, "standard"} else str(tier)
