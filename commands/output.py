"""What commands print: JSON for programs, tables for people, and downloads."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
import msgspec

from resources.fields import shown
from resources.recorded.export_formats import write_csv

TERMINAL = (
    "text of clients and models is not printed to a terminal: write it to a file with > FILE, or pipe it to a program"
)


def show_table(table: Sequence[Sequence[str]]) -> None:
    """Print rows aligned for people."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def output_option() -> click.Option:
    """The flag that says how an answer is printed: `output`."""
    forms = click.Choice(["table", "json", "csv"])
    return click.Option(
        ["-o", "--output"], type=forms, default="table", help="table, csv, or json as the API answers.", metavar="FORM"
    )


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: str) -> None:
    """Print fields of objects, those within others by a path such as `total.tokens`, as a table or as CSV."""
    found = [[field_at(one, column) for column in columns] for one in rows]
    names = [column.rpartition(".")[2] for column in columns]
    names = [column if names.count(name) > 1 else name for name, column in zip(names, columns, strict=True)]
    if output == "csv":
        plain = [[one if isinstance(one, int | float | None) else cell(one) for one in row] for row in found]
        click.echo(write_csv([names, *plain]), nl=False)
    else:
        heading = [name.replace("_", " ").replace(".", " ").upper() for name in names]
        show_table([heading, *(list(map(cell, row)) for row in found)])


def field_at(value: Any, path: str) -> Any:
    """The field of an object, or of one within it, by its path; None where there is none."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def cell(value: Any) -> str:
    """A value of an answer as text that a terminal may show: nothing in it is a command to the terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    if isinstance(value, dict):
        named = next(
            (value[name] for name in ("username", "name", "hint", "at", "usd") if value.get(name) not in {None, ""}),
            None,
        )
        if named is None and len(value) == 1:
            named = next(iter(value.values()))
        return json.dumps(value) if named is None else cell(named)
    return "".join(one if one.isprintable() else "?" for one in str(value))


def show_json(value: Any) -> None:
    """Print as JSON."""
    # ASCII alone: what clients and models wrote must not reach a terminal as control characters.
    click.echo(json.dumps(msgspec.to_builtins(shown(value)), indent=2))


def discard_output() -> None:
    """Drop what standard output did not take. It stays in the buffer, and the interpreter would fail to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Open standard output for a download, which is written by the end of the block.

    Raises:
        click.UsageError: It is a terminal.
        click.ClickException: It cannot be written.
        BrokenPipeError: Its reader is gone.
    """
    if sys.stdout.isatty():
        raise click.UsageError(TERMINAL)
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_output()
        raise
    except OSError as error:
        discard_output()
        raise click.ClickException(f"standard output cannot be written: {error.strerror}") from error
