"""Where records and a provider's reports agree."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal

from handlers.operations.operation import AUDITORS, Ask, Download, ReadBy, operation
from handlers.operations.problems import INVALID_BODY
from handlers.operations.query import Query
from handlers.problems import Problem, ValidationProblem
from resources.fields import doc
from resources.money.reconciliation import Reconciliation, reconcile
from resources.money.reconciliation_body import ReconciliationBody
from resources.money.spend import GONE
from resources.recorded.export_formats import CSV_TYPE
from settings.reports import report_access
from storage.queries.money import read_recorded
from storage.queries.questions.groups import NotRecordedError
from upstream.reports.reader import MissingKeyError, read_report
from upstream.reports.reported import ReportError
from upstream.reports.sources import SOURCES

RECONCILE_SECONDS: Final = 50.0
"""How long the reports may take, all pages together."""

TOO_SLOW = "The reports of {} took longer than {:.0f} s. Ask for fewer days, or use the command line."
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
async def reconcile_spend(
    ask: Ask, query: FormatQuery, body: Annotated[bytes, ReadBy(bytes, ReconciliationBody)]
) -> Reconciliation | Download:
    """Compare records with what a provider reports and bills.

    A row for each day and model. The provider's reports are read while the request waits, with the admin key of the
    settings. Nothing is changed.
    """
    bridge = ask.bridge
    provider, start, end, names = ReconciliationBody.request_of(body, bridge.now())
    try:
        recorded = await read_recorded(bridge.questions, SOURCES[provider].types, names, start, end)
        async with asyncio.timeout(RECONCILE_SECONDS):
            reported = await read_report(bridge.upstream, report_access(bridge.settings), provider, start, end)
    except NotRecordedError as error:
        raise ValidationProblem(INVALID_BODY, validations=[("from", GONE.format(error.since))]) from error
    except MissingKeyError as error:
        raise Problem(409, NO_KEY.format(provider, provider)) from error
    except ReportError as error:
        raise Problem(502, str(error)) from error
    except TimeoutError as error:
        raise Problem(504, TOO_SLOW.format(provider, RECONCILE_SECONDS)) from error
    found = Reconciliation.of(provider, start.date(), end.date(), reconcile(recorded, reported, bridge.now().date()))
    return Download.whole(CSV_TYPE, f"{provider}-{start:%Y-%m-%d}.csv", found.csv()) if query.format == "csv" else found
