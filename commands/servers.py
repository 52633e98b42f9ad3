"""Which servers of this account run on this machine: for a command on another database, and for `health`.

Each server has a file in a private folder, locked for as long as it runs. A file without a lock is that of a server that
was killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from settings import Settings, scrub_uri

FOLDER = Path(os.environ.get("TMPDIR") or "/tmp") / f"aibridge-servers-{os.geteuid()}"  # noqa: S108 - it is checked


class DatabaseChoice(msgspec.Struct, frozen=True):
    """Which database: `key` compares two of them, `text` and `remedy` are for people. None of them has a password."""

    key: str
    text: str
    remedy: str


class LocalServer(msgspec.Struct, frozen=True):
    """A running server: its address and its database."""

    url: str
    database: DatabaseChoice


def chosen_database(settings: Settings) -> DatabaseChoice:
    """The database of these settings."""
    if not settings.mongodb_uri:
        data_dir = settings.data_dir.resolve()
        return DatabaseChoice(
            key=f"{data_dir}:{settings.mongodb_database}",
            text=f"the embedded one of the data-dir {data_dir}",
            remedy=f"--data-dir {shlex.quote(str(data_dir))}",
        )
    hosts = re.sub(r"^[a-z+]*://(.*@)?", "", settings.mongodb_uri, flags=re.IGNORECASE | re.DOTALL)
    hosts = ",".join(sorted(re.split("[/?]", hosts.lower())[0].split(",")))
    return DatabaseChoice(
        key=f"mongodb://{hosts}/{settings.mongodb_database}",
        text=f"{settings.mongodb_database} at {scrub_uri(settings.mongodb_uri)}",
        remedy="mongodb-uri and mongodb-database as that server has them",
    )


@contextmanager
def announced(server: LocalServer) -> Iterator[None]:
    """Register this server for commands during the block, if the file can be written."""
    path = FOLDER / f"{os.getpid()}.json"
    descriptor = None
    with suppress(OSError):
        if _is_private(make=True):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, msgspec.json.encode(server))
    try:
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def running_servers() -> list[LocalServer]:
    """The servers that run, by their address. What a killed one left is removed."""
    try:
        paths = list(FOLDER.glob("*.json")) if _is_private(make=False) else []
    except OSError:
        return []
    found = [server for path in paths if (server := _read(path)) is not None]
    return sorted(found, key=lambda server: server.url)


def warning(settings: Settings) -> str:
    """What to say before a command works with these settings; empty where no server runs, or one on its database."""
    servers, own = running_servers(), chosen_database(settings)
    if any(server.database.key == own.key for server in servers):
        return ""
    return "\n".join(
        f"Warning: the server at {server.url} uses another database: {server.database.text}. "
        f"This command uses {own.text}. To use the server's, set {server.database.remedy}."
        for server in servers
    )


def _is_private(*, make: bool) -> bool:
    """Whether the folder is this account's alone: where it is made, everybody may make something."""
    with suppress(FileExistsError):
        if make:
            FOLDER.mkdir(mode=0o700)
    status = FOLDER.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _read(path: Path) -> LocalServer | None:
    with suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return msgspec.json.decode(file.read(), type=LocalServer)
        path.unlink(missing_ok=True)
    return None


SECONDS = 3.0
"""Time for each step of a connection to a server."""


@click.command()
def health() -> None:
    """Check that each server of this account on this machine answers.

    For the health check of a container. Exit code 1: one does not answer, or there is none.
    """
    servers = running_servers()
    if not servers:
        raise click.ClickException("no server of this account runs on this machine")
    for server in servers:
        try:
            status = _ask(server.url)
        except (OSError, HTTPException) as error:
            raise click.ClickException(f"{server.url} does not answer: {error}") from error
        if status != 200:  # noqa: PLR2004 - OK
            raise click.ClickException(f"{server.url} answers with {status}")
        click.echo(f"{server.url} answers.")


def _ask(url: str) -> int:
    """The status of its `/healthz`. Its certificate is for the name that clients use, and not for this address."""
    parts = urlsplit(url)
    connection: HTTPConnection
    if parts.scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(parts.netloc, timeout=SECONDS, context=tls)
    else:
        connection = HTTPConnection(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()
