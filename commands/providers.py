"""What commands do with providers beside their operations: keys in files, and sealing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from commands.command import now, run
from handlers.bridge import managed_providers
from settings import SettingsCommand, declared, settings_of
from settings.declarations import DATABASE
from storage.alerts.webhooks import Webhooks
from storage.mongo.database import Database
from storage.providers.documents import InvalidProviderError
from storage.providers.sealing import SealError

STANDARD_INPUT = Path("-")
MAX_FILE_BYTES = 64 * 1024


@click.command("reseal", cls=SettingsCommand, params=[*declared(DATABASE)])
def reseal() -> None:
    """Seal every key, and the secrets of webhooks, with the first of the encryption-keys."""
    settings = settings_of(click.get_current_context())

    async def again(database: Database) -> int:
        managed = managed_providers(database, settings, now)
        return await managed.reseal() + await Webhooks(database, managed.sealer, now=now).reseal()

    try:
        click.echo(f"Keys sealed again: {run(again)}.")
    except (InvalidProviderError, SealError) as error:
        raise click.ClickException(str(error.args[0])) from error


def read_keys(files: Sequence[Path]) -> list[str]:
    """Read keys, one a line, from files; `-` is standard input."""
    return [line.strip() for file in files for line in read_lines(file) if line.strip()]


def read_lines(file: Path) -> list[str]:
    """Read the lines of a small file; `-` is standard input."""
    try:
        if file == STANDARD_INPUT:
            text = sys.stdin.read(MAX_FILE_BYTES + 1)
        else:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.ClickException(f"{file} cannot be read: {reason}") from error
    if len(text) > MAX_FILE_BYTES:
        raise click.ClickException(f"{file} is too large for keys")
    return text.splitlines()


def read_text(file: Path) -> str:
    """Read a text; an empty file removes the value."""
    return "\n".join(read_lines(file)).strip()
