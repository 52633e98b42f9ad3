"""Statistics: what calls add up to over time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field, structs

from handlers.api.stats import MOST_BUCKETS
from handlers.openapi.errors import ALWAYS
from handlers.openapi.operations import JSON, Count, Described, Time, answer, body, get, query
from handlers.openapi.paths.sessions import TokenCounts
from handlers.openapi.records import EXAMPLE as INTERCEPTION
from handlers.openapi.records import Initiator
from intercept.records import EndReason
from intercept.refusals import Rule
from storage.aggregation.cells import Bucket
from storage.queries.statistics import MOST_GROUPS, GroupBy

Timestamp = Annotated[datetime, Meta(tz=True)]
Milliseconds = Annotated[float, Meta(ge=0)]


class Quantiles(Struct):
    """Half of all calls took at most `p50`, 95 of a hundred `p95`, 99 of a hundred `p99`; within 5 %."""

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds


class Figures(Struct, kw_only=True):
    """What calls add up to."""

    interceptions: Count
    completed: Count
    failures: Annotated[dict[EndReason, Count], Meta(description="By reason, where there were any.")]
    token_usage: TokenCounts
    cost_usd: Annotated[float | None, Meta(description="The sum of what has a price; null where nothing has.")]
    unpriced: Annotated[Count, Meta(description="Calls that used tokens and have no price.")]
    no_usage: Annotated[Count, Meta(description="Calls that ended without a report of tokens.")]
    duration_ms: Annotated[Quantiles | None, Meta(description="From start to end.")]
    first_byte_ms: Annotated[Quantiles | None, Meta(description="From start to the first byte of the response body.")]


class Point(Figures):
    """The figures of one bucket."""

    at: Annotated[Time, Meta(description="The start of the bucket.")]


class Series(Struct):
    """The figures of one group over time."""

    group: Annotated[str | Initiator | None, Meta(description="Null without `group_by`, and of all others together.")]
    other: Annotated[bool, Meta(description="Whether it is all the groups that have no series of their own.")]
    total: Figures
    points: Annotated[list[Point], Meta(description="Only where there were calls, in order of time.")]


class Refused(Struct, kw_only=True):
    """How many calls the bridge refused."""

    total: Count
    rules: Annotated[dict[Rule, Count], Meta(description="By rule, where there were any.")]


class RefusedPoint(Refused):
    """How many in one bucket."""

    at: Annotated[Time, Meta(description="The start of the bucket.")]


class RefusedInitiator(Refused):
    """How many of one user."""

    initiator: Annotated[Initiator | None, Meta(description="Null for all without a known user.")]


class RefusedCalls(Refused, kw_only=True):
    """How many calls the bridge refused, which are no interceptions: each is counted, whether it has a row or not."""

    initiators: Annotated[
        list[RefusedInitiator], Meta(description=f"Those with most come first, at most {MOST_GROUPS}.")
    ]
    points: Annotated[list[RefusedPoint], Meta(description="Only where there were any, in order of time.")]


class Statistics(Struct):
    """What ended calls add up to, by the time they started."""

    from_: Time = field(name="from")
    to: Time
    bucket: Bucket
    group_by: GroupBy | None
    uncounted: Annotated[Count, Meta(description="Calls that have ended and are not counted yet.")]
    refusals: RefusedCalls
    series: list[Series]


_FIGURES = Figures(
    interceptions=1,
    completed=1,
    failures={},
    token_usage=TokenCounts(13, 89, 13, 0),
    cost_usd=0.001377,
    unpriced=0,
    no_usage=0,
    duration_ms=Quantiles(68.0, 68.0, 68.0),
    first_byte_ms=Quantiles(38.0, 38.0, 38.0),
)
_SERIES = Series(
    group=INTERCEPTION.model,
    other=False,
    total=_FIGURES,
    points=[Point(**structs.asdict(_FIGURES), at="2026-11-24T23:00:00.000Z")],
)
_EXAMPLE = Statistics(
    from_="2026-11-24T00:00:00.000Z",
    to="2026-11-25T00:00:00.000Z",
    bucket=Bucket.HOUR,
    group_by=GroupBy.MODEL,
    uncounted=0,
    refusals=RefusedCalls(
        total=13,
        rules={Rule.RATE: 13},
        initiators=[RefusedInitiator(INTERCEPTION.initiator, total=13, rules={Rule.RATE: 13})],
        points=[RefusedPoint("2026-11-24T23:00:00.000Z", total=13, rules={Rule.RATE: 13})],
    ),
    series=[_SERIES],
)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/stats": get(
        "getStatistics",
        "What calls add up to over time",
        "Counts, tokens, costs and durations of ended calls, in buckets of UTC.",
        tag="statistics",
        parameters=(
            query("from", Timestamp, "From then on, made earlier to a whole bucket; without it 24 hours before `to`."),
            query("to", Timestamp, "Until before then, made later to a whole bucket; without it now."),
            query(
                "bucket",
                Bucket,
                f"How long one is; of at most {MOST_BUCKETS} from `from` to `to`.",
                default=Bucket.HOUR,
            ),
            query(
                "group_by",
                GroupBy,
                f"A series for each of these, at most the {MOST_GROUPS} with most calls; without it one for all.",
            ),
        ),
        answers={"200": answer("The statistics.", {JSON: body(Statistics, statistics=_EXAMPLE)})} | ALWAYS,
    ),
}
