"""`interceptions`: recorded calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from msgspec.structs import replace

from commands.command import Command, command, identities_of, run
from commands.export import STANDARD_OUTPUT, export, file_argument, force_option, opened
from commands.operations import resource
from resources.recorded.export_formats import FORMATS
from storage.accounts.identities import Identities, IdentityError
from storage.mongo.database import Database
from storage.queries.filters.search_language import Search, parse_search
from storage.queries.filters.words import InvalidSearchError
from storage.queries.interceptions import Interceptions
from terminal import StatusLine

SEARCH_OPTIONS = {
    "user": "Name or id of the user.",
    "provider": "Type of the provider.",
    "provider-name": "Name of the provider.",
    "model": "Name of the model.",
    "client": "Name of the client.",
    "session-id": "The client's own id of the session.",
    "status": "completed, failed or in_flight; default: completed and failed.",
    "started-after": "Time, RFC 3339, as 2026-01-31T12:00:00Z; inclusive.",
    "started-before": "Time, RFC 3339; inclusive.",
    "request-id": "Id of the interception, or an id that the provider gave it.",
}


interceptions = resource("interceptions")


def _search_options(function: Command) -> Command:
    function = click.option("--after-id", type=click.UUID, help="Start after this interception.")(function)
    for name, text in reversed(SEARCH_OPTIONS.items()):
        other_names = ("--initiator", "user") if name == "user" else ()
        function = click.option(f"--{name}", *other_names, metavar="TEXT", help=text)(function)
    return function


@command(interceptions, "export")
@file_argument
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="Default: by the extension of FILE, else ndjson."
)
@_search_options
@force_option
@click.option("--quiet", is_flag=True, help="Print errors only.")
def export_interceptions(
    file: Path, format_: str | None, after_id: UUID | None, force: bool, quiet: bool, **terms: str | None
) -> None:
    """Write interceptions to FILE, newest first. Without FILE, or with -, write to standard output.

    FILE is created only when complete, readable by you alone.
    """
    search = _search(terms)
    ending = file.suffix.removeprefix(".")
    written = FORMATS[format_ or (ending if ending in FORMATS else next(iter(FORMATS)))]

    async def work(database: Database) -> int:
        identities = identities_of(database)
        search_filter = await _filter(search, identities)
        pages = Interceptions(database).pages(search_filter, visible_to=None, after_id=after_id)
        return await export(pages, identities, written, out, line, kept=file == STANDARD_OUTPUT)

    with opened(file, force=force) as out, StatusLine(enabled=not quiet) as line:
        count = run(work)
    if file != STANDARD_OUTPUT and not quiet:
        click.echo(f"Interceptions in {file}: {count}")


def _search(terms: dict[str, str | None]) -> Search:
    """Read the options as the search of the API would be read."""
    given = {key: value for key, value in terms.items() if value is not None}
    for key, value in given.items():
        if not value or '"' in value:
            raise click.UsageError(f"--{key.replace('_', '-')} cannot be empty or hold a double quote.")
    try:
        return parse_search(" ".join(f'{key}:"{value}"' for key, value in given.items()))
    except InvalidSearchError as error:
        raise click.UsageError(re.sub(r'(?:Query param |(?<=after ))"(\w+)"', _as_option, str(error))) from error


def _as_option(name: re.Match[str]) -> str:
    """Say a parameter of the API as it is called here."""
    return f"--{name[1].replace('_', '-')}"


async def _filter(search: Search, identities: Identities) -> dict[str, Any]:
    """The filter of a search, in which an id takes the place of a user's name."""
    terms = [
        term.found([await _user(identities, one) for one in term.values]) if term.key == "user" else term
        for term in search.terms
    ]
    return replace(search, terms=tuple(terms)).filter()


async def _user(identities: Identities, name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        user = await identities.find_user(name)
    if user is None:
        raise IdentityError(f'there is no user named "{name}"')
    return user.id
