"""The way of an export into a file or a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic
from typing import IO, Any

import click

from commands.output import discard_output
from resources.recorded.export_formats import Format
from resources.recorded.interceptions import Interception
from storage.accounts.identities import Identities
from storage.mongo.database import DatabaseUnavailableError
from terminal import StatusLine

STANDARD_OUTPUT = Path("-")
TERMINAL = "text of clients and models is not printed to a terminal: give a FILE, or pipe it to a program"

FILE = click.Path(dir_okay=False, allow_dash=True, resolve_path=True, path_type=Path)
FORCE_HELP = "Replace FILE if it exists."

file_argument = click.argument("file", type=FILE, default=str(STANDARD_OUTPUT))
force_option = click.option("--force", is_flag=True, help=FORCE_HELP)


@contextmanager
def opened(file: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Open the output. A file gets its name at the end of the block; if that fails, nothing is left.

    Raises:
        click.ClickException: it cannot be written, exists already without `force`, or is a terminal.
        BrokenPipeError: the reader of standard output is gone.
    """
    try:
        taken = _standard_output() if file == STANDARD_OUTPUT else _new_file(file, force=force)
        with taken as out:
            yield out
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if file == STANDARD_OUTPUT else file
        raise click.ClickException(f"{name} cannot be written: {error.strerror}") from error


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    if sys.stdout.isatty():
        raise click.UsageError(TERMINAL)
    try:
        yield sys.stdout.buffer
    except OSError:
        discard_output()
        raise


@contextmanager
def _new_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    _check_free(path, force=force)
    with NamedTemporaryFile(dir=path.parent, prefix=".aibridge-export-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _check_free(path, force=force)  # an export may take long
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not (force and path.is_file()):
        raise click.ClickException(f"{path} exists already" + ("; --force replaces it" if path.is_file() else ""))


async def export(
    pages: AsyncGenerator[list[dict[str, Any]], None],
    identities: Identities,
    written: Format,
    out: IO[bytes],
    line: StatusLine,
    *,
    kept: bool,
) -> int:
    """Write all pages, and return how many interceptions they had. One page at a time is held.

    Args:
        pages: See `storage.queries.interceptions`.
        identities: The users, for their names.
        written: The format.
        out: The output.
        line: The progress line.
        kept: Whether the written part stays after a failure. Then a message says how to continue.

    Raises:
        UnknownCursorError, DatabaseUnavailableError: as `pages` do.
        OSError: `out` does not take it.
    """
    count, last, head, began = 0, None, written.head, monotonic()
    try:
        async with aclosing(pages):
            async for page in pages:
                users = await identities.users_by_id(document["initiator_id"] for document in page)
                out.write(head + written.rows([Interception.of(document, users) for document in page]))
                out.flush()
                count, last, head = count + len(page), page[-1]["_id"], b""
                line.say(f"{count:,} interceptions, {count / (monotonic() - began):,.0f} a second")
    except (DatabaseUnavailableError, asyncio.CancelledError):
        line.say("")
        rest = f"Interceptions written: {count}. To continue after them: --after-id {last}"
        click.echo(rest if kept and count else "Nothing was written.", err=True)
        raise
    out.write(head)
    out.flush()
    return count
