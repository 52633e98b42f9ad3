"""`recount`: totals, sessions and the search made again from the records."""

from __future__ import annotations

from datetime import datetime

import click

from commands.command import now, run
from commands.money.ranges import TIME
from settings import SettingsCommand, declared
from settings.declarations import DATABASE
from storage.derived.job import DerivedJob
from storage.mongo.database import Database
from storage.search.writing import add_entries, remove_entries


@click.command("recount", cls=SettingsCommand, params=[*declared(DATABASE)])
@click.option("--from", "start", type=TIME, required=True, help="The first day, in UTC.")
@click.option("--to", "end", type=TIME, help="The day after the last one; default: all until now.")
def recount(start: datetime, end: datetime | None) -> None:
    """Make totals of days again from the records; without --to sessions and the search, too.

    Days stay as they are whose records are gone. Servers on the database go on: they count the calls of now behind it.
    """

    async def work(database: Database) -> None:
        async def tell(at: datetime) -> None:
            click.echo(f"Counted until {at:%Y-%m-%d %H:%M}.")

        await DerivedJob(database, add_entries, remove_entries, now=now).recount(start, end, tell)

    run(work)
    click.echo("Counted again.")
