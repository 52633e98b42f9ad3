"""Money: own prices, pricing past calls again, what calls cost, and how that compares with a provider's bill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

from msgspec import Meta

from handlers.bridge import Bridge
from handlers.operations.operation import AUDITORS, OWNERS, Ask, Download, Noted, Tagged, Versions, operation
from handlers.operations.problems import INVALID_BODY
from handlers.operations.query import INVALID, Paged, Query
from handlers.problems import Problem, ValidationProblem
from limits.policies.compiled import Patterns
from limits.policies.policy import ModelPattern
from resources.bodies import Readers
from resources.fields import ListPage, Names, WholeList, doc
from resources.prices import PriceBody, PricedModel, PriceListBody, RangeBody, read_day_or_time
from resources.ranges import Problems
from resources.reconciliation import Reconciliation, ReconciliationBody, reconcile
from resources.recorded.export_formats import CSV_TYPE
from resources.spend import GONE, SPEND_BY, SPEND_FORMATS, SpendFormat, spend_days, values_of
from settings.loading import report_access
from storage.mongo.errors import DatabaseRefusalError
from storage.prices.own_prices import KeptPrices, OwnPrice
from storage.prices.recosts import UNKNOWN, Recost, Recosts
from storage.prices.store import PriceStore
from storage.queries.found import SPEND
from storage.queries.money import read_recorded
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import AnswerRow, NotRecordedError
from storage.queries.questions.question import By, Dimension, Question
from upstream.reports.apis import MissingKeyError, read_report
from upstream.reports.reported import ReportError

MAX_PRICES_BYTES: Final = 256 * 1024
NO_PROVIDER = "prices[{}].provider: no provider has a name like this now"
MAX_NOTES = 5
CALLED_WITHIN: Final = timedelta(days=30)
"""Models that were called as recently as this are listed with their prices."""

_EXAMPLE = PriceListBody(
    [PriceBody(provider="anthropic", model="claude-opus-4-*", input="4.50", output="22.50", valid_from="2026-11-01")]
)


def _store(ask: Ask) -> PriceStore:
    return PriceStore(ask.bridge.database, now=ask.bridge.now)


@operation("GET", "prices", AUDITORS)
async def list_prices(ask: Ask) -> Tagged[KeptPrices]:
    """List the own prices.

    They come before list prices.
    """
    kept = await _store(ask).read()
    return Tagged(kept, kept.version)


@operation("PUT", "prices", OWNERS, max_body=MAX_PRICES_BYTES, example=_EXAMPLE)
async def set_prices(ask: Ask, body: PriceListBody, versions: Versions) -> Noted[KeptPrices]:
    """Replace all own prices.

    Calls that end from now on cost what they say, on every server within 2 s. What is recorded keeps its cost.
    """
    prices = [one.price for one in body.prices]
    kept = await _store(ask).change(lambda _: prices, versions=versions, author=ask.author)
    ask.bridge.prices.put(kept)
    notes = [NO_PROVIDER.format(number) for number in _without_provider(ask, prices)[:MAX_NOTES]]
    return Noted(kept, kept.version, notes)


def _without_provider(ask: Ask, prices: list[OwnPrice]) -> list[int]:
    """Which prices hold for none of the providers that there are: a slip, or one that was removed."""
    names = [name.lower() for name in ask.bridge.providers]
    found = []
    for number, price in enumerate(prices):
        pattern = Patterns([ModelPattern(price.provider)])
        if all(pattern.find(name, "") is None for name in names):
            found.append(number)
    return found


@operation("GET", "prices/models", AUDITORS, tag="prices")
async def list_priced_models(ask: Ask, query: Paged) -> ListPage[PricedModel]:
    """List the models that were called, with their prices.

    Those of the last 30 days, first those with most calls.
    """
    now = ask.bridge.now()
    by = (By(Dimension.PROVIDER), By(Dimension.MODEL))
    answer = await ask.bridge.questions.answer(
        Question(now - CALLED_WITHIN, now, by=by, limit=query.limit, offset=query.offset)
    )
    models = []
    for group in answer.groups:
        provider, model = group.key
        rates = ask.bridge.pricing.rates(provider, model, now)
        models.append(PricedModel.of(provider, model, group.total, rates))
    return ListPage(answer.count, models)


Id = Annotated[UUID, doc("The id of the job.")]


def _recosts(ask: Ask) -> Recosts:
    return Recosts(ask.bridge.database, now=ask.bridge.now)


@operation("GET", "prices/recosts", AUDITORS)
async def list_recosts(ask: Ask) -> WholeList[Recost]:
    """List the jobs that price past calls again.

    The newest 100.
    """
    return WholeList(await _recosts(ask).list_newest())


@operation(
    "POST",
    "prices/recosts",
    OWNERS,
    status=202,
    located="id",
    raises={409: "Another job has not ended."},
    example=RangeBody("2026-11-01", "2026-12-01"),
)
async def request_recost(ask: Ask, body: RangeBody) -> Recost:
    """Price past calls again.

    At the prices that hold now. The servers on the database do it, one job at a time. Totals and sessions follow exactly;
    each call keeps its earlier costs.
    """
    start, end = body.range(ask.bridge.now(), [])
    return await _recosts(ask).request(start, end, author=ask.author)


@operation("GET", "prices/recosts/{id}", AUDITORS, unknown=UNKNOWN)
async def get_recost(ask: Ask, id_: Id) -> Recost:
    """Read the progress of a job that prices calls again."""
    return await _recosts(ask).find(id_)


@operation("DELETE", "prices/recosts/{id}", OWNERS, unknown=UNKNOWN, raises={409: "It has ended."})
async def cancel_recost(ask: Ask, id_: Id) -> Recost:
    """Cancel a job that prices calls again.

    Calls that were priced again keep their new cost, and the job stays listed.
    """
    return await _recosts(ask).cancel(id_, author=ask.author)


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


async def _names_of(bridge: Bridge, question: Question, rows: Sequence[AnswerRow]) -> Names:
    values = values_of(question, rows)
    groups = {id_ for ids in values[Dimension.GROUPS] for id_ in ids}
    return await bridge.read_names(values[Dimension.USER], groups, values[Dimension.TOKEN])


RECONCILE_SECONDS: Final = 50.0
"""How long the reports may take, all pages together."""

REPORTS_TOO_SLOW = "The reports of {} took longer than {:.0f} s. Ask for fewer days."
NO_KEY = "reconcile-{}-key is not set. Give the server an admin key of {}, in its environment or a file."


class FormatQuery(Query, frozen=True):
    """How the result is written."""

    format: Annotated[Literal["json", "csv"], doc("A row of `csv` is a day and a model.")] = "json"


@operation(
    "POST",
    "spend/reconciliation",
    AUDITORS,
    shares=True,
    tag="prices",
    media=("text/csv",),
    raises={
        409: "No key for the reports is set.",
        502: "The provider refuses its reports; the message says why.",
        504: "The reports take too long.",
    },
    example=ReconciliationBody("anthropic", "2026-11-01", "2026-12-01"),
)
async def reconcile_spend(ask: Ask, query: FormatQuery, body: ReconciliationBody) -> Reconciliation | Download:
    """Compare records with what a provider reports and bills.

    A row for each day and model. The provider's reports are read while the request waits, with the admin key of the
    settings. Nothing is changed.
    """
    bridge = ask.bridge
    provider, (start, end) = body.provider, body.days(bridge.now(), [])
    try:
        recorded = await read_recorded(bridge.questions, (provider,), body.names, start, end)
        async with asyncio.timeout(RECONCILE_SECONDS):
            reported = await read_report(bridge.upstream, report_access(bridge.settings), provider, start, end)
    except NotRecordedError as error:
        raise ValidationProblem(INVALID_BODY, validations=[("from", GONE.format(error.since))]) from error
    except MissingKeyError as error:
        raise Problem(409, NO_KEY.format(provider, provider)) from error
    except ReportError as error:
        raise Problem(502, str(error)) from error
    except TimeoutError as error:
        raise Problem(504, REPORTS_TOO_SLOW.format(provider, RECONCILE_SECONDS)) from error
    found = Reconciliation.of(provider, start.date(), end.date(), reconcile(recorded, reported, bridge.now().date()))
    return Download.whole(CSV_TYPE, f"{provider}-{start:%Y-%m-%d}.csv", found.csv()) if query.format == "csv" else found
