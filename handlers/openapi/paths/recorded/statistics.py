"""Statistics: what calls add up to over time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, structs

from handlers.api.stats import MAX_BUCKETS
from handlers.openapi.errors import ALWAYS
from handlers.openapi.example import EXAMPLE as INTERCEPTION
from handlers.openapi.operations import JSON, Described, body, get, query, response
from intercept.refusals import Rule
from resources.fields import TokenCounts
from resources.recorded.stats import (
    Point,
    Quantiles,
    RefusedCalls,
    RefusedInitiator,
    RefusedPoint,
    Series,
    Statistics,
    Totals,
)
from storage.aggregation.rollup import MAX_GROUPS, Bucket, GroupBy

Timestamp = Annotated[datetime, Meta(tz=True)]
_TOTALS = Totals(
    interceptions=1,
    completed=1,
    failures={},
    token_usage=TokenCounts(13, 89, 13, 0),
    cost_usd=0.001377,
    cost_micro_usd=1377,
    unpriced=0,
    no_usage=0,
    duration_ms=Quantiles(68.0, 68.0, 68.0),
    first_byte_ms=Quantiles(38.0, 38.0, 38.0),
)
_SERIES = Series(
    group=INTERCEPTION.model,
    other=False,
    total=_TOTALS,
    points=[Point(**structs.asdict(_TOTALS), at="2026-11-24T23:00:00.000Z")],
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
                f"How long one is; of at most {MAX_BUCKETS} from `from` to `to`.",
                default=Bucket.HOUR,
            ),
            query(
                "group_by",
                GroupBy,
                f"A series for each of these, at most the {MAX_GROUPS} with most calls; without it one for all.",
            ),
        ),
        responses={"200": response("The statistics.", {JSON: body(Statistics, statistics=_EXAMPLE)})} | ALWAYS,
    ),
}
