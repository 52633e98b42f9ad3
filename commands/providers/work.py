"""Shared by commands about providers: work on the database, keys, and output.

What cannot be done, or read, raises `click.ClickException`, which is shown as one line, with exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from commands.command import now, run
from resources.bodies import InvalidBodyError
from resources.provider_bodies import check_provider
from settings import flags_of, load, settings_of
from storage.alerts.webhooks import Webhooks
from storage.mongo.database import Database
from storage.providers.documents import ProviderConflictError, ProviderError, UnknownProviderError
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import Sealer, SealError
from upstream.credentials.access import credential_hint
from upstream.providers.presets import ProviderType

T = TypeVar("T")

STANDARD_INPUT = Path("-")
MAX_FILE_BYTES = 64 * 1024


def work(do: Callable[[ManagedProviders], Awaitable[T]]) -> T:
    """Work on the providers of the database."""
    return work_on_seals(lambda managed, _: do(managed))


def work_on_seals(do: Callable[[ManagedProviders, Webhooks], Awaitable[T]]) -> T:
    """Work on all that is sealed in the database."""
    sealer = Sealer(settings_of(click.get_current_context()).encryption_keys)
    try:
        return run(
            lambda database: do(
                ManagedProviders(database, sealer, check=check_provider, hint=credential_hint, now=now),
                Webhooks(database, sealer, now=now),
            )
        )
    except (ProviderError, ProviderConflictError, UnknownProviderError, SealError) as error:
        raise click.ClickException(str(error.args[0])) from error


async def provider_names(database: Database) -> frozenset[str]:
    """The names of providers that a command knows: of its environment, of the database, and `demo`. Servers may have more."""
    managed = ManagedProviders(database, Sealer(), check=check_provider, hint=credential_hint, now=now)
    stored = [one.spec.name for one in await managed.list_all()]
    configured = [one.name for one in load(flags_of(click.get_current_context()), os.environ).providers]
    return frozenset([*configured, *stored, ProviderType.DEMO])


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


FIELDS_OF_FILES = {
    "ca_file": "ca_certificates",
    "client_certificate_file": "client_certificate",
    "proxy_credentials_file": "proxy_credentials",
    "aws_access_key_file": "aws_access_key",
}
"""By the field that names a file, the field that gets its content."""


def read_text(file: Path) -> str:
    """Read a text; an empty file removes the value."""
    return "\n".join(read_lines(file)).strip()


def in_words(error: InvalidBodyError) -> str:
    """The errors of a provider, in one line."""
    return "; ".join(f"{field}: {problem}" for field, problem in error.problems) or "it must be a JSON object"
