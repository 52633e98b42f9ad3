"""Statistics: what calls add up to over time. Made of rollups, see `storage.aggregation.rollup`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from intercept.records import EndReason
from intercept.refusals import Rule
from intercept.times import format_time
from resources.fields import Count, Initiator, Time, TokenCounts, doc, micro_dollars
from resources.names import SeriesGroup
from resources.recorded.parts import RecordedSince
from storage.accounts.users import User
from storage.aggregation.histograms import quantiles
from storage.aggregation.rollup import MAX_GROUPS, Bucket, GroupBy

Milliseconds = Annotated[float, Meta(ge=0)]
FAILURES = {f"ends.{reason}": reason for reason in EndReason if reason is not EndReason.COMPLETED}


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


class Totals(Struct, kw_only=True):
    """What calls add up to."""

    interceptions: Count
    completed: Count
    failures: Annotated[dict[EndReason, Count], doc("By reason, if there were any.")]
    token_usage: TokenCounts
    cost_usd: Annotated[float | None, doc("The sum of all calls with a price; null if none has one.")]
    cost_micro_usd: Annotated[Count | None, doc("The same in whole millionths of a US dollar, rounded half to even.")]
    unpriced: Annotated[Count, doc("Calls that used tokens and have no price.")]
    no_usage: Annotated[Count, doc("Calls that ended without a report of tokens, except those that cost nothing.")]
    duration_ms: Annotated[Quantiles | None, doc("From start to end.")]
    first_byte_ms: Annotated[Quantiles | None, doc("From start to the first byte of the response body.")]

    @classmethod
    def of(cls, figures: Mapping[str, Any], **further: Any) -> Self:
        """Show the figures of a cell, or of several that were added."""
        get = figures.get
        return cls(
            **further,
            interceptions=get("interceptions", 0),
            completed=get("completed", 0),
            failures={reason: number for name, reason in FAILURES.items() if (number := get(name))},
            token_usage=TokenCounts.of(figures),
            cost_usd=float(get("cost", 0)) if get("priced") else None,
            cost_micro_usd=micro_dollars(get("cost", 0)) if get("priced") else None,
            unpriced=get("unpriced", 0),
            no_usage=get("no_usage", 0),
            duration_ms=Quantiles.of(get("durations", 0)),
            first_byte_ms=Quantiles.of(get("first_bytes", 0)),
        )


class Point(Totals):
    """The figures of one bucket."""

    at: Annotated[Time, doc("The start of the bucket.")]

    @classmethod
    def all_of(cls, points: Mapping[datetime, Mapping[str, Any]]) -> list[Self]:
        """Show all buckets, in order of time."""
        return [cls.of(points[at], at=format_time(at)) for at in sorted(points)]


class Series(Struct):
    """The figures of one group over time."""

    group: Annotated[
        str | SeriesGroup | None,
        doc("Null without `group_by`, and for all others together. Text for a model, provider or client."),
    ]
    other: Annotated[bool, doc("Whether it combines all groups without a series of their own.")]
    total: Totals
    points: Annotated[list[Point], doc("Only buckets with calls, in order of time.")]

    @classmethod
    def of(
        cls,
        group: str | SeriesGroup | None,
        total: Mapping[str, Any],
        points: Mapping[datetime, Mapping[str, Any]],
        *,
        other: bool,
    ) -> Self:
        """Show the figures of a group, all of them and by the start of a bucket."""
        return cls(group, other, Totals.of(total), Point.all_of(points))


class Refused(Struct, kw_only=True):
    """How many calls the bridge refused."""

    total: Count
    rules: Annotated[dict[Rule, Count], doc("By rule, if there were any.")]

    @classmethod
    def of(cls, rules: Mapping[Any, int], **further: Any) -> Self:
        """Add up how many there were by rule."""
        return cls(**further, total=sum(rules.values()), rules=dict(rules))


class RefusedPoint(Refused):
    """How many in one bucket."""

    at: Annotated[Time, doc("The start of the bucket.")]


class RefusedInitiator(Refused):
    """How many of one user."""

    initiator: Annotated[Initiator | None, doc("Null for all refusals without a known user.")]


class RefusedCalls(Refused, kw_only=True):
    """How many calls the bridge refused, which are no interceptions: each is counted, whether it has a row or not."""

    initiators: Annotated[list[RefusedInitiator], doc(f"Those with most come first, at most {MAX_GROUPS}.")]
    points: Annotated[list[RefusedPoint], doc("Only buckets that are not empty, in order of time.")]
    shadow: Annotated[
        dict[Rule, Count] | UnsetType,
        doc("What limits that only count would have refused, by rule. In no other figure; absent if nothing."),
    ] = UNSET

    @classmethod
    def by_rule(
        cls,
        rules: Mapping[str, int],
        initiators: Mapping[UUID | None, Mapping[str, int]],
        points: Mapping[datetime, Mapping[str, int]],
        shadow: Mapping[Any, int],
        users: Mapping[UUID, User],
    ) -> Self:
        """Show how many there were by rule.

        There are those of all, of users (None for all that are not known), by start of bucket, and those that would have
        been refused.
        """
        return cls.of(
            rules,
            initiators=[
                RefusedInitiator.of(one, initiator=None if id_ is None else Initiator.of(id_, users))
                for id_, one in initiators.items()
            ],
            points=[RefusedPoint.of(points[at], at=format_time(at)) for at in sorted(points)],
            shadow=dict(shadow) or UNSET,
        )


class EarlierCalls(Struct):
    """What all calls of the time range before add up to."""

    from_: Time = field(name="from")
    to: Time
    total: Totals
    points: list[Point]

    @classmethod
    def between(
        cls, start: datetime, end: datetime, total: Mapping[str, Any], points: Mapping[datetime, Mapping[str, Any]]
    ) -> Self:
        """Show the figures of a time range, all of them and by the start of a bucket."""
        return cls(format_time(start), format_time(end), Totals.of(total), Point.all_of(points))


class Statistics(Struct, kw_only=True):
    """What ended calls add up to, by the time they started."""

    from_: Time = field(name="from")
    to: Time
    bucket: Bucket
    group_by: GroupBy | None
    uncounted: Annotated[Count, doc("Ended calls that are not counted yet.")]
    refusals: Annotated[
        RefusedCalls | UnsetType,
        doc("Absent with a search for anything but users: refused calls are not known to match it."),
    ] = UNSET
    series: list[Series]
    previous: Annotated[
        EarlierCalls | UnsetType, doc("With `compare`: the same for the time range before, without groups.")
    ] = UNSET
    recorded_since: RecordedSince = UNSET
