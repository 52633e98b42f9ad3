"""What commands print: JSON for programs, tables for people, and files that are complete or not there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import click
import msgspec

from resources.fields import shown

STANDARD_OUTPUT = Path("-")
TERMINAL = "text of clients and models is not printed to a terminal: give a FILE, or pipe it to a program"


def show_table(table: Sequence[Sequence[str]]) -> None:
    """Print rows aligned for people."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def show_json(value: Any) -> None:
    """Print as JSON."""
    # ASCII alone: what clients and models wrote must not reach a terminal as control characters.
    click.echo(json.dumps(msgspec.to_builtins(shown(value)), indent=2))


def discard_output() -> None:
    """Drop what standard output did not take. It stays in the buffer, and the interpreter would fail to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
