"""`providers apply` and `reseal`."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import structs

from commands.providers.plan import PlannedFile, Step, plan, read_file
from commands.providers.work import work, work_on_seals
from settings import SettingsCommand, declared
from settings.declarations import DATABASE
from storage.alerts.webhooks import Webhooks
from storage.providers.managed import ManagedProviders

FILES = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command("reseal", cls=SettingsCommand, params=[*declared(DATABASE)])
def reseal() -> None:
    """Seal every key, and the secrets of webhooks, with the first of the encryption-keys."""

    async def again(managed: ManagedProviders, webhooks: Webhooks) -> int:
        return await managed.reseal() + await webhooks.reseal()

    click.echo(f"Keys sealed again: {work_on_seals(again)}.")


@click.command("apply", cls=SettingsCommand, params=[*declared(DATABASE)])
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
