"""Commands beside the server: users, their tokens, and what was recorded.

They work while a server runs, on its database: with the embedded one through the server's own mongod. When no server
runs, a mongod is started for as long as the command takes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from settings import Settings, SettingsCommand, settings_of, settings_options
from settings.declarations import DATABASE
from settings.kinds import POSITIVE_DURATION
from storage.database import Database, DatabaseUnavailableError, database_errors
from storage.documents import resource
from storage.embedded import EmbeddedMongoDB, EmbeddedUnavailableError, running_uri
from storage.identities import Identities, IdentityError, Role, Token
from storage.indexes import INDEXES
from storage.interceptions import Interceptions, UnknownCursorError
from storage.search import InvalidSearchError, Search, parse_search

T = TypeVar("T")
Command = Callable[..., None]

LARGEST_PAGE = 1000
SEARCH_OPTIONS = {
    "initiator": "User name or id.",
    "provider": "Type of the provider.",
    "model": "Name of the model.",
    "started-after": "Time, RFC 3339, as 2026-01-31T12:00:00Z; inclusive.",
    "started-before": "Time, RFC 3339; inclusive.",
}


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
        with database_errors():
            # Users may be added before the first server runs. How long interceptions are kept is the server's to say:
            # its flags are not known here.
            await database.users.create_indexes(list(INDEXES["users"]))
        yield database


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do the work of a command on the database of its settings; what goes wrong becomes one line and exit code 1."""
    settings = settings_of(click.get_current_context())

    async def run() -> T:
        async with _opened(settings) as database:
            return await work(database)

    try:
        return asyncio.run(run())
    except (DatabaseUnavailableError, EmbeddedUnavailableError, IdentityError, UnknownCursorError) as error:
        raise click.ClickException(str(error)) from error


def _identities(database: Database) -> Identities:
    return Identities(database, now=_now, monotonic=monotonic)


def _now() -> datetime:
    return datetime.now(UTC)


def _command(group: click.Group, name: str) -> Callable[[Command], click.Command]:
    """A command that takes the flags of the database."""

    def decorate(function: Command) -> click.Command:
        return group.command(name, cls=SettingsCommand)(settings_options(DATABASE)(function))

    return decorate


_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def _show(
    structs: Sequence[msgspec.Struct], headings: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool
) -> None:
    """Print as JSON, or as a table aligned for people."""
    if as_json:
        _show_json(msgspec.to_builtins(structs))
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in [headings, *rows]:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _show_json(value: Any) -> None:
    # ASCII alone: what clients and models wrote must not reach a terminal as control characters.
    click.echo(json.dumps(value, indent=2))


def _time(time: datetime | None, otherwise: str) -> str:
    return otherwise if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@click.group()
def users() -> None:
    """Add, list and remove users."""


@_command(users, "add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.MEMBER.value,
    show_default=True,
    help="What they may see.",
)
@click.option("--display-name", metavar="TEXT", help="Their name for people; NAME unless given.")
def add_user(name: str, role: str, display_name: str | None) -> None:
    """Add the user NAME. Owners and auditors see every interception, members their own."""
    user = _run(lambda database: _identities(database).add_user(name, role=Role(role), display_name=display_name))
    click.echo(f"Added {user.username} ({user.role}).")


@_command(users, "list")
@_json
def list_users(as_json: bool) -> None:
    """List the users, by name."""
    found = _run(lambda database: _identities(database).list_users())
    rows = [(user.username, user.role, user.display_name, _time(user.created_at, ""), str(user.id)) for user in found]
    _show(found, ("NAME", "ROLE", "DISPLAY NAME", "CREATED", "ID"), rows, as_json)


@_command(users, "remove")
@click.argument("name")
def remove_user(name: str) -> None:
    """Remove the user NAME and all of their tokens. What they did stays recorded."""
    _run(lambda database: _identities(database).remove_user(name))
    click.echo(f"Removed {name} and revoked their tokens.")


