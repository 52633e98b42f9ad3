"""`spend`: what calls cost, for finance."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import click

from commands.command import command, groups_of, identities_of, now, run, tokens_of
from commands.export import STANDARD_OUTPUT, file_argument, force_option, opened
from commands.money.ranges import TIME, refuse_range
from resources.money.spend import GONE, SPANS, SPEND_BY, SPEND_FORMATS, spend_days, values_of
from resources.names import Names
from resources.ranges import Problems
from storage.mongo.database import Database
from storage.queries.found import SPEND
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import NotRecordedError, Row
from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions


@click.group()
def spend() -> None:
    """Write what calls cost."""


@command(spend, "export")
@file_argument
@click.option("--from", "start", type=TIME, help="The first day, in UTC; default: the first of this month.")
@click.option("--to", "end", type=TIME, help="The day after the last one; default: tomorrow.")
@click.option(
    "--group-by",
    type=click.Choice(list(SPEND_BY)),
    multiple=True,
    help="Dimension to group calls by; repeatable.",
)
@click.option(
    "--span",
    type=click.Choice([one.value for one in SPANS]),
    default=Period.MONTH.value,
    show_default=True,
    help="Of a row.",
)
@click.option(
    "--format", "format_", type=click.Choice(list(SPEND_FORMATS)), default="csv", show_default=True, help="The columns."
)
@force_option
def export_spend(
    *,
    file: Path,
    start: datetime | None,
    end: datetime | None,
    group_by: tuple[str, ...],
    span: str,
    format_: str,
    force: bool,
) -> None:
    """Write what calls cost to FILE as CSV. Without FILE, or with -, write to standard output.

    Each call is in one row. FILE is created only when complete, readable by you alone.
    """
    written, problems = SPEND_FORMATS[format_], Problems()
    first, behind = spend_days(start, end, problems, now())
    refuse_range(problems)
    by = tuple([By(SPEND_BY[one]) for one in dict.fromkeys(group_by)])
    question = written.change(Question(first, behind, by=by, period=Period(span)))

    async def work(database: Database) -> int:
        count = 0
        out.write(written.begin(question))
        async with aclosing(Questions(database).pages(question, SPEND, if_recorded=True)) as pages:
            async for rows in pages:
                out.write(written.write(question, rows, await _names(database, question, rows)))
                count += len(rows)
        out.flush()
        return count

    try:
        with opened(file, force=force) as out:
            count = run(work)
    except NotRecordedError as error:
        raise click.ClickException(GONE.format(error.since)) from error
    if file != STANDARD_OUTPUT:
        click.echo(f"Rows in {file}: {count}")


async def _names(database: Database, question: Question, rows: list[Row]) -> Names:
    values = values_of(question, rows)
    return Names(
        await identities_of(database).users_by_id(values[Dimension.USER]),
        await groups_of(database).by_id({id_ for ids in values[Dimension.GROUPS] for id_ in ids}),
        await tokens_of(database).by_id(values[Dimension.TOKEN]),
    )
