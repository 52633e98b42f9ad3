"""`providers list`, `add`, `set`, `remove`, `apply` and `reseal`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs

from commands.command import Command, command
from commands.output import json_option, show
from commands.providers.plan import PlannedFile, Step, plan, read_file
from commands.providers.work import (
    FIELDS_OF_FILES,
    condition,
    describe,
    in_words,
    read_keys,
    read_text,
    work,
    work_on_seals,
)
from resources.bodies import Body, InvalidBodyError
from resources.provider_bodies import NewProvider, ProviderChange
from resources.provider_fields import TYPES
from resources.providers import KeyCondition
from storage.alerts.webhooks import Webhooks
from storage.providers.documents import StoredProvider
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import Sealer
from upstream.credentials.access import Credential
from upstream.providers.presets import PRESETS, ProviderType

FILE_FIELDS = {
    "ca_file": "File with additional certificate authorities, in PEM.",
    "client_certificate_file": "File with a client certificate and its key, in PEM.",
    "proxy_credentials_file": "File with USER:PASSWORD for its proxy.",
    "aws_access_key_file": "File with the access key of AWS that signs: ID:SECRET, and perhaps :TOKEN.",
}
FILES = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.group()
def providers() -> None:
    """List, add, change and check the providers in the database."""


def _names(_context: click.Context, _option: click.Parameter, text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _options(*, new: bool) -> Callable[[Command], Command]:
    options = [
        click.option(
            "--type", "type", type=click.Choice([one.value for one in TYPES]), required=new,
            help="Type: its API and how it is reached.",
        ),
        click.option("--base-url", metavar="URL", help="Address; default: that of the type's vendor."),
        click.option(
            "--credential", type=click.Choice([one.value for one in Credential]), help="How its key is sent."
        ),
        click.option(
            "--proxy-url", metavar="URL",
            help="Proxy for it, without user and password, or `none`. Default: the proxy of the server.",
        ),
        *(
            click.option(f"--{field.replace('_', '-')}", type=FILES, metavar="FILE", callback=_content, help=text)
            for field, text in FILE_FIELDS.items()
        ),
        click.option(
            "--fallback", metavar="NAMES", callback=_names,
            help="Providers that are tried if it cannot answer, separated by commas; empty removes them.",
        ),
        click.option("--weight", type=int, help="Share of the load between it and its fallbacks; 0 is none."),
        click.option(
            "--key-file", "key_files", type=FILES, multiple=True,
            help="File with keys, one a line; - is standard input. They replace those that are there.",
        ),
        click.option("--region", metavar="TEXT", help="Region of its cloud."),
        click.option("--project", metavar="TEXT", help="Project of Google Cloud."),
    ]  # fmt: skip

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _content(_context: click.Context, _option: click.Parameter, file: Path | None) -> str | None:
    return None if file is None else read_text(file)


def _read(kind: type[Body], given: dict[str, Any]) -> Any:
    """Read options as the API would read a body.

    Raises:
        click.ClickException: they cannot be used.
    """
    try:
        known = {FIELDS_OF_FILES.get(name, name): value for name, value in given.items() if value is not None}
        return kind.read(msgspec.json.encode(known))
    except InvalidBodyError as error:
        raise click.ClickException(in_words(error)) from error


@command(providers, "list")
@json_option
def list_providers(as_json: bool) -> None:
    """List the providers in the database. Those of the environment are not among them."""

    async def find(managed: ManagedProviders) -> tuple[list[StoredProvider], Sealer]:
        return await managed.list_all(), managed.sealer

    found, sealer = work(find)
    rows = (
        (
            one.spec.name,
            one.spec.type,
            "disabled" if one.spec.disabled else "enabled",
            ", ".join(_name_key(one, key.hint, key.sealed, sealer) for key in one.keys) or "-",
            one.spec.base_url or _usual_url(one) or "-",
        )
        for one in found
    )
    show((describe(one, sealer) for one in found), ("NAME", "TYPE", "STATE", "KEYS", "BASE URL"), rows, as_json)


def _usual_url(provider: StoredProvider) -> str:
    spec = provider.spec
    return PRESETS[ProviderType(spec.type)].url_in(spec.region) if spec.type in PRESETS else ""


def _name_key(provider: StoredProvider, hint: str, sealed: bytes, sealer: Sealer) -> str:
    return hint if condition(provider, sealed, sealer) is KeyCondition.READY else f"{hint} (sealed)"


@command(providers, "add")
@click.argument("name")
@_options(new=True)
@click.option("--disabled", is_flag=True, help="Refuse its calls with 503.")
def add_provider(name: str, key_files: tuple[Path, ...], disabled: bool, **given: Any) -> None:
    """Add the provider NAME. Every server on the database calls it within 2 seconds."""
    keys = read_keys(key_files)
    body: NewProvider = _read(NewProvider, {"name": name, "keys": keys, "disabled": disabled, **given})
    added = work(lambda managed: managed.add(body.spec, body.new_keys, body.secrets))
    click.echo(f"Added {name} ({added.spec.type}, {_counted(len(added.keys))}).")


@command(providers, "set")
@click.argument("name")
@_options(new=False)
@click.option("--disabled/--enabled", default=None, help="Refuse its calls with 503, or accept them again.")
def set_provider(name: str, key_files: tuple[Path, ...], disabled: bool | None, **given: Any) -> None:
    """Change the given fields of the provider NAME. Running calls are not affected."""
    keys = read_keys(key_files) if key_files else None
    body: ProviderChange = _read(ProviderChange, {"keys": keys, "disabled": disabled, **given})
    changed = work(lambda managed: managed.change(name, body.changes, body.given_keys, body.secrets))
    state = "disabled" if changed.spec.disabled else "enabled"
    click.echo(f"{name} is a provider of the type {changed.spec.type}, {state}, {_counted(len(changed.keys))}.")


@command(providers, "remove")
@click.argument("name")
def remove_provider(name: str) -> None:
    """Remove the provider NAME and its keys. Records stay."""
    work(lambda managed: managed.remove(name))
    click.echo(f"Removed {name}.")


@command(providers, "reseal")
def reseal() -> None:
    """Seal every key, and the secrets of webhooks, with the first of the encryption-keys."""

    async def again(managed: ManagedProviders, webhooks: Webhooks) -> int:
        return await managed.reseal() + await webhooks.reseal()

    click.echo(f"Keys sealed again: {work_on_seals(again)}.")


@command(providers, "apply")
@click.argument("file", type=FILES)
@click.option("--dry-run", is_flag=True, help="Only print the difference.")
def apply_file(file: Path, dry_run: bool) -> None:
    """Make the providers in the database match FILE, which is JSON. Providers that are not in it are removed."""
    wanted = read_file(file)

    async def apply(managed: ManagedProviders) -> list[Step]:
        steps = plan(wanted, await managed.list_all(), managed.sealer)
        if not dry_run:
            for step in steps:
                await _do(step, managed)
        return steps

    steps = work(apply)
    for step in steps:
        click.echo(step.text)
    if not steps:
        click.echo("Nothing is different.")


async def _do(step: Step, managed: ManagedProviders) -> None:
    wanted: PlannedFile | None = step.wanted
    if wanted is None:
        await managed.remove(step.name)
    elif step.is_new:
        await managed.add(wanted.spec, wanted.keys, wanted.secrets)
    else:
        changes = {name: value for name, value in structs.asdict(wanted.spec).items() if name in step.changes}
        await managed.change(step.name, changes, step.keys, step.secrets)


def _counted(keys: int) -> str:
    return f"{keys} key{'' if keys == 1 else 's'}"
