"""Anthropic's reports: tokens and costs by day, model and tier.

Sources: Claude API reference, "Usage and Cost Analytics API" (`/v1/organizations/analytics/usage` and `/cost`, beta
`analytics-usage-cost-2026-08-24`); where an organization or a key has not got that, "Usage and Cost API"
(`/v1/organizations/usage_report/messages` and `/cost_report`). An admin key reads them. Amounts are cents.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar

from msgspec import Struct, field

from upstream.headers import Headers
from upstream.reports.pages import NotServedError, ReportPages
from upstream.reports.reported import NO_MODEL, STANDARD, Reported, ReportError, Tokens

BETA: Final = "analytics-usage-cost-2026-08-24"
MAX_DAYS: Final = 31
"""The days that one request may be about."""

_CENTS: Final = 100

T = TypeVar("T")


def headers_of(key: str) -> Headers:
    """The headers of a request for reports."""
    return [("x-api-key", key), ("anthropic-version", "2023-06-01"), ("anthropic-beta", BETA)]


class CacheCreation(Struct):
    """Tokens written to caches, by their lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class Usage(Struct):
    """Disjoint counts of tokens."""

    uncached_input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)

    @property
    def tokens(self) -> Tokens:
        """As records count them."""
        written = self.cache_creation.ephemeral_5m_input_tokens + self.cache_creation.ephemeral_1h_input_tokens
        return Tokens(self.uncached_input_tokens, self.output_tokens, self.cache_read_input_tokens, written)


class Cost(Struct):
    """Money, in cents: what is billed, and what it is at list prices."""

    amount: Decimal = Decimal(0)
    currency: str = "USD"
    list_amount: Decimal | None = None


class Group(Struct):
    """What a row is about."""

    model: str | None = None
    service_tier: str | None = None


class Row(Struct):
    """A row of either report: of a day, a model and a tier."""

    starting_at: datetime
    group: Group = field(default_factory=Group)
    usage: Usage | None = None
    cost: Cost | None = None


class OlderUsage(Usage):
    """Usage of a model and tier in a day."""

    model: str | None = None
    service_tier: str | None = None


class OlderCost(Cost):
    """Costs of a model and tier in a day, or of something else, which `cost_type` names."""

    model: str | None = None
    service_tier: str | None = None
    cost_type: str | None = None


class OlderBucket(Struct, Generic[T]):
    """The usage, or the costs, of a day."""

    starting_at: datetime
    results: list[T]


async def read_anthropic(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    """Read what is reported of the days in [start, end), or raise `ReportError`."""
    found: list[Reported] = []
    at, read = start, _read
    while at < end:
        until = min(at + timedelta(days=MAX_DAYS), end)
        try:
            found += await read(pages, at, until)
        except NotServedError:
            if read is not _read:
                raise
            read = _read_older
            continue
        at = until
    return found


async def _read(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    query = [*_span(start, end), ("time_bucket_width", "1d"), ("order_by", "time"), ("order", "asc"), ("limit", "1000")]
    query += [("group_by[]", "model"), ("group_by[]", "service_tier")]
    rows = [
        *await pages.read("v1/organizations/analytics/usage", query, Row),
        *await pages.read("v1/organizations/analytics/cost", query, Row),
    ]
    return [_reported(row.starting_at, row.group.model, row.group.service_tier, row.usage, row.cost) for row in rows]


async def _read_older(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    query = [*_span(start, end), ("bucket_width", "1d"), ("limit", str(MAX_DAYS))]
    by_model = [*query, ("group_by[]", "model"), ("group_by[]", "service_tier")]
    usage = await pages.read("v1/organizations/usage_report/messages", by_model, OlderBucket[OlderUsage])
    by_line = [*query, ("group_by[]", "description")]
    costs = await pages.read("v1/organizations/cost_report", by_line, OlderBucket[OlderCost])
    return [
        *(_reported(day.starting_at, one.model, one.service_tier, one, None) for day in usage for one in day.results),
        *(
            _reported(day.starting_at, one.model or one.cost_type, one.service_tier, None, one)
            for day in costs
            for one in day.results
        ),
    ]


def _span(start: datetime, end: datetime) -> list[tuple[str, str]]:
    return [(name, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in (("starting_at", start), ("ending_at", end))]


def _reported(at: datetime, model: str | None, tier: str | None, usage: Usage | None, cost: Cost | None) -> Reported:
    if cost is not None and cost.currency.upper() != "USD":
        raise ReportError(f"costs are reported in {cost.currency[:9]!r}; only US dollars are compared")
    return Reported(
        (at if at.tzinfo is None else at.astimezone(UTC)).date(),
        model or NO_MODEL,
        None if usage is None else usage.tokens,
        None if cost is None else cost.amount / _CENTS,
        None if cost is None or cost.list_amount is None else cost.list_amount / _CENTS,
        STANDARD if tier in {None, "standard"} else str(tier),
    )
