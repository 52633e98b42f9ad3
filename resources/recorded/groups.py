"""Groups of the statistics: what calls, refusals or sessions with something in common add up to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from msgspec import UNSET, Meta, Struct, UnsetType, field

from intercept.records import EndReason
from intercept.times import format_time
from resources.fields import Count, Time, TokenCounts, doc, micro_dollars
from resources.names import Names, SeriesGroup
from resources.recorded.parts import RecordedSince
from resources.recorded.prompt_cache import Cache
from resources.recorded.stats import FAILURES, Quantiles
from storage.aggregation.histograms import buckets
from storage.aggregation.rollup import KINDS, TOKENS
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Order, Subject
from storage.queries.filters.grouped.groups import Found

_HISTOGRAMS: Final = MappingProxyType(
    {"duration_ms": "durations", "first_byte_ms": "first_bytes", "bridge_ms": "bridges", "tokens_per_second": "speeds"}
)
Value = str | int | bool | SeriesGroup | None


class CostByKind(Struct):
    """What a cost is made of, in US dollars."""

    input_usd: float
    output_usd: Annotated[float, doc("With what the provider charges for a call, if it does.")]
    cache_read_usd: float
    cache_write_usd: float
    unknown_usd: Annotated[
        float,
        doc("Calls whose provider reports no prompt cache, or with an advisor or searches."),
    ]

    @classmethod
    def of(cls, totals: Mapping[str, Any]) -> Self:
        """Take a cost apart."""
        parts = [totals.get(name, 0) for name in KINDS]
        fresh, output, read, written = map(float, parts)
        return cls(fresh, output, read, written, float(totals.get("cost", 0) - sum(parts, Decimal())))


class GroupTotals(Struct, kw_only=True):
    """The totals of a group. Refusals have only their number; sessions lack some fields."""

    refusals: Count | UnsetType = UNSET
    sessions: Count | UnsetType = UNSET
    interceptions: Annotated[Count | UnsetType, doc("Calls that have ended.")] = UNSET
    failed: Annotated[Count | UnsetType, doc("Those that did not complete.")] = UNSET
    failures: Annotated[dict[EndReason, Count] | UnsetType, doc("The same by reason, if there were any.")] = UNSET
    tokens: Annotated[Count | UnsetType, doc("All four counts together.")] = UNSET
    token_usage: TokenCounts | UnsetType = UNSET
    cost_usd: Annotated[float | UnsetType | None, doc("The sum of all calls with a price; null if none has one.")] = (
        UNSET
    )
    cost_micro_usd: Annotated[
        Count | UnsetType | None, doc("The same in whole millionths of a US dollar, rounded half to even.")
    ] = UNSET
    cost_by_kind: CostByKind | UnsetType | None = UNSET
    cache: Cache | UnsetType = UNSET
    unpriced: Annotated[Count | UnsetType, doc("Calls that used tokens and have no price.")] = UNSET
    no_usage: Annotated[
        Count | UnsetType, doc("Calls that ended without a report of tokens, except those that cost nothing.")
    ] = UNSET
    duration_ms: Annotated[Quantiles | UnsetType | None, doc("From start to end.")] = UNSET
    first_byte_ms: Annotated[
        Quantiles | UnsetType | None, doc("From start to the first byte of the response body.")
    ] = UNSET
    bridge_ms: Annotated[
        Quantiles | UnsetType | None, doc("From start to the request to the provider: the time in the bridge.")
    ] = UNSET
    tokens_per_second: Annotated[
        Quantiles | UnsetType | None, doc("Output of whole streams, from their first byte.")
    ] = UNSET

    @classmethod
    def of(cls, subject: Subject, totals: Mapping[str, Any]) -> Self:
        """Show sums."""
        get = totals.get
        if subject is Subject.REFUSALS:
            return cls(refusals=get("refusals", 0))
        is_priced = bool(get("priced"))
        usd = Decimal(get("cost", 0))
        totals_struct = cls(
            interceptions=get("interceptions", 0),
            failed=get("failed", 0),
            tokens=sum(int(get(name, 0)) for name in TOKENS),
            token_usage=TokenCounts.of(totals),
            cost_usd=float(usd) if is_priced else None,
            cost_micro_usd=micro_dollars(usd) if is_priced else None,
            cache=Cache.of_totals(totals),
            unpriced=get("unpriced", 0),
            no_usage=get("no_usage", 0),
        )
        if subject is Subject.SESSIONS:
            totals_struct.sessions = get("sessions", 0)
            return totals_struct
        totals_struct.failures = {reason: number for name, reason in FAILURES.items() if (number := get(name))}
        totals_struct.cost_by_kind = CostByKind.of(totals) if is_priced else None
        for name, source in _HISTOGRAMS.items():
            setattr(totals_struct, name, Quantiles.of(get(source, 0)))
        return totals_struct


class GroupPoint(Struct, kw_only=True):
    """What one bucket adds up to."""

    at: Annotated[Time, doc("The start of the bucket.")]
    refusals: Count | UnsetType = UNSET
    sessions: Count | UnsetType = UNSET
    interceptions: Count | UnsetType = UNSET
    failed: Count | UnsetType = UNSET
    tokens: Count | UnsetType = UNSET
    cost_usd: float | UnsetType | None = UNSET
    cost_micro_usd: Count | UnsetType | None = UNSET

    @classmethod
    def of(cls, subject: Subject, at: datetime, totals: Mapping[str, Any]) -> Self:
        """Show the sums of a bucket."""
        totals_struct = GroupTotals.of(subject, totals)
        names = [name for name in cls.__struct_fields__ if name != "at"]
        return cls(at=format_time(at), **{name: getattr(totals_struct, name) for name in names})

    @classmethod
    def all_of(cls, subject: Subject, points: Mapping[datetime, Mapping[str, Any]]) -> list[Self]:
        """Show all buckets that have something, in order of time."""
        return [cls.of(subject, at, points[at]) for at in sorted(points)]


class HistogramBucket(Struct):
    """How many calls were in a bucket of a histogram, each bucket 10 % wider than the one before."""

    up_to: float
    calls: Count


class Histograms(Struct):
    """How calls were spread; of each the buckets that have any."""

    duration_ms: list[HistogramBucket]
    first_byte_ms: list[HistogramBucket]
    bridge_ms: list[HistogramBucket]
    tokens_per_second: list[HistogramBucket]

    @classmethod
    def of(cls, totals: Mapping[str, Any]) -> Self:
        """Show all four."""
        return cls(*([HistogramBucket(*one) for one in buckets(totals.get(name, 0))] for name in _HISTOGRAMS.values()))


class StatisticsGroup(Struct):
    """A group."""

    group: Annotated[dict[str, Value], doc("The common values, by dimension; null for none.")]
    total: GroupTotals
    previous: Annotated[GroupTotals | UnsetType, doc("With `compare`: the same for the time range before.")] = UNSET
    points: Annotated[
        list[GroupPoint] | UnsetType,
        doc("Only buckets that are not empty, in order of time. Absent if there is one bucket."),
    ] = UNSET


class GroupedStatistics(Struct, kw_only=True):
    """The request, and the groups."""

    of: Subject
    from_: Time = field(name="from")
    to: Time
    bucket: Period
    tz: str
    group_by: list[str]
    order_by: Order
    count: Annotated[Count, doc("The number of all groups.")]
    uncounted: Annotated[Count, doc("Ended calls that are not counted yet.")]
    total: Annotated[GroupTotals, doc("The totals of all matches, each counted once.")]
    previous: Annotated[GroupTotals | UnsetType, doc("With `compare`: the same for the time range before.")] = UNSET
    points: list[GroupPoint] | UnsetType = UNSET
    histograms: Annotated[Histograms | UnsetType, doc("Of all calls.")] = UNSET
    recorded_since: RecordedSince = UNSET
    groups: list[StatisticsGroup]


class ReadingProgress(Struct):
    """How far a response is that is read from records."""

    read: Annotated[Count, doc("Calls that were read so far; a call counts each time it is read.")]
    of: Annotated[Count, doc("About how many are read in total.")]
    seconds_left: Annotated[float, Meta(description="The estimated remaining seconds.", ge=0)]

    @classmethod
    def of_records(cls, read: int, of: int, seconds: float, usual: int) -> Self:
        """Work out how long the rest takes, at `usual` calls a second in the beginning."""
        speed = read / seconds if read and seconds > 0 else usual
        return cls(read, of, round(max(of - read, 0) / speed, 1))


def show_group(subject: Subject, by: tuple[By, ...], found: Found, names: Names, period: Period) -> StatisticsGroup:
    """Show a group."""
    return StatisticsGroup(
        {str(one): names.show(one.dimension, value) for one, value in zip(by, found.key, strict=True)},
        GroupTotals.of(subject, found.total),
        UNSET if found.previous is None else GroupTotals.of(subject, found.previous),
        UNSET if period is Period.ALL else GroupPoint.all_of(subject, found.points),
    )
