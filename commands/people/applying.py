"""`people apply`."""

from __future__ import annotations

from typing import BinaryIO

import click

from commands.command import command, groups_of, identities_of, now, run, tokens_of
from commands.people.plan import Step, There, What, plan
from commands.people.reading import MAX_FILE_BYTES, InvalidPeopleError, People, read_people
from commands.providers.work import provider_names
from limits.policies.notes import notes_on
from limits.policies.sources import Level
from storage.accounts.audit import Author
from storage.accounts.users import Role
from storage.mongo.database import Database
from storage.policies.documents import level_of
from storage.policies.store import PolicyStore

# That an owner is left at the end was checked before the first step.
_AUTHOR = Author(force=True)


@click.group()
def people() -> None:
    """Make users, groups and policies as a file says, so that they can live in version control."""


@command(people, "apply")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only print the difference.")
@click.option("--remove", "removes", is_flag=True, help="Remove what is missing in the sections of FILE.")
def apply_file(file: BinaryIO, dry_run: bool, removes: bool) -> None:
    """Make users, groups and policies as FILE says, in YAML or JSON; - is the standard input.

    The file is checked as a whole before anything is changed. Again, it changes nothing more.
    """
    try:
        wanted = read_people(file.read(MAX_FILE_BYTES + 1))
        steps, providers = run(lambda database: _apply(database, wanted, dry_run=dry_run, removes=removes))
    except InvalidPeopleError as error:
        raise click.ClickException(f"nothing was changed: {error}") from error
    for step in steps:
        if step.text:
            click.echo(step.text)
    if not steps:
        click.echo("Nothing is different.")
    for (level, reference), policy in (wanted.policies or {}).items():
        for note in notes_on(policy, providers):
            click.echo(f"Note: {level} {reference}: {note}".replace(" :", ":"), err=True)


async def _apply(
    database: Database, wanted: People, *, dry_run: bool, removes: bool
) -> tuple[list[Step], frozenset[str]]:
    """Apply the steps, and return them with the names of known providers."""
    identities, groups, providers = identities_of(database), groups_of(database), await provider_names(database)
    store = PolicyStore(database, identities, groups, now=now)
    _, listed = await groups.page(limit=0, offset=0)
    _, policies = await store.page(limit=0, offset=0)
    users = await identities.list_users()
    tokens = {reference for level, reference in wanted.policies or () if level is Level.TOKEN}
    tokens |= {kept.source.key for kept in policies if kept.source.level is Level.TOKEN}
    active = {one.id for one in (await tokens_of(database).by_id(tokens)).values() if one.revoked_at is None}
    there = There(users, [group for group, _ in listed], policies, frozenset(active))
    steps = plan(wanted, there, removes=removes)
    if not dry_run:
        for step in steps:
            await _do(step, database, store)
    return steps, providers


async def _do(step: Step, database: Database, store: PolicyStore) -> None:
    identities, groups, given = identities_of(database), groups_of(database), step.given
    match step.what:
        case What.ADD_GROUP:
            await groups.add(step.name, display_name=given.display_name or "")
        case What.CHANGE_GROUP:
            await groups.change(step.name, display_name=given)
        case What.REMOVE_GROUP:
            await groups.remove(step.name)
        case What.ADD_USER:
            await identities.add_user(
                step.name,
                role=given.role,
                name=given.name or None,
            )
        case What.CHANGE_USER:
            role = Role(given["role"]) if "role" in given else None
            await identities.change_user(
                step.name,
                role=role,
                name=given.get("name"),
                author=_AUTHOR,
            )
        case What.REMOVE_USER:
            await identities.remove_user(step.name, author=_AUTHOR)
        case What.JOIN:
            await groups.add_members(given, [step.name])
        case What.LEAVE:
            await groups.remove_members(given, [step.name])
        case What.SET_POLICY | What.REMOVE_POLICY:
            await store.change(*level_of(step.name), lambda _: given)
