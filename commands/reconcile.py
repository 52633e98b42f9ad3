"""`reconcile`: compare what is recorded with what a provider reports and bills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click

from commands.command import TIME, now, run
from commands.output import show_json, show_table
from resources import reconciliation
from resources.ranges import NOT_AFTER, Problems
from resources.reconciliation import Figures, Reconciled, Verdict, reported_days
from resources.spend import GONE
from settings import Settings, SettingsCommand, declared, settings_of
from settings.declarations import DATABASE, RECONCILIATION
from settings.loading import make_client, report_access
from storage.mongo.database import Database
from storage.queries.money import read_recorded
from storage.queries.questions.groups import NotRecordedError
from storage.queries.questions.questions import Questions
from upstream.reports.apis import read_report
from upstream.reports.exports import read_exports
from upstream.reports.reported import SOURCES, Reported, ReportError

HEADINGS = ("DAY", "MODEL", "TOKENS", "REPORTED", "USD", "REPORTED", "VERDICT", "REASON")


@click.command("reconcile", cls=SettingsCommand, params=[*declared(DATABASE, RECONCILIATION)])
@click.option(
    "--provider", type=click.Choice(list(SOURCES)), required=True, help="Provider whose reports are compared."
)
@click.option("--from", "start", type=TIME, help="The first day, in UTC; default: the first of this month.")
@click.option("--to", "end", type=TIME, help="The day after the last one; default: today.")
@click.option(
    "--name", "names", multiple=True, help="Only calls to the provider with this name; repeatable. Default: all."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An export of costs, as CSV; for azure and bedrock; repeatable.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="table, or json for programs."
)
def reconcile(
    *,
    provider: str,
    start: datetime | None,
    end: datetime | None,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    output: str,
) -> None:
    """Compare the records with what a provider reports, by day and model.

    Sides agree within 0 tokens and 1 cent. The exit code is 1 where they differ, or where they cannot be compared.
    """
    source, problems = SOURCES[provider], Problems()
    first, behind = reported_days(start, end, problems, now())
    for name, rule in problems:
        raise click.UsageError(f"--{name} {rule.replace(NOT_AFTER, 'must be after --from')}")
    if source.is_file and not files:
        raise click.UsageError(f"{provider} has no API for it: give exports of its costs with --file")
    if files and not source.is_file:
        raise click.UsageError(f"the reports of {provider} are read from its API; leave out --file")
    settings = settings_of(click.get_current_context())

    async def work(database: Database) -> list[Reconciled]:
        recorded = await read_recorded(Questions(database), source.types, names, first, behind)
        if source.is_file:
            reported = read_exports(provider, files, first.date(), behind.date())
        else:
            reported = await _fetch_reports(settings, provider, first, behind)
        return reconciliation.reconcile(recorded, reported, now().date())

    try:
        rows = run(work)
    except NotRecordedError as error:
        raise click.ClickException(GONE.format(error.since).partition(", or")[0]) from error
    except ReportError as error:
        raise click.ClickException(str(error)) from error
    differing = sum(row.verdict is Verdict.DIFFERS for row in rows)
    if output == "json":
        show_json(rows)
    else:
        show_table([HEADINGS, *map(_cells, rows)])
        last = behind - timedelta(days=1)
        click.echo(f"\n{first:%Y-%m-%d} to {last:%Y-%m-%d}, UTC: {len(rows) - differing} agree, {differing} differ.")
    if differing:
        raise click.exceptions.Exit(1)


def _cells(row: Reconciled) -> Sequence[str]:
    figures: Sequence[Figures] = (row.recorded, row.reported)
    tokens = ["-" if one.tokens is None else f"{one.tokens:,}" for one in figures]
    costs = [f"{one.cost_usd:.4f}" for one in figures]
    # Clients name models: control characters must not reach the terminal.
    return (row.day, ascii(row.model)[1:-1], *tokens, *costs, row.verdict.value, row.reason)


async def _fetch_reports(settings: Settings, provider: str, start: datetime, end: datetime) -> list[Reported]:
    client = make_client(settings)
    try:
        return await read_report(client, report_access(settings), provider, start, end)
    finally:
        await client.close()
