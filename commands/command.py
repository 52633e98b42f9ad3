"""What a command is: a function with the flags of the database, and its work on that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import click

from commands.local.servers import warning
from settings import Settings, SettingsCommand, declared, settings_of
from settings.declarations import DATABASE
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, IdentityError
from storage.accounts.tokens.uses import TokenUses
from storage.accounts.users import milliseconds
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.embedded import EmbeddedMongoDB, EmbeddedUnavailableError, running_uri
from storage.queries.accounts.people import People
from storage.queries.accounts.tokens import Tokens
from storage.queries.paging import UnknownCursorError

T = TypeVar("T")
Command = Callable[..., None]


class Read(click.ParamType[Any]):
    """What a function reads. It raises ValueError with the rule that a text breaks."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


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


def groups_of(database: Database) -> Groups:
    """The groups of a database."""
    return Groups(database, identities_of(database), now=now)


def people_of(database: Database) -> People:
    """The users of a database, with groups, tokens and spend."""
    uses = TokenUses(database, now=now, monotonic=monotonic)
    return People(database, identities_of(database), groups_of(database), uses, now=now)


def tokens_of(database: Database) -> Tokens:
    """The tokens of a database, with their last use."""
    return Tokens(database, identities_of(database), TokenUses(database, now=now, monotonic=monotonic))


def now() -> datetime:
    """The time, in UTC, in the whole milliseconds that MongoDB keeps."""
    return milliseconds(datetime.now(UTC))


def command(group: click.Group, name: str) -> Callable[[Command], click.Command]:
    """A command that takes the flags of the database."""

    def decorate(function: Command) -> click.Command:
        return group.command(name, cls=SettingsCommand, params=[*declared(DATABASE)])(function)

    return decorate
