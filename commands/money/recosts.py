"""`prices recost` and what belongs to it: jobs that price past calls again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

import click

from commands.command import command, now, run
from commands.money.prices import TIME, prices, refuse_range
from commands.output import format_time, json_option, show
from resources.ranges import Problems, range_of
from storage.mongo.database import Database
from storage.prices.recost_documents import ACTIVE, Recost
from storage.prices.recosts import Recosts

__all__ = ["prices"]

POLL_SECONDS = 1.0


@command(prices, "recost")
@click.option("--from", "start", type=TIME, required=True, help="A day, or a timestamp (RFC 3339), in UTC.")
@click.option("--to", "end", type=TIME, help="The end, exclusive; default: now.")
@click.option("--wait", is_flag=True, help="Wait until it is done, and show the progress.")
def recost(start: datetime, end: datetime | None, wait: bool) -> None:
    """Price the calls again that started in a range, at the prices that hold now.

    The servers that run on the database do it, one job at a time.
    """
    problems = Problems()
    start, end = range_of(start, end, problems, now=now(), usual=lambda end: end)
    refuse_range(problems)

    async def request(database: Database) -> Recost:
        jobs = Recosts(database, now=now)
        job = await jobs.request(start, end)
        click.echo(f"Requested: {job.id}.")
        while wait and job.state in ACTIVE:
            await asyncio.sleep(POLL_SECONDS)
            job = await jobs.find(job.id)
            click.echo(_line(job), err=True)
        return job

    job = run(request)
    if wait:
        click.echo(f"{job.state.capitalize()}: {_line(job)}.")


@command(prices, "recosts")
@json_option
def list_recosts(as_json: bool) -> None:
    """List the newest jobs that price calls again."""
    jobs = run(lambda database: Recosts(database, now=now).list_newest())
    rows = [
        (
            *(str(job.id), job.state, format_time(job.start, ""), format_time(job.end, "")),
            *(str(job.done), "" if job.total is None else str(job.total), str(job.changed)),
            *(f"{job.before:.2f}", f"{job.after:.2f}"),
        )
        for job in jobs
    ]
    headings = ("ID", "STATE", "FROM", "TO", "DONE", "OF", "CHANGED", "BEFORE", "AFTER")
    show(jobs, headings, rows, as_json)


@command(prices, "cancel-recost")
@click.argument("id_", metavar="ID", type=click.UUID)
def cancel_recost(id_: UUID) -> None:
    """Cancel the job ID. Calls that were priced again keep their new cost."""
    job = run(lambda database: Recosts(database, now=now).cancel(id_))
    click.echo(f"Cancelled after {job.done} calls.")


def _line(job: Recost) -> str:
    total = "" if job.total is None else f" of {job.total:,}"
    return f"{job.done:,}{total} calls, {job.changed:,} changed, US${job.before:.2f} before, US${job.after:.2f} now"
