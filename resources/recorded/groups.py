"""Groups of the statistics: what calls, refusals or sessions with something in common add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from intercept.ids import format_id
from intercept.records import EndReason
from intercept.times import format_time
from resources.fields import Count, Time, TokenCounts, micro_dollars
from resources.recorded.prompt_cache import Cache
from resources.recorded.stats import Quantiles, SeriesGroup
from storage.accounts.users import Group as UserGroup
from storage.accounts.users import Token, User
from storage.aggregation.histograms import buckets
from storage.aggregation.rollup import KINDS, TOKENS
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Order, Subject
from storage.queries.filters.grouped.groups import Found

_FAILURES: Final = {f"ends.{reason}": reason for reason in EndReason if reason is not EndReason.COMPLETED}
_HISTOGRAMS: Final = MappingProxyType(
    {"duration_ms": "durations", "first_byte_ms": "first_bytes", "bridge_ms": "bridges", "tokens_per_second": "speeds"}
)
Value = str | int | bool | SeriesGroup | None


class CostByKind(Struct):
    """What a cost is made of, in US dollars."""

    input_usd: float
    output_usd: Annotated[float, Meta(description="With what a provider takes for a call, if it does.")]
    cache_read_usd: float
    cache_write_usd: float
    unknown_usd: Annotated[
        float,
        Meta(
            description="Of calls whose provider says nothing of a prompt cache, or that were counted by an earlier version."
        ),
    ]

    @classmethod
    def of(cls, totals: Mapping[str, Any]) -> Self:
        """Take a cost apart."""
        parts = [totals.get(name, 0) for name in KINDS]
        fresh, output, read, written = map(float, parts)
        return cls(fresh, output, read, written, float(totals.get("cost", 0) - sum(parts, Decimal())))


class GroupTotals(Struct, kw_only=True):
    """What a group adds up to. Of refusals there is their number alone; what is not of a session's is absent there."""

    refusals: Count | UnsetType = UNSET
    sessions: Count | UnsetType = UNSET
    interceptions: Annotated[Count | UnsetType, Meta(description="Calls that have ended.")] = UNSET
    failed: Annotated[Count | UnsetType, Meta(description="Those of them that were not completed.")] = UNSET
    failures: Annotated[
        dict[EndReason, Count] | UnsetType, Meta(description="The same by reason, where there were any.")
    ] = UNSET
    tokens: Annotated[Count | UnsetType, Meta(description="All four counts together.")] = UNSET
    token_usage: TokenCounts | UnsetType = UNSET
    cost_usd: Annotated[
        float | UnsetType | None, Meta(description="The sum of what has a price; null where nothing has.")
    ] = UNSET
    cost_micro_usd: Annotated[
        Count | UnsetType | None,
        Meta(description="The same in whole millionths of a US dollar, rounded half to even."),
    ] = UNSET
    cost_by_kind: CostByKind | UnsetType | None = UNSET
    cache: Cache | UnsetType = UNSET
    unpriced: Annotated[Count | UnsetType, Meta(description="Calls that used tokens and have no price.")] = UNSET
    no_usage: Annotated[
        Count | UnsetType,
        Meta(description="Calls that ended without a report of tokens, but for those that cost nothing."),
    ] = UNSET
    duration_ms: Annotated[Quantiles | UnsetType | None, Meta(description="From start to end.")] = UNSET
    first_byte_ms: Annotated[
        Quantiles | UnsetType | None, Meta(description="From start to the first byte of the response body.")
    ] = UNSET
    bridge_ms: Annotated[
        Quantiles | UnsetType | None, Meta(description="From start until the provider was asked: the bridge's share.")
    ] = UNSET
    tokens_per_second: Annotated[
        Quantiles | UnsetType | None, Meta(description="Output of whole streams from their first byte on.")
    ] = UNSET

    @classmethod
    def of(cls, subject: Subject, totals: Mapping[str, Any]) -> Self:
        """Show sums."""
        get = totals.get
        if subject is Subject.REFUSALS:
            return cls(refusals=get("refusals", 0))
        is_priced = bool(get("priced"))
        usd = Decimal(get("cost", 0))
        shown = cls(
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
            shown.sessions = get("sessions", 0)
            return shown
        shown.failures = {reason: number for name, reason in _FAILURES.items() if (number := get(name))}
        shown.cost_by_kind = CostByKind.of(totals) if is_priced else None
        for name, source in _HISTOGRAMS.items():
            setattr(shown, name, Quantiles.of(get(source, 0)))
        return shown


class GroupPoint(Struct, kw_only=True):
    """What one bucket adds up to."""

    at: Annotated[Time, Meta(description="The start of the bucket.")]
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
        shown = GroupTotals.of(subject, totals)
        names = [name for name in cls.__struct_fields__ if name != "at"]
        return cls(at=format_time(at), **{name: getattr(shown, name) for name in names})

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


@dataclasses.dataclass(frozen=True)
class GroupNames:
    """What is known of those who are named: users and groups of users by id, tokens by the public part."""

    users: Mapping[UUID, User] = dataclasses.field(default_factory=dict)
    groups: Mapping[UUID, UserGroup] = dataclasses.field(default_factory=dict)
    tokens: Mapping[str, Token] = dataclasses.field(default_factory=dict)

    def show(self, by: By, value: Any) -> Value:
        """Show what a group has in common."""
        match by.dimension:
            case Dimension.USER if value is not None:
                user = self.users.get(value)
                return SeriesGroup(format_id(value), user.display_name if user else "", user.username if user else "")
            case Dimension.GROUP:
                known = self.groups.get(value)
                return SeriesGroup(None if value is None else format_id(value), known.name if known else "")
            case Dimension.TOKEN if value is not None:
                token = self.tokens.get(value)
                user = self.users.get(token.user_id) if token else None
                return SeriesGroup(value, token.name if token else "", user.username if user else "")
        shown: Value = format_id(value) if isinstance(value, UUID) else value
        return shown


class StatisticsGroup(Struct):
    """A group."""

    group: Annotated[
        dict[str, Value],
        Meta(description="What it has in common, by the name of the dimension; null where it is nothing."),
    ]
    total: GroupTotals
    previous: Annotated[GroupTotals | UnsetType, Meta(description="With `compare`: of the time range before.")] = UNSET
    points: Annotated[
        list[GroupPoint] | UnsetType,
        Meta(description="Only buckets with something in them, in order of time. Absent where there is one bucket."),
    ] = UNSET


class GroupedStatistics(Struct, kw_only=True):
    """What was asked for, and the groups."""

    of: Subject
    from_: Time = field(name="from")
    to: Time
    bucket: Period
    tz: str
    group_by: list[str]
    order_by: Order
    count: Annotated[Count, Meta(description="How many groups there are in all.")]
    uncounted: Annotated[Count, Meta(description="Calls that have ended and are in no figure yet.")]
    total: Annotated[GroupTotals, Meta(description="Of everything that matches, each once, in whatever groups it is.")]
    previous: Annotated[GroupTotals | UnsetType, Meta(description="With `compare`: of the time range before.")] = UNSET
    points: list[GroupPoint] | UnsetType = UNSET
    histograms: Annotated[Histograms | UnsetType, Meta(description="Of all calls.")] = UNSET
    recorded_since: Annotated[
        Time | UnsetType,
        Meta(description="These figures need records, and those of calls before this time were removed."),
    ] = UNSET
    groups: list[StatisticsGroup]


class ReadingProgress(Struct):
    """How far an answer is that is read from records."""

    read: Annotated[Count, Meta(description="Calls that were read, each as often as it is read for the answer.")]
    of: Annotated[Count, Meta(description="How many are read in all, about.")]
    seconds_left: Annotated[float, Meta(description="About how long the rest will take.", ge=0)]

    @classmethod
    def of_records(cls, read: int, of: int, seconds: float, usual: int) -> Self:
        """Work out how long the rest takes.

        Args:
            read: Calls that were read.
            of: Those that are to be read in all.
            seconds: How long that took.
            usual: How many a second are read as a rule, for the beginning.
        """
        speed = read / seconds if read and seconds > 0 else usual
        return cls(read, of, round(max(of - read, 0) / speed, 1))


def show_group(
    subject: Subject, by: tuple[By, ...], found: Found, names: GroupNames, period: Period
) -> StatisticsGroup:
    """Show a group."""
    return StatisticsGroup(
        {str(one): names.show(one, value) for one, value in zip(by, found.key, strict=True)},
        GroupTotals.of(subject, found.total),
        UNSET if found.previous is None else GroupTotals.of(subject, found.previous),
        UNSET if period is Period.ALL else GroupPoint.all_of(subject, found.points),
    )
