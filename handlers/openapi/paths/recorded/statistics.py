"""Statistics: what calls add up to over time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from handlers.api.pagination import MAX_LIMIT, MAX_OFFSET
from handlers.api.recorded.statistics.group_request import DEFAULT_GROUPS, MAX_BUCKETS
from handlers.openapi.errors import WORDS
from handlers.openapi.methods import get
from handlers.openapi.parts import JSON, NAMED_RANGE, Described, lines, query, response
from resources.recorded.statistics import Statistics
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import Order, Subject, names_of

Timestamp = Annotated[datetime, Meta(tz=True)]
_LINES = lines('{"progress":{"read":20000,"of":180000,"seconds_left":9.6}}')
"""The time range of what is told by hours."""

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/stats": get(
        "getStatistics",
        "Statistics by group, and over time",
        "Counts, tokens, costs and durations of ended calls in all, by group, and with several buckets over time. Every "
        "group there is, page by page.",
        parameters=(
            query("from", Timestamp, "From then on, made earlier to a whole bucket; without it 24 hours before `to`."),
            query("to", Timestamp, "Until before then, made later to a whole bucket; without it now."),
            NAMED_RANGE,
            query(
                "bucket",
                Period,
                f"How long one is; of at most {MAX_BUCKETS} from `from` to `to`. `all` is the whole range as one, in whole "
                "hours. Weeks begin on Monday.",
                default=Period.ALL.value,
            ),
            query(
                "group_by",
                str,
                f"Up to two, with a comma: of calls {', '.join(names_of(Subject.CALLS))}; "
                f"of refusals {', '.join(names_of(Subject.REFUSALS))}; of sessions {', '.join(names_of(Subject.SESSIONS))}.",
                example="user,model",
            ),
            query("of", Subject, "What is counted; without it calls."),
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
                "The time zone of `range` and of days, weeks and months, by its name of IANA.",
                default="UTC",
                example="Europe/Berlin",
            ),
            query(
                "compare",
                Literal["previous"],
                "Puts `previous` beside each total: what it was in the time range before. Before whole months these are as "
                "many months, before whole days as many days, before anything else as much time. That of all has points.",
            ),
            query(
                "format",
                Literal["json", "csv"],
                "A row of `csv` is a group, or with several buckets a group in one of them; without it `json`.",
            ),
        ),
        responses={
            "200": response(
                "The statistics.",
                {JSON: Described(schema=Statistics), "text/csv": Described(schema=str)} | _LINES,
            )
        }
        | WORDS,
    ),
}
