"""`policies`: which models users may call, and how much."""

from __future__ import annotations

from typing import BinaryIO

import click
import msgspec

from commands.command import Read, command, groups_of, identities_of, now, run
from commands.output import format_time, json_option, show
from commands.providers.work import provider_names
from limits.policies.notes import notes_on
from limits.policies.policy import AnyPolicy
from limits.policies.reading import InvalidPolicyError, fields_of, merge, read_object, read_policy
from limits.policies.sources import Level
from resources.accounts.policies import ListedPolicy
from storage.mongo.database import Database
from storage.policies.documents import KeptPolicy, kind_of, level_of
from storage.policies.store import PolicyStore


def _read_of(path: str) -> tuple[Level, str]:
    """Read whose policy it is, as in `groups/research`."""
    try:
        return level_of(path)
    except ValueError:
        raise ValueError("is not allowed; give everyone, groups/GROUP, users/USER or tokens/TOKEN") from None


of_argument = click.argument("of", type=Read("OF", _read_of))


@click.group()
def policies() -> None:
    """Show and set policies: which models users may call, and how much."""


@command(policies, "list")
@json_option
def list_policies(as_json: bool) -> None:
    """List whose policies there are."""
    _, found = run(lambda database: _store(database).page(limit=0, offset=0))
    structs = [ListedPolicy.of(kept) for kept in found]
    rows = [
        (one.level, one.name, format_time(kept.changed_at, ""), f"{one.path}{' (unreadable)' * bool(kept.unreadable)}")
        for one, kept in zip(structs, found, strict=True)
    ]
    show(structs, ("LEVEL", "NAME", "CHANGED", "PATH"), rows, as_json)


@command(policies, "show")
@of_argument
def show_policy(of: tuple[Level, str]) -> None:
    """Print the policy of OF as JSON, {} if there is none.

    OF is everyone, groups/GROUP, users/USER or tokens/TOKEN.
    """
    _print(run(lambda database: _store(database).get(*of)))


@command(policies, "set")
@of_argument
@click.argument("file", type=click.File("rb"))
@click.option(
    "--merge", "merges", is_flag=True, help="Change only the fields in FILE, and remove those that are null there."
)
def set_policy(of: tuple[Level, str], file: BinaryIO, merges: bool) -> None:
    """Set the policy of OF to the JSON in FILE; - is the standard input.

    OF is everyone, groups/GROUP, users/USER or tokens/TOKEN.
    """
    kind = kind_of(of[0])

    def make(before: AnyPolicy) -> AnyPolicy:
        return read_policy(merge(fields_of(before), given) if merges else given, kind)

    async def change(database: Database) -> tuple[KeptPolicy, frozenset[str]]:
        providers = await provider_names(database)
        return await _store(database).change(*of, make, uses_present=merges), providers

    try:
        given = read_object(file.read())
        kept, providers = run(change)
    except InvalidPolicyError as error:
        raise click.ClickException(f"nothing was changed: {error}") from error
    for note in notes_on(kept.policy, providers):
        click.echo(f"Note: {note}", err=True)
    _print(kept)


@command(policies, "remove")
@of_argument
def remove_policy(of: tuple[Level, str]) -> None:
    """Remove the policy of OF: everyone, groups/GROUP, users/USER or tokens/TOKEN."""
    kept = run(lambda database: _store(database).change(*of, lambda policy: type(policy)()))
    click.echo(f"No policy of {kept.source}.")


def _store(database: Database) -> PolicyStore:
    return PolicyStore(database, identities_of(database), groups_of(database), now=now)


def _print(kept: KeptPolicy) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(kept.policy), indent=2))
