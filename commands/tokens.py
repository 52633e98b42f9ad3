"""`tokens`: what users call with."""

from __future__ import annotations

from datetime import timedelta

import click

from commands.command import command, identities_of, now, run
from commands.output import format_time, json_option, show
from settings.kinds import POSITIVE_DURATION
from storage.accounts.identities import Token


@click.group()
def tokens() -> None:
    """Create, list and revoke users' tokens."""


@command(tokens, "create")
@click.argument("user")
@click.option("--name", metavar="TEXT", default="", help="What it is for.")
@click.option("--expires", type=POSITIVE_DURATION, help="How long it is valid, such as 90d; default: for ever.")
def create_token(user: str, name: str, expires: timedelta | None) -> None:
    """Create a token for USER and print it. It is shown only once: the database has only its hash."""
    expires_at = None if expires is None else now() + expires
    token, secret = run(lambda database: identities_of(database).create_token(user, name=name, expires_at=expires_at))
    click.echo(f"Token {token.id} of {user}, {_lifetime(token)}. It will not be shown again:", err=True)
    click.echo(secret)


def _lifetime(token: Token) -> str:
    return "valid until revoked" if token.expires_at is None else f"valid until {format_time(token.expires_at, '')}"


@command(tokens, "list")
@click.argument("user")
@json_option
def list_tokens(user: str, as_json: bool) -> None:
    """List the tokens of USER, oldest first."""
    found = run(lambda database: identities_of(database).list_tokens(user))
    rows = [
        (
            token.id,
            token.name,
            format_time(token.created_at, ""),
            format_time(token.expires_at, "never"),
            format_time(token.revoked_at, ""),
        )
        for token in found
    ]
    show(found, ("ID", "NAME", "CREATED", "EXPIRES", "REVOKED"), rows, as_json)


@command(tokens, "revoke")
@click.argument("token_id", metavar="ID")
def revoke_token(token_id: str) -> None:
    """Revoke the token ID, the part of it before the hyphen."""
    run(lambda database: identities_of(database).revoke_token(token_id))
    click.echo(f"Revoked {token_id}.")
