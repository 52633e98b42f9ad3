"""What an operator does on the database by hand: `recount`, `demo`, and `--break-glass` where nobody can sign in."""

from __future__ import annotations

from datetime import datetime

import click

from commands.command import TIME, identities_of, now, run
from commands.servers import chosen_database, running_servers
from installation import COMMAND
from settings import SettingsCommand, declared, settings_of
from settings.declarations import DATABASE
from storage.accounts.sign_in.sessions import DEFAULT_TIMES
from storage.accounts.sign_in.sign_ins import CODE_SECONDS, SignIns
from storage.demo.store import DAYS, DemoStore
from storage.derived.job import DerivedJob
from storage.mongo.database import Database
from storage.search.writing import add_entries, remove_entries


@click.command("recount", cls=SettingsCommand, params=[*declared(DATABASE)])
@click.option("--from", "start", type=TIME, required=True, help="The first day, in UTC.")
def recount(start: datetime) -> None:
    """Make totals, sessions and the search again from the records, from a day until now.

    Days stay as they are whose records are gone. Servers on the database go on: they count the calls of now behind it.
    """

    async def work(database: Database) -> None:
        async def tell(at: datetime) -> None:
            click.echo(f"Counted until {at:%Y-%m-%d %H:%M}.")

        await DerivedJob(database, add_entries, remove_entries, now=now).recount(start, tell)

    run(work)
    click.echo("Counted again.")


@click.group("demo")
def demo() -> None:
    """Fill in a company to look around in, in a database of its own, and remove it again."""


@demo.command("fill", cls=SettingsCommand, params=[*declared(DATABASE)])
@click.option("--days", type=click.IntRange(1, DAYS), default=DAYS, show_default=True, help="Days of calls.")
def fill(days: int) -> None:
    """Fill it in, in the place of the one that is there. Owners see it at /demo-company/ of the bridge."""

    async def work(database: Database) -> int:
        store = DemoStore(database, now=now, days=days)
        begun = await store.begin()
        with click.progressbar(length=100, label="Filling") as bar:
            done = await store.fill(begun, lambda progress: bar.update(int(progress * 100) - bar.pos))
        if not done:
            raise click.ClickException("it was removed in the meantime")
        return (await store.read()).calls

    click.echo(f"The demo company is there: {run(work):,} calls. Remove it with: {COMMAND} demo remove")


@demo.command("remove", cls=SettingsCommand, params=[*declared(DATABASE)])
def remove() -> None:
    """Remove all of it."""
    run(lambda database: DemoStore(database, now=now).remove())
    click.echo("The demo company is removed.")


def break_glass(name: str) -> None:
    """Print a link that signs the user NAME in to the dashboard.

    Raises:
        click.ClickException: There is no such user, or the database cannot be used.
    """
    code = run(
        lambda database: SignIns(database, identities_of(database), now=now, times=DEFAULT_TIMES).create_link(name)
    )
    own = chosen_database(settings_of(click.get_current_context())).key
    url = next((server.url for server in running_servers() if server.database.key == own), "")
    where = "" if url else "Put the address of the dashboard before it. "
    click.echo(f"{where}It signs {name} in once, within {CODE_SECONDS / 60:.0f} minutes:", err=True)
    click.echo(f"{url}/#/sign-in/{code}")
