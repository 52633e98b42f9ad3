"""Statistics: what calls, refusals or sessions add up to, in groups of what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from intercept.records import EndReason
from intercept.times import format_time
from resources.fields import Count, Names, SeriesGroup, Time, TokenCounts, doc, micro_dollars
from resources.recorded.export_formats import flat, write_csv
from resources.recorded.interceptions import RecordedSince
from resources.recorded.prompt_cache import Cache
from storage.derived.histograms import buckets, quantiles
from storage.derived.rollup import KINDS, TOKENS
from storage.queries.questions.calendar import Period, starts
from storage.queries.questions.groups import Answer, AnswerGroup
from storage.queries.questions.question import Counted, Order, Question, has_many

Milliseconds = Annotated[float, Meta(ge=0)]
FAILURES: Final = {f"ends.{reason}": reason for reason in EndReason if reason is not EndReason.COMPLETED}
_HISTOGRAMS: Final = {
    "duration_ms": "durations",
    "first_byte_ms": "first_bytes",
    "bridge_ms": "bridges",
    "tokens_per_second": "speeds",
}
Value = str | int | bool | SeriesGroup | None


class Quantiles(Struct):
    """Half of all calls took at most `p50`, 95 of a hundred `p95`, 99 of a hundred `p99`; within 5 %."""

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds

    @classmethod
    def of(cls, histogram: int) -> Self | None:
        """Read them from a histogram; None where no call is in it."""
        found = quantiles(histogram, (0.5, 0.95, 0.99))
        return None if found is None else cls(*found)


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
    priced_as_usd: Annotated[
        float | UnsetType, doc("With `priced_as`: what the tokens cost at the prices of that model.")
    ] = UNSET
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
    def of(cls, subject: Counted, totals: Mapping[str, Any], **further: Any) -> Self:
        """Show sums."""
        get = totals.get
        if subject is Counted.REFUSALS:
            return cls(refusals=get("refusals", 0), **further)
        is_priced = bool(get("priced"))
        usd = Decimal(get("cost", 0))
        totals_struct = cls(
            **further,
            interceptions=get("interceptions", 0),
            failed=get("failed", 0),
            tokens=sum(int(get(name, 0)) for name in TOKENS),
            token_usage=TokenCounts.of(totals),
            cost_usd=float(usd) if is_priced else None,
            cost_micro_usd=micro_dollars(usd) if is_priced else None,
            cache=Cache.of(totals),
            unpriced=get("unpriced", 0),
            no_usage=get("no_usage", 0),
        )
        if subject is Counted.SESSIONS:
            totals_struct.sessions = get("sessions", 0)
            return totals_struct
        totals_struct.failures = {reason: number for name, reason in FAILURES.items() if (number := get(name))}
        totals_struct.cost_by_kind = CostByKind.of(totals) if is_priced else None
        for name, source in _HISTOGRAMS.items():
            setattr(totals_struct, name, Quantiles.of(get(source, 0)))
        return totals_struct

    def price_as(self, rates: Mapping[str, Decimal]) -> None:
        """Price the tokens at other rates, in US dollars a token, by the names of their counts."""
        if self.token_usage is not UNSET:
            counts = structs.asdict(self.token_usage)
            self.priced_as_usd = float(sum(number * rates[name] for name, number in counts.items()))


class GroupPoint(GroupTotals, kw_only=True):
    """The totals of one bucket."""

    at: Annotated[Time, doc("The start of the bucket.")]

    @classmethod
    def all_of(
        cls, of: Counted, period: Period, points: Mapping[datetime, Mapping[str, Any]]
    ) -> list[Self] | UnsetType:
        """Show all buckets that have something, in order of time; nothing where there is one bucket."""
        if period is Period.ALL:
            return UNSET
        return [cls.of(of, points[at], at=format_time(at)) for at in sorted(points)]


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


_NAMED: Final = {"user": ("id", "name", "username"), "group": ("id", "name"), "token": ("id", "name", "username")}
"""The dimensions whose values have names, and the columns of each."""
_BUCKETS = doc("When each bucket begins. Absent if there is one.")
_POINTS = doc("Only buckets that are not empty, in order of time. Absent if there is one bucket.")


class StatisticsGroup(Struct):
    """A group."""

    group: Annotated[dict[str, Value], doc("The common values, by dimension; null for none.")]
    total: GroupTotals
    previous: Annotated[GroupTotals | UnsetType, doc("With `compare`: the same for the time range before.")] = UNSET
    points: Annotated[list[GroupPoint] | UnsetType, _POINTS] = UNSET

    @classmethod
    def of(cls, question: Question, group: AnswerGroup, names: Names) -> Self:
        """Show a group."""
        of, period = question.of, question.period
        return cls(
            {str(one): names.show(one.dimension, value) for one, value in zip(question.by, group.key, strict=True)},
            GroupTotals.of(of, group.total),
            UNSET if group.previous is None else GroupTotals.of(of, group.previous),
            GroupPoint.all_of(of, period, group.points),
        )

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield its rows of CSV by column: one for each of its points, or that of its total."""
        named: dict[str, object] = {}
        for name, value in self.group.items():
            if name in _NAMED:
                named |= {f"{name}.{part}": getattr(value, part, None) or None for part in _NAMED[name]}
            else:
                named[name] = value
        if self.points is not UNSET:
            for point in self.points:
                yield named | dict(flat(GroupPoint, point))
            return
        row = named | dict(flat(GroupTotals, self.total))
        if self.previous:
            row |= {f"previous.{name}": cell for name, cell in flat(GroupTotals, self.previous)}
        yield row


