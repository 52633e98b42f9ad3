"""`groups`: groups of users."""

from __future__ import annotations

import click

from commands.command import command, groups_of, run
from commands.output import format_time, json_option, show
from resources.accounts.groups import ListedGroup


@click.group()
def groups() -> None:
    """Add, list and remove groups of users and their members."""


@command(groups, "add")
@click.argument("name")
@click.option("--display-name", metavar="TEXT", default="", help="Display name; default: NAME.")
def add_group(name: str, display_name: str) -> None:
    """Add the group NAME, without members."""
    group = run(lambda database: groups_of(database).add(name, display_name=display_name))
    click.echo(f"Added the group {group.name}.")


@command(groups, "list")
@json_option
def list_groups(as_json: bool) -> None:
    """List the groups, by name. The group everyone, which is built in and has all users, is not among them."""
    _, found = run(lambda database: groups_of(database).page(limit=0, offset=0))
    rows = [
        (group.name, group.display_name, str(members), format_time(group.created_at, ""), str(group.id))
        for group, members in found
    ]
    structs = [ListedGroup.extending(group, members=members) for group, members in found]
    show(structs, ("NAME", "DISPLAY NAME", "MEMBERS", "CREATED", "ID"), rows, as_json)


@command(groups, "members")
@click.argument("group")
@json_option
def list_members(group: str, as_json: bool) -> None:
    """List the users in GROUP, by name."""
    _, found = run(lambda database: groups_of(database).members_page(group, limit=0, offset=0))
    rows = [(user.username, user.role, user.name, str(user.id)) for user in found]
    show(found, ("NAME", "ROLE", "FULL NAME", "ID"), rows, as_json)


@command(groups, "add-member")
@click.argument("group")
@click.argument("users", metavar="USER..", nargs=-1, required=True)
def add_member(group: str, users: tuple[str, ...]) -> None:
    """Add each USER to GROUP: all of them, or none if one is not possible."""
    found = run(lambda database: groups_of(database).add_members(group, users))
    click.echo(f"In the group {found.name}: {', '.join(users)}.")


@command(groups, "remove-member")
@click.argument("group")
@click.argument("users", metavar="USER..", nargs=-1, required=True)
def remove_member(group: str, users: tuple[str, ...]) -> None:
    """Remove each USER from GROUP: all of them, or none if one is not possible."""
    found = run(lambda database: groups_of(database).remove_members(group, users))
    click.echo(f"Not in the group {found.name}: {', '.join(users)}.")


@command(groups, "remove")
@click.argument("group")
def remove_group(group: str) -> None:
    """Remove GROUP. Its members stay users, and their calls stay recorded with it."""
    found = run(lambda database: groups_of(database).remove(group))
    click.echo(f"Removed the group {found.name}.")
