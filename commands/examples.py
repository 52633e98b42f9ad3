"""`examples`: an invented company, to try out the dashboard."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import click

from commands.command import command, now, run
from storage.examples.documents import Examples, ExampleState
from storage.examples.job import STEP_PAUSE_SECONDS, ExampleJob
from storage.examples.store import ExampleStore
from storage.mongo.database import Database, DatabaseUnavailableError

TRIES = 10
"""How often in a row something may be in the way of a step, such as a server that adds up calls."""

UNCOUNTED = "uncounted"
"""An index without which nothing is added up."""

WATCH_SECONDS = 0.5
"""Time between two checks while a server does the work."""


@click.group("examples")
def examples() -> None:
    """Fill in an invented company, with up to two months of calls, and remove it again."""


@command(examples, "fill")
def fill() -> None:
    """Fill it in. Its users are called like ada@example.com; nothing goes to a provider or counts for anybody else."""

    async def work(database: Database) -> Examples:
        if UNCOUNTED not in await database.interceptions.index_information():
            raise click.ClickException("start the server once first: it creates the indexes of the database")
        await ExampleStore(database, now=now).fill()
        return await _follow(database, ExampleState.FILLING, "Filling")

    done = run(work)
    if done.state is not ExampleState.FILLED:
        raise click.ClickException("it was removed in the meantime")
    click.echo(f"The invented company is there: {done.calls:,} calls. Remove it with: python server.py examples remove")


@command(examples, "remove")
def remove() -> None:
    """Remove all of it. Everything else stays unchanged."""

    async def work(database: Database) -> None:
        await ExampleStore(database, now=now).remove()
        await _follow(database, ExampleState.REMOVING, "Removing")

    run(work)
    click.echo("The invented company is removed.")


async def _follow(database: Database, state: ExampleState, verb: str) -> Examples:
    """Do the work, or wait for the server that does it."""
    job, store = ExampleJob(database, holder=uuid4(), now=now), ExampleStore(database, now=now)
    in_vain = 0
    days = (await store.read()).total
    with click.progressbar(length=days + 1, label=verb) as bar:
        while (found := await store.read()).state is state:
            bar.update(max(found.days - bar.pos, 0))
            try:
                worked = await job.step()
                in_vain = 0
            except DatabaseUnavailableError:
                in_vain += 1
                if in_vain == TRIES:
                    raise
                worked = False
            await asyncio.sleep(STEP_PAUSE_SECONDS if worked else WATCH_SECONDS)
        bar.update(days + 1 - bar.pos)
    return found
