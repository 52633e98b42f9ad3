"""`providers check`: whether a provider in the database can be reached, from where the command runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from commands.command import command
from commands.providers.work import work
from settings import Settings, settings_of
from storage.providers.documents import StoredProvider
from storage.providers.managed import ManagedProviders
from upstream.client import UpstreamClient
from upstream.providers.provider import Provider
from upstream.providers.provider_check import CheckResult, check_provider

Make = Callable[[Settings, StoredProvider, tuple[str, ...], Mapping[str, str]], Provider]


def add_check(group: click.Group, make: Make) -> None:
    """Add the command to a group; `make` creates a provider from its document, keys and secrets."""

    @command(group, "check")
    @click.argument("name")
    def check(name: str) -> None:
        """Check the provider NAME: request its models with each of its keys."""
        settings = settings_of(click.get_current_context())

        async def check_all(managed: ManagedProviders) -> list[CheckResult]:
            stored = await managed.find(name)
            sealer = managed.sealer
            keys = tuple(sealer.open(key.sealed, stored.id) for key in stored.keys)
            secrets = {name: sealer.open_named(name, one.sealed, stored.id) for name, one in stored.secrets.items()}
            try:
                provider = make(settings, stored, keys, secrets)
            except (ValueError, OSError) as error:  # of TLS the latter
                raise click.ClickException(f"{name} cannot be used by this version: {error}") from error
            client = UpstreamClient(idle_timeout=settings.upstream_idle_timeout.total_seconds())
            try:
                return await check_provider(provider, client)
            finally:
                await client.close()

        results = work(check_all)
        for result in results:
            key = f"key {result.hint}" if result.hint else "without a key"
            click.echo(f"{'ok' if result.is_well else 'FAILED'}  {key}: {result.message}")
        if not all(result.is_well for result in results):
            raise click.exceptions.Exit(1)
