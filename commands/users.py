"""`users`: who may call."""

from __future__ import annotations

import click

from commands.command import command, identities_of, run
from commands.output import format_time, json_option, show
from storage.accounts.identities import Role


@click.group()
def users() -> None:
    """Add, list and remove users."""


@command(users, "add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.MEMBER.value,
    show_default=True,
    help="What they may see.",
)
@click.option("--display-name", metavar="TEXT", help="Name to show; default: NAME.")
def add_user(name: str, role: str, display_name: str | None) -> None:
    """Add the user NAME. Owners and auditors see every interception, members their own."""
    user = run(lambda database: identities_of(database).add_user(name, role=Role(role), display_name=display_name))
    click.echo(f"Added {user.username} ({user.role}).")


@command(users, "list")
@json_option
def list_users(as_json: bool) -> None:
    """List the users, by name."""
    found = run(lambda database: identities_of(database).list_users())
    rows = [
        (user.username, user.role, user.display_name, format_time(user.created_at, ""), str(user.id)) for user in found
    ]
    show(found, ("NAME", "ROLE", "DISPLAY NAME", "CREATED", "ID"), rows, as_json)


@command(users, "remove")
@click.argument("name")
def remove_user(name: str) -> None:
    """Remove the user NAME and all of their tokens. Their records stay."""
    run(lambda database: identities_of(database).remove_user(name))
    click.echo(f"Removed {name} and revoked their tokens.")
