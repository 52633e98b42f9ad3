"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from resources.shown import shown

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def show(found: Iterable[object], headings: Sequence[str], rows: Iterable[Sequence[str]], as_json: bool) -> None:
    """Print what was found as JSON, or its rows as a table aligned for people. The other one is not looked at."""
    if as_json:
        show_json(list(found))
        return
    show_table([headings, *rows])


def show_table(table: Sequence[Sequence[str]]) -> None:
    """Print rows aligned for people."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def show_json(value: Any) -> None:
    """Print as JSON."""
    # ASCII alone: what clients and models wrote must not reach a terminal as control characters.
    click.echo(json.dumps(msgspec.to_builtins(shown(value)), indent=2))


def format_time(time: datetime | None, otherwise: str) -> str:
    """A time as RFC 3339 has it, to the second."""
    return otherwise if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def discard_output() -> None:
    """Drop what standard output did not take. It stays in the buffer, and the interpreter would fail to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