@click.group()
def tokens() -> None:
    """Create, list and revoke users' tokens."""


class _Duration(click.ParamType[timedelta]):
    name = POSITIVE_DURATION.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return POSITIVE_DURATION.parse(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not allowed; give {POSITIVE_DURATION.allowed}", param, ctx)


@_command(tokens, "create")
@click.argument("user")
@click.option("--name", metavar="TEXT", default="", help="What it is for.")
@click.option("--expires", type=_Duration(), help="How long it is valid, such as 90d; for ever unless given.")
def create_token(user: str, name: str, expires: timedelta | None) -> None:
    """Create a token for USER and print it, this once: only a hash of it is kept."""
    expires_at = None if expires is None else _now() + expires
    token, secret = _run(lambda database: _identities(database).create_token(user, name=name, expires_at=expires_at))
    click.echo(f"Token {token.id} of {user}, {_lifetime(token)}. It will not be shown again:", err=True)
    click.echo(secret)


def _lifetime(token: Token) -> str:
    return "valid until revoked" if token.expires_at is None else f"valid until {_time(token.expires_at, '')}"


@_command(tokens, "list")
@click.argument("user")
@_json
def list_tokens(user: str, as_json: bool) -> None:
    """List the tokens of USER, oldest first."""
    found = _run(lambda database: _identities(database).list_tokens(user))
    rows = [
        (
            token.id,
            token.name,
            _time(token.created_at, ""),
            _time(token.expires_at, "never"),
            _time(token.revoked_at, ""),
        )
        for token in found
    ]
    _show(found, ("ID", "NAME", "CREATED", "EXPIRES", "REVOKED"), rows, as_json)


@_command(tokens, "revoke")
@click.argument("token_id", metavar="ID")
def revoke_token(token_id: str) -> None:
    """Revoke the token ID, the part of it before the hyphen."""
    _run(lambda database: _identities(database).revoke_token(token_id))
    click.echo(f"Revoked {token_id}.")


@click.group()
def interceptions() -> None:
    """See what was recorded."""


def _search_options(function: Command) -> Command:
    for name, text in reversed(SEARCH_OPTIONS.items()):
        function = click.option(f"--{name}", metavar="TEXT", help=text)(function)
    return function


@_command(interceptions, "list")
@_search_options
@click.option("--after-id", type=click.UUID, help="Start behind this interception.")
@click.option(
    "--limit", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True, help="How many, at most."
)
def list_interceptions(after_id: UUID | None, limit: int, **terms: str | None) -> None:
    """Print the interceptions that have ended as a JSON array, newest first."""
    search = _search(terms)
    _show_json(_run(lambda database: _found(database, search, after_id=after_id, limit=limit)))


def _search(terms: dict[str, str | None]) -> Search:
    """Read the options as the search of the API would be read."""
    given = {key: value for key, value in terms.items() if value is not None}
    for key, value in given.items():
        if not value or '"' in value:
            raise click.UsageError(f"--{key.replace('_', '-')} cannot be empty or hold a double quote.")
    try:
        return parse_search(" ".join(f'{key}:"{value}"' for key, value in given.items()))
    except InvalidSearchError as error:
        raise click.UsageError(str(error)) from error


async def _found(database: Database, search: Search, *, after_id: UUID | None, limit: int) -> list[dict[str, Any]]:
    identities = _identities(database)
    search_filter = search.filter(initiator_id=await _initiator(identities, search.initiator))
    page = Interceptions(database).page(search_filter, visible_to=None, limit=limit, after_id=after_id)
    _, documents = await page
    initiators = await identities.users_by_id(document["initiator_id"] for document in documents)
    return [resource(document, initiators) for document in documents]


async def _initiator(identities: Identities, name: str | None) -> UUID | None:
    if name is None:
        return None
    try:
        return UUID(name)
    except ValueError:
        user = await identities.find_user(name)
    if user is None:
        raise IdentityError(f'there is no user named "{name}"')
    return user.id
