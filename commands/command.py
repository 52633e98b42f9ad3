"""What a command is: a function with the flags of the database, and its work on that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import click

from commands.servers import warning
from resources.prices import read_day_or_time
from settings import Settings, settings_of
from storage.accounts.identities import Identities
from storage.accounts.users import IdentityError, milliseconds
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.embedded import EmbeddedMongoDB, EmbeddedUnavailableError, running_uri
from storage.queries.paging import UnknownCursorError

T = TypeVar("T")


class _Time(click.ParamType[datetime]):
    """A day or a time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a value."""
        try:
            return value if isinstance(value, datetime) else read_day_or_time(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


TIME = _Time()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        uri = settings.mongodb_uri or running_uri(settings.data_dir)
        if uri is None:
            mongodb = await EmbeddedMongoDB.start(settings.data_dir)
            stack.push_async_callback(mongodb.stop)
            uri = mongodb.uri
        database = Database.connect(uri, settings.mongodb_database)
        stack.callback(database.close)
        # Users may be added before the first server runs. How long interceptions are kept is the server's to say:
        # its flags are not known here.
        await database.prepare_users()
        yield database


def run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do the work of a command on the database of its settings. Say so where the running server has another one.

    Raises:
        click.ClickException: it cannot be done; shown as one line, with exit code 1.
    """
    settings = settings_of(click.get_current_context())
    if another := warning(settings):
        click.echo(another, err=True)

    async def work_on_it() -> T:
        async with _opened(settings) as database:
            return await work(database)

    try:
        return asyncio.run(work_on_it())
    except (DatabaseUnavailableError, EmbeddedUnavailableError, IdentityError, UnknownCursorError) as error:
        raise click.ClickException(str(error)) from error


def identities_of(database: Database) -> Identities:
    """The users and tokens of a database."""
    return Identities(database, now=now, monotonic=monotonic)


def now() -> datetime:
    """The time, in UTC, in the whole milliseconds that MongoDB keeps."""
    return milliseconds(datetime.now(UTC))
