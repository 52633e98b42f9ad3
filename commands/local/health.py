"""`health`: whether the servers that run here answer, for the health check of a container."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import click

from commands.local.servers import running_servers

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
