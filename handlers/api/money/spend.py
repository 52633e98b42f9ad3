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
from resources.money.spend import GONE, SPEND_FORMATS, SpendFormat, spend_days
from resources.names import Names
from resources.recorded.export_formats import CSV_TYPE
from storage.mongo.errors import DatabaseRefusalError
from storage.queries.filters.grouped.spending import Dimension, NotRecordedError, Span, SpendQuery, SpendRow
from storage.queries.money.spend_rows import Spending

TOO_SLOW = "Summing up takes the database too long. Ask for a shorter range."


class SpendExportHandler(WatchedHandler):
    """The download: of owners, auditors and readers about all calls, of members about their own."""

    async def respond(self) -> None:
        """Respond with a row for each period and combination of groups."""
        values = self.parameters("from", "to", "group_by", "span", "format")
        query, written = parse_spend(values, self.bridge.now(), self.visible_to)
        self.set_header("Content-Type", CSV_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="spend.csv"')
        if self.request.method == "HEAD":
            await self.flush()
            return
        self.begin_export()
        with suppress(StreamClosedError):
            await self._export(query, written)

    async def _export(self, query: SpendQuery, written: SpendFormat) -> None:
        self.write(written.begin(query))
        try:
            async with aclosing(Spending(self.bridge.database).pages(query)) as pages, self.watched():
                async for rows in pages:
                    self.write(written.write(query, rows, await _names_of(self.bridge, rows)))
                    await self.send()
        except NotRecordedError as error:
            raise ValidationProblem(INVALID, validations=[("from", GONE.format(error.since))]) from error
        except DatabaseRefusalError as error:
            raise Problem(503, TOO_SLOW, {"Retry-After": "60"}) from error


async def _names_of(bridge: Bridge, rows: Sequence[SpendRow]) -> Names:
    found = {one: {row.values[one] for row in rows if row.values.get(one)} for one in Dimension}
    groups = {id_ for ids in found[Dimension.GROUP] for id_ in ids}
    return await read_names(bridge, found[Dimension.USER], groups, found[Dimension.TOKEN])


def parse_spend(
    values: Mapping[str, str], now: datetime, visible_to: UUID | None = None
) -> tuple[SpendQuery, SpendFormat]:
    """Read the parameters; an empty value counts as not given.

    Raises:
        ValidationProblem: with every parameter that is wrong.
    """
    problems: list[tuple[str, str]] = []
    last, first = (time(name, values, problems, read_day_or_time) for name in ("to", "from"))
    start, end = (now, now) if problems else spend_days(first, last, problems, now)
    group_by = [one for one in values.get("group_by", "").split(",") if one]
    if unknown := [one for one in group_by if one not in list(Dimension)]:
        problems.append(("group_by", f"has {unknown[0]!r}; it may have {', '.join(Dimension)}, separated by commas"))
    span = choice(Span, "span", values, problems) or Span.MONTH
    name = choice(SPEND_FORMATS, "format", values, problems) or next(iter(SPEND_FORMATS))
    refuse(problems)
    dimensions = tuple(dict.fromkeys(map(Dimension, group_by)))
    written = SPEND_FORMATS[name]
    return written.change(SpendQuery(start, end, dimensions, span, visible_to)), written
