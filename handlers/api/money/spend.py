"""What calls cost, as one download for finance. No prompts are in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from handlers.api.names import read_names
from handlers.bridge import Bridge
from handlers.operations.operation import Ask, Download, operation
from handlers.operations.query import INVALID, Query
from handlers.problems import Problem, ValidationProblem
from resources.bodies import Readers
from resources.fields import doc
from resources.money.prices import read_day_or_time
from resources.money.spend import GONE, SPEND_BY, SPEND_FORMATS, SpendFormat, spend_days, values_of
from resources.names import Names
from resources.ranges import Problems
from resources.recorded.export_formats import CSV_TYPE
from storage.mongo.errors import DatabaseRefusalError
from storage.queries.found import SPEND
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import NotRecordedError, Row
from storage.queries.questions.question import By, Dimension, Question

TOO_SLOW = "Summing up takes the database too long. Ask for a shorter range."


def _read_groups(text: str) -> tuple[str, ...]:
    names = [one for one in text.split(",") if one]
    if unknown := [one for one in names if one not in SPEND_BY]:
        raise ValueError(f"has {unknown[0]!r}; it may have {', '.join(SPEND_BY)}, separated by commas")
    return tuple(dict.fromkeys(names))


class SpendQuery(Query, frozen=True):
    """Which days, and what a row is about."""

    readers: ClassVar[Readers] = {"from": read_day_or_time, "to": read_day_or_time, "group_by": _read_groups}

    from_: Annotated[
        datetime | None,
        Meta(description="The first day in UTC; without it the first one of this month.", examples=["2026-11-01"]),
    ] = None
    to: Annotated[
        datetime | None,
        Meta(
            description="The day after the last one; without it the present day is the last.", examples=["2026-12-01"]
        ),
    ] = None
    group_by: Annotated[
        tuple[str, ...],
        Meta(
            description=f"Some of {', '.join(SPEND_BY)}, separated by commas. `group` is all groups of the user together.",
            examples=["user,model"],
        ),
    ] = ()
    span: Annotated[Literal["day", "month"], doc("The period of a row.")] = "month"
    format: Annotated[
        Literal["csv", "focus"], doc("CSV (RFC 4180), or the columns of FOCUS 1.4, with a row for each day.")
    ] = "csv"

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the days."""
        problems = super().check(now)
        spend_days(self.from_, self.to, problems, now)
        return problems

    def question(self, ask: Ask) -> Question:
        """What is asked of the records."""
        start, end = spend_days(self.from_, self.to, [], ask.bridge.now())
        by = tuple([By(SPEND_BY[one]) for one in self.group_by])
        question = Question(start, end, by=by, period=Period(self.span), visible_to=ask.visible_to)
        return SPEND_FORMATS[self.format].change(question)


@operation("GET", "spend/export", shares=True, media=("text/csv",), tag="prices")
async def export_spend(ask: Ask, query: SpendQuery) -> Download:
    """Export what calls cost.

    A row for each period and each combination of `group_by`. Each call is in one row. Members see their own calls. If
    something fails half way, the connection is closed early.
    """
    return Download(CSV_TYPE, "spend.csv", _written(ask.bridge, query.question(ask), SPEND_FORMATS[query.format]))


async def _written(bridge: Bridge, question: Question, written: SpendFormat) -> AsyncGenerator[bytes, None]:
    begin = written.begin(question)
    try:
        async with aclosing(bridge.questions.pages(question, SPEND, if_recorded=True)) as pages:
            async for rows in pages:
                yield begin + written.write(question, rows, await _names_of(bridge, question, rows))
                begin = b""
    except NotRecordedError as error:
        raise ValidationProblem(INVALID, validations=[("from", GONE.format(error.since))]) from error
    except DatabaseRefusalError as error:
        raise Problem(503, TOO_SLOW, {"Retry-After": "60"}) from error
    if begin:
        yield begin


async def _names_of(bridge: Bridge, question: Question, rows: Sequence[Row]) -> Names:
    values = values_of(question, rows)
    groups = {id_ for ids in values[Dimension.GROUPS] for id_ in ids}
    return await read_names(bridge, values[Dimension.USER], groups, values[Dimension.TOKEN])