class OtherGroups(Struct):
    """What is in none of the groups."""

    total: GroupTotals
    points: Annotated[list[GroupPoint] | UnsetType, _POINTS] = UNSET

    @classmethod
    def of(cls, question: Question, answer: Answer) -> Self | UnsetType:
        """Show it; nothing where all is in a group, or something may be in several."""
        if not question.by or any(has_many(question.of, one) for one in question.by):
            return UNSET
        others = answer.others
        if not any(others.total.values()):
            return UNSET
        points = GroupPoint.all_of(question.of, question.period, others.points)
        return cls(GroupTotals.of(question.of, others.total), points)


class TimeBefore(Struct):
    """The time range before, as a whole."""

    from_: Time = field(name="from")
    to: Time
    total: GroupTotals
    buckets: Annotated[list[Time] | UnsetType, _BUCKETS] = UNSET
    points: Annotated[list[GroupPoint] | UnsetType, _POINTS] = UNSET

    @classmethod
    def of(cls, question: Question, total: AnswerGroup) -> Self | UnsetType:
        """Show it; nothing where it is not asked for."""
        if total.previous is None:
            return UNSET
        return cls(
            format_time(question.previous.start),
            format_time(question.previous.end),
            GroupTotals.of(question.of, total.previous),
            _buckets(question.previous),
            GroupPoint.all_of(question.of, question.period, total.points_before),
        )


class Statistics(Struct, kw_only=True):
    """The request, and what it adds up to."""

    of: Counted
    from_: Time = field(name="from")
    to: Time
    bucket: Period
    tz: str
    group_by: list[str]
    order_by: Order
    count: Annotated[Count, doc("The number of all groups.")]
    counted_until: Annotated[
        Time | None,
        doc(
            "Calls that ended before are in the figures; null where these are read from records, or counted again just now."
        ),
    ]
    total: Annotated[GroupTotals, doc("The totals of all matches, each counted once.")]
    buckets: Annotated[list[Time] | UnsetType, _BUCKETS] = UNSET
    points: Annotated[list[GroupPoint] | UnsetType, _POINTS] = UNSET
    previous: Annotated[TimeBefore | UnsetType, doc("With `compare`.")] = UNSET
    histograms: Annotated[Histograms | UnsetType, doc("Of all calls.")] = UNSET
    recorded_since: RecordedSince = UNSET
    groups: list[StatisticsGroup]
    other: Annotated[
        OtherGroups | UnsetType, doc("Absent if all is in a group, or one call, refusal or session may be in several.")
    ] = UNSET

    @classmethod
    def of_answer(
        cls,
        question: Question,
        tz: str,
        answer: Answer,
        names: Names,
        rates: Mapping[str, Decimal] | None = None,
    ) -> Self:
        """Show an answer, whose zone was given by this name; `rates` are other prices of tokens, by their counts' names."""
        total = answer.total
        shown = cls(
            of=question.of,
            from_=format_time(question.start),
            to=format_time(question.end),
            bucket=question.period,
            tz=tz,
            group_by=list(map(str, question.by)),
            order_by=question.order,
            count=answer.count,
            counted_until=None if answer.counted_until is None else format_time(answer.counted_until),
            total=GroupTotals.of(question.of, total.total),
            buckets=_buckets(question),
            points=GroupPoint.all_of(question.of, question.period, total.points),
            previous=TimeBefore.of(question, total),
            histograms=Histograms.of(total.total) if question.of is Counted.CALLS else UNSET,
            recorded_since=UNSET if answer.recorded_since is None else format_time(answer.recorded_since),
            groups=[StatisticsGroup.of(question, group, names) for group in answer.groups],
            other=OtherGroups.of(question, answer),
        )
        if rates is not None:
            for one in (shown, shown.other, *shown.groups):
                if one is not UNSET:
                    one.total.price_as(rates)
        return shown

    def csv(self) -> bytes:
        """Write the groups as CSV (RFC 4180), in which no text is taken for a formula.

        With several buckets a row is of a group and a bucket. Without dimensions all is one group. With `compare` and one
        bucket there are columns of the time range before too.
        """
        before = self.previous.total if self.previous else UNSET
        groups = self.groups if self.group_by else [StatisticsGroup({}, self.total, before, self.points)]
        nothing = StatisticsGroup(dict.fromkeys(self.group_by), GroupTotals.of(self.of, {}))
        if self.previous:
            nothing.previous = nothing.total
        if self.points is not UNSET:
            nothing.points = [GroupPoint.of(self.of, {}, at="")]
        (head,) = map(list, nothing.rows())
        return write_csv([head, *([row.get(name) for name in head] for group in groups for row in group.rows())])


def _buckets(question: Question) -> list[str] | UnsetType:
    """When each bucket begins; nothing where there is one."""
    if question.period is Period.ALL:
        return UNSET
    return [format_time(at) for at in starts(question.period, question.start, question.end, question.zone)]
