"""`demo`: the demo company, to look around in the dashboard."""

from __future__ import annotations

import click

from commands.command import command, now, run
from storage.demo.store import DAYS, DemoStore
from storage.mongo.database import Database


@click.group("demo")
def demo() -> None:
    """Fill in a company to look around in, in a database of its own, and remove it again."""


@command(demo, "fill")
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

    click.echo(f"The demo company is there: {run(work):,} calls. Remove it with: python server.py demo remove")


@command(demo, "remove")
def remove() -> None:
    """Remove all of it."""
    run(lambda database: DemoStore(database, now=now).remove())
    click.echo("The demo company is removed.")
