"""Statistics: what calls add up to over time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, structs

from handlers.api.pagination import MAX_LIMIT, MAX_OFFSET
from handlers.api.recorded.statistics.group_request import DEFAULT_GROUPS, MAX_BUCKETS
from handlers.openapi.errors import WORDS
from handlers.openapi.example import EXAMPLE as INTERCEPTION
from handlers.openapi.methods import get
from handlers.openapi.operations import JSON, Described, body, lines, query, response
from intercept.refusals import Rule
from resources.fields import TokenCounts
from resources.names import SeriesGroup
from resources.recorded.flat_rows import FlatRows
from resources.recorded.groups import (
    CostByKind,
    GroupedStatistics,
    GroupTotals,
    HistogramBucket,
    Histograms,
    StatisticsGroup,
)
from resources.recorded.prompt_cache import Cache
from resources.recorded.stats import (
    EarlierCalls,
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
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import Order, Subject, names_of

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
_USER = SeriesGroup(str(INTERCEPTION.initiator.id), INTERCEPTION.initiator.name, INTERCEPTION.initiator.username)
GROUP_TOTALS = GroupTotals(
    interceptions=1,
    failed=0,
    failures={},
    tokens=115,
    token_usage=_TOTALS.token_usage,
    cost_usd=_TOTALS.cost_usd,
    cost_micro_usd=_TOTALS.cost_micro_usd,
    cost_by_kind=CostByKind(0.000039, 0.001335, 0.000003, 0.0, 0.0),
    cache=Cache(13, 0, 13, 0.5, 0.000036, 0, 0.0),
    unpriced=0,
    no_usage=0,
    duration_ms=_TOTALS.duration_ms,
    first_byte_ms=_TOTALS.first_byte_ms,
    bridge_ms=Quantiles(1.0, 1.0, 1.0),
    tokens_per_second=None,
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
    previous=EarlierCalls("2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z", _TOTALS, []),
)

_GROUPED = GroupedStatistics(
    of=Subject.CALLS,
    from_="2026-11-01T00:00:00.000Z",
    to="2026-12-01T00:00:00.000Z",
    bucket=Period.ALL,
    tz="UTC",
    group_by=["user", "model"],
    order_by=Order.COST,
    count=1,
    uncounted=0,
    total=GROUP_TOTALS,
    previous=GROUP_TOTALS,
    histograms=Histograms([HistogramBucket(72.9, 1)], [HistogramBucket(41.1, 1)], [HistogramBucket(1.0, 1)], []),
    groups=[StatisticsGroup({"user": _USER, "model": INTERCEPTION.model}, GROUP_TOTALS, GROUP_TOTALS)],
)
_ROWS = FlatRows(1, [{"model": INTERCEPTION.model, "calls": 1, "cost_usd": 0.001377}])
_ONE_OF = {
    "oneOf": [{"$ref": f"#/components/schemas/{one.__name__}"} for one in (Statistics, GroupedStatistics, FlatRows)]
}

_LINES = lines('{"progress":{"read":20000,"of":180000,"seconds_left":9.6}}', _GROUPED)
IN_HOURS = (
    query("from", Timestamp, "From then on, made earlier to a whole hour; without it 24 hours before `to`."),
    query("to", Timestamp, "Until before then, made later to a whole hour; without it the end of the present hour."),
)
"""The time range of what is told by hours."""

SCHEMAS = (Statistics, GroupedStatistics, FlatRows)
"""The bodies of a response, of which it has one."""

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/stats": get(
        "getStatistics",
        "Statistics over time or by group",
        "Counts, tokens, costs and durations of ended calls: `series` over time in buckets of UTC, each with its points. With "
        "any of `of`, `q`, `order_by`, `limit`, `offset`, `tz`, `compare`, `format`, a bucket `week`, `month` or `all`, or a "
        "`group_by` that series do not have, the answer is `groups`: every group there is, page by page. With "
        "`format=series` it is series, which take `q` and `compare` too.",
        parameters=(
            query("from", Timestamp, "From then on, made earlier to a whole bucket; without it 24 hours before `to`."),
            query("to", Timestamp, "Until before then, made later to a whole bucket; without it now."),
            query(
                "bucket",
                Period,
                f"How long one is; of at most {MAX_BUCKETS} from `from` to `to`. `all` is the whole range as one, in whole "
                "hours. Without it an hour, and of groups `all`. Weeks begin on Monday.",
            ),
            query(
                "group_by",
                str,
                f"Of series one of {', '.join(GroupBy)}: a series for each of these, at most the {MAX_GROUPS} with most "
                f"calls; without it one for all. Of groups up to two, with a comma: of calls {', '.join(names_of(Subject.CALLS))}; "
                f"of refusals {', '.join(names_of(Subject.REFUSALS))}; of sessions {', '.join(names_of(Subject.SESSIONS))}.",
                example="user,model",
            ),
            query("of", Subject, "What the groups count; without it calls."),
            query(
                "q",
                str,
                "A search, in the language of the list of the same things. Words without a key are searched for in the texts of "
                "calls.",
                example="model:gpt-5",
            ),
            query(
                "order_by",
                Order,
                "The sort order of groups, largest first; without it calls. `change` needs `compare`.",
            ),
            query("limit", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "How many groups.", default=DEFAULT_GROUPS),
            query("offset", Annotated[int, Meta(ge=0, le=MAX_OFFSET)], "The number of groups to skip.", default=0),
            query(
                "tz",
                str,
                "The time zone of days, weeks and months, by its IANA name.",
                default="UTC",
                example="Europe/Berlin",
            ),
            query(
                "compare",
                Literal["previous"],
                "Puts `previous` beside each total: what it was in the time range before. Before whole months these are as "
                "many months, before whole days as many days, before anything else as much time. Series have one `previous`, of "
                "all calls, with points.",
            ),
            query(
                "format",
                Literal["json", "csv", "rows", "series"],
                "`rows` and `csv` are flat: a row is a group; without it `json`. `series` asks for series, also with `q` and "
                "`compare`; it goes with none of `of`, `order_by`, `limit`, `offset` and `tz`.",
            ),
        ),
        responses={
            "200": response(
                "The statistics.",
                {JSON: body(_ONE_OF, series=_EXAMPLE, groups=_GROUPED, rows=_ROWS), "text/csv": {"schema": str}}
                | _LINES,
            )
        }
        | WORDS,
    ),
}
