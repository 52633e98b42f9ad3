"""`GET /api/v2/aibridge/spend/export`: what calls cost, as one download for finance. No prompts are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from uuid import UUID

from tornado.iostream import StreamClosedError

from handlers.api.choices import choice, refuse, time
from handlers.api.names import read_names
from handlers.api.pagination import INVALID
from handlers.api.recorded.watched import WatchedHandler
from handlers.bridge import Bridge
from handlers.problems import Problem, ValidationProblem
from resources.money.prices import read_day_or_time
from resources.money.spend import GONE, SPANS, SPEND_BY, SPEND_FORMATS, SpendFormat, spend_days, values_of
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from storage.mongo.errors import DatabaseRefusalError
from storage.queries.found import SPEND
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import NotRecordedError, Row
from storage.queries.questions.question import By, Dimension, Question

TOO_SLOW = "Summing up takes the database too long. Ask for a shorter range."


class SpendExportHandler(WatchedHandler):
    """The download: of owners, auditors and readers about all calls, of members about their own."""

    async def respond(self) -> None:
        """Respond with a row for each period and combination of groups."""
        values = self.parameters("from", "to", "group_by", "span", "format")
        question, written = parse_spend(values, self.bridge.now(), self.visible_to)
        self.set_header("Content-Type", CSV_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="spend.csv"')
        if self.request.method == "HEAD":
            await self.flush()
            return
        self.begin_export()
        with suppress(StreamClosedError):
            await self._export(question, written)

    async def _export(self, question: Question, written: SpendFormat) -> None:
        self.write(written.begin(question))
        try:
            pages = self.bridge.questions.pages(question, SPEND, if_recorded=True)
            async with aclosing(pages), self.watched():
                async for rows in pages:
                    self.write(written.write(question, rows, await _names_of(self.bridge, question, rows)))
                    await self.send()
        except NotRecordedError as error:
            raise ValidationProblem(INVALID, validations=[("from", GONE.format(error.since))]) from error
        except DatabaseRefusalError as error:
            raise Problem(503, TOO_SLOW, {"Retry-After": "60"}) from error


async def _names_of(bridge: Bridge, question: Question, rows: Sequence[Row]) -> Names:
    values = values_of(question, rows)
    groups = {id_ for ids in values[Dimension.GROUPS] for id_ in ids}
    return await read_names(bridge, values[Dimension.USER], groups, values[Dimension.TOKEN])


def parse_spend(
    values: Mapping[str, str], now: datetime, visible_to: UUID | None = None
) -> tuple[Question, SpendFormat]:
    """Read the parameters; an empty value counts as not given.

    Raises:
        ValidationProblem: with every parameter that is wrong.
    """
    problems: list[tuple[str, str]] = []
    last, first = (time(name, values, problems, read_day_or_time) for name in ("to", "from"))
    start, end = (now, now) if problems else spend_days(first, last, problems, now)
    group_by = [one for one in values.get("group_by", "").split(",") if one]
    if unknown := [one for one in group_by if one not in SPEND_BY]:
        problems.append(("group_by", f"has {unknown[0]!r}; it may have {', '.join(SPEND_BY)}, separated by commas"))
    span = choice(SPANS, "span", values, problems) or Period.MONTH
    name = choice(SPEND_FORMATS, "format", values, problems) or next(iter(SPEND_FORMATS))
    refuse(problems)
    by = tuple([By(SPEND_BY[one]) for one in dict.fromkeys(group_by)])
    written = SPEND_FORMATS[name]
    return written.change(Question(start, end, by=by, period=span, visible_to=visible_to)), written
