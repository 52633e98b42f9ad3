"""OpenAI's reports: usage of completions and embeddings by model, and costs by line item, by days in UTC.

Source: OpenAI API reference, "Usage" (`/v1/organization/usage/completions`, `/embeddings`) and "Costs"
(`/v1/organization/costs`). An admin key reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, Generic, TypeVar

from msgspec import Struct, field

from upstream.reports.pages import Query, ReportPages
from upstream.reports.reported import NO_MODEL, STANDARD, Reported, ReportedTokens, ReportError

_DEFAULT_TIERS: Final = frozenset({"", "default", "standard", "auto"})

T = TypeVar("T")


class UsageResult(Struct):
    """Usage of a day, model and tier. The input includes what was read from caches and written to them."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None


class Amount(Struct):
    """Money."""

    value: Decimal = Decimal(0)
    currency: str = "usd"


class CostResult(Struct):
    """Costs of a day and line item, which is the name of a model and what of it, as `gpt-5.5, input`."""

    amount: Amount = field(default_factory=Amount)
    line_item: str | None = None


class DailyBucket(Struct, Generic[T]):
    """The usage, or the costs, of a day."""

    start_time: int
    results: list[T]


async def read_openai(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    """Read what is reported of the days in [start, end), or raise `ReportError`."""
    span = [("start_time", f"{start.timestamp():.0f}"), ("end_time", f"{end.timestamp():.0f}"), ("bucket_width", "1d")]
    tiers = [("group_by[]", "model"), ("group_by[]", "batch"), ("group_by[]", "service_tier")]
    usage: list[tuple[str, Query]] = [("completions", tiers), ("embeddings", [("group_by[]", "model")])]
    found: list[Reported] = []
    for what, group_by in usage:
        query = [*span, ("limit", "31"), *group_by]
        found += _of_usage(await pages.read(f"v1/organization/usage/{what}", query, DailyBucket[UsageResult]))
    query = [*span, ("limit", "180"), ("group_by[]", "line_item")]
    return [*found, *_of_costs(await pages.read("v1/organization/costs", query, DailyBucket[CostResult]))]


def _of_usage(buckets: list[DailyBucket[UsageResult]]) -> Iterator[Reported]:
    for bucket in buckets:
        for one in bucket.results:
            read, written = one.input_cached_tokens or 0, one.input_cache_write_tokens or 0
            tokens = ReportedTokens(one.input_tokens - read - written, one.output_tokens, read, written)
            tier = one.service_tier or STANDARD
            tier = "batch" if one.batch else STANDARD if tier in _DEFAULT_TIERS else tier
            yield Reported(_day(bucket.start_time), one.model or NO_MODEL, tokens, tier=tier)


def _of_costs(buckets: list[DailyBucket[CostResult]]) -> Iterator[Reported]:
    for bucket in buckets:
        for one in bucket.results:
            if one.amount.currency.lower() != "usd":
                raise ReportError(f"costs are reported in {one.amount.currency[:9]!r}; only US dollars are compared")
            item = (one.line_item or NO_MODEL).partition(",")[0].strip()
            yield Reported(_day(bucket.start_time), item, usd=one.amount.value)


def _day(seconds: int) -> date:
    try:
        return datetime.fromtimestamp(seconds, UTC).date()
    except (OverflowError, ValueError, OSError):
        raise ReportError(f"a report has a day that there is not: {seconds}") from None
