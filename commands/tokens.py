"""`tokens`: what users call with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta

import click

from commands.command import command, identities_of, now, run, tokens_of
from commands.output import format_time, json_option, show
from resources.accounts.tokens import FoundToken
from resources.fields import Initiator
from settings.kinds import DURATION, POSITIVE_DURATION
from storage.accounts.identities import Token
from storage.accounts.tokens.text import split_token
from storage.queries.accounts.tokens import TokenDetails


@click.group()
def tokens() -> None:
    """Create, find, replace and revoke tokens."""


@command(tokens, "create")
@click.argument("user")
@click.option("--name", metavar="TEXT", default="", help="Its purpose.")
@click.option("--expires", type=POSITIVE_DURATION, help="How long it is valid, such as 90d; default: forever.")
def create_token(user: str, name: str, expires: timedelta | None) -> None:
    """Create a token for USER and print it. It is shown only once: the database has only its hash.

    groups/GROUP instead of USER makes a service token, which belongs to that group.
    """
    expires_at = None if expires is None else now() + expires
    token, secret = run(lambda database: identities_of(database).create_token(user, name=name, expires_at=expires_at))
    click.echo(f"Token {token.id} of {user}, {_lifetime(token)}. It will not be shown again:", err=True)
    click.echo(secret)


def _lifetime(token: Token) -> str:
    return "valid until revoked" if token.expires_at is None else f"valid until {format_time(token.expires_at, '')}"


HEADINGS = ("ID", "USER", "NAME", "CREATED", "EXPIRES", "REVOKED", "LAST USED", "CLIENT")


def _show(found: Iterable[TokenDetails], as_json: bool) -> None:
    listed = list(found)
    rows = [
        (
            *(one.token.id, one.user.username, one.token.name, format_time(one.token.created_at, "")),
            *(format_time(one.token.expires_at, "never"), format_time(one.token.revoked_at, "")),
            *((format_time(one.last_use.at, "never"), one.last_use.client) if one.last_use else ("never", "")),
        )
        for one in listed
    ]
    tokens = [FoundToken.used(one.token, one.last_use, user=Initiator.of_user(one.user)) for one in listed]
    show(tokens, HEADINGS, rows, as_json)


@command(tokens, "list")
@click.argument("user")
@json_option
def list_tokens(user: str, as_json: bool) -> None:
    """List the tokens of USER, oldest first. The service tokens of a group are those of groups/GROUP."""
    _, found = run(lambda database: tokens_of(database).of_user(user, limit=0, offset=0))
    _show(reversed(found), as_json)


@command(tokens, "find")
@click.argument("text", default="")
@json_option
def find_tokens(text: str, as_json: bool) -> None:
    """List the tokens of all users that have the id TEXT, or TEXT in their name or in that of their user."""
    if split_token(text):
        raise click.ClickException("give a token to `tokens lookup`, which reads it, and never on the command line")
    _, found = run(lambda database: tokens_of(database).search(text, limit=0, offset=0))
    _show(found, as_json)


@command(tokens, "lookup")
@json_option
def look_up_token(as_json: bool) -> None:
    """Read a token from the standard input and say whose it is. It does not belong on a command line."""
    text = sys.stdin.readline().strip()
    _show([run(lambda database: tokens_of(database).lookup(text))], as_json)


@command(tokens, "replace")
@click.argument("token_id", metavar="ID")
@click.option("--overlap", type=DURATION, default="24h", show_default=True, help="How long the old token stays valid.")
@click.option(
    "--expires", type=POSITIVE_DURATION, help="How long the new token is valid; default: as long as the old one."
)
def replace_token(token_id: str, overlap: timedelta, expires: timedelta | None) -> None:
    """Create a token for the user and with the name of the token ID, and print it. The old one works on for a while."""
    expires_at = None if expires is None else now() + expires
    token, secret = run(
        lambda database: identities_of(database).replace_token(token_id, overlap=overlap, expires_at=expires_at)
    )
    click.echo(f"Token {token.id} instead of {token_id}, {_lifetime(token)}. It will not be shown again:", err=True)
    click.echo(secret)


@command(tokens, "revoke")
@click.argument("token_id", metavar="ID")
def revoke_token(token_id: str) -> None:
    """Revoke the token ID, the part of it before the hyphen."""
    run(lambda database: identities_of(database).revoke_token(token_id))
    click.echo(f"Revoked {token_id}.")
