"""`users`: who may call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from commands.command import command, identities_of, people_of, run
from commands.output import format_time, json_option, show
from resources.accounts.users import ListedUser
from storage.accounts.audit import Author
from storage.accounts.users import LastOwnerError, Role

T = TypeVar("T")

HEADINGS = ("NAME", "ROLE", "FULL NAME", "GROUPS", "LAST SEEN", "SPEND", "CREATED", "ID")


force_option = click.option("--force", is_flag=True, help="Do not ask, also if NAME is the only owner.")


async def _confirmed(change: Callable[[Author], Awaitable[T]], *, force: bool) -> T:
    """Make a change of users. Ask before the only owner goes."""
    try:
        return await change(Author(force=force))
    except LastOwnerError as error:
        click.confirm(f"{error}. Go on without an owner (--force does not ask)?", abort=True, err=True)
        return await change(Author(force=True))


@click.group()
def users() -> None:
    """Add, change, list and remove users."""


@command(users, "add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.MEMBER.value,
    show_default=True,
    help="What the user may see.",
)
@click.option("--name", "full_name", metavar="TEXT", help="What the user is called; default: NAME.")
def add_user(name: str, role: str, full_name: str | None) -> None:
    """Add the user NAME. Owners and auditors see every interception, readers all without prompts, members their own."""
    user = run(lambda database: identities_of(database).add_user(name, role=Role(role), name=full_name))
    click.echo(f"Added {user.username} ({user.role}).")


@command(users, "change")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="What the user may see.")
@click.option("--name", "full_name", metavar="TEXT", help="What the user is called; empty means NAME.")
@force_option
def change_user(name: str, role: str | None, full_name: str | None, force: bool) -> None:
    """Change the given fields of the user NAME."""
    new_role = Role(role) if role else None
    user = run(
        lambda database: _confirmed(
            lambda author: identities_of(database).change_user(name, role=new_role, name=full_name, author=author),
            force=force,
        )
    )
    click.echo(f"Changed {user.username} ({user.role}).")


@command(users, "list")
@json_option
def list_users(as_json: bool) -> None:
    """List the users, by name. SPEND is what their calls of this month cost in US dollars, in UTC."""
    _, people = run(lambda database: people_of(database).page(limit=0, offset=0))
    rows = [
        (
            *(person.user.username, person.user.role, person.user.name),
            ", ".join(group.name for group in person.groups),
            *(format_time(person.last_seen_at, "never"), f"{person.spend_usd:.2f}"),
            *(format_time(person.user.created_at, ""), str(person.user.id)),
        )
        for person in people
    ]
    show([ListedUser.listed(person) for person in people], HEADINGS, rows, as_json)


@command(users, "remove")
@click.argument("name")
@force_option
def remove_user(name: str, force: bool) -> None:
    """Remove the user NAME and all of their tokens. Their records stay."""
    run(
        lambda database: _confirmed(
            lambda author: identities_of(database).remove_user(name, author=author), force=force
        )
    )
    click.echo(f"Removed {name} and revoked their tokens.")
