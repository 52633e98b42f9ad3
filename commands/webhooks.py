"""`webhooks`: webhooks that receive alerts."""

from __future__ import annotations

from uuid import UUID

import click

from commands.command import Read, command, now, run
from commands.output import format_time, json_option, show
from resources.alerts.webhooks import ListedWebhook, read_url
from settings import settings_of
from storage.alerts.documents import AlertType, Webhook
from storage.alerts.outbox import Outbox
from storage.alerts.webhooks import Webhooks
from storage.mongo.database import Database
from storage.providers.sealing import Sealer


@click.group()
def webhooks() -> None:
    """Manage webhooks that receive alerts."""


@command(webhooks, "list")
@json_option
def list_webhooks(as_json: bool) -> None:
    """List the webhooks, with what became of the last delivery of each."""

    async def read(database: Database) -> tuple[list[Webhook], dict[UUID, int]]:
        return await _webhooks(database).list_all(), await Outbox(database, now=now).waiting()

    found, waiting = run(read)
    rows = [
        (
            *(str(one.id), one.url, "off" if one.disabled else "on", str(waiting.get(one.id, 0))),
            *(
                ("", "")
                if (last := one.last_delivery) is None
                else (format_time(last.at, ""), last.error or "delivered")
            ),
        )
        for one in found
    ]
    structs = [ListedWebhook.extending(one, waiting=waiting.get(one.id, 0)) for one in found]
    show(structs, ("ID", "URL", "STATE", "WAITING", "LAST TRY", "RESULT"), rows, as_json)


@command(webhooks, "add")
@click.argument("url", type=Read("URL", read_url))
@click.option(
    "--type", "types", type=click.Choice([one.value for one in AlertType]), multiple=True, help="Default: all."
)
@click.option("--description", default="", help="In your words.")
def add_webhook(url: str, types: tuple[str, ...], description: str) -> None:
    """Have alerts posted to URL: https, or http to this machine. The secret is printed once."""
    wanted = tuple(map(AlertType, types)) or tuple(AlertType)
    webhook, secret = run(lambda database: _webhooks(database).add(url, wanted, description=description))
    click.echo(f"Added the webhook {webhook.id}. Its secret, which is not shown again:", err=True)
    click.echo(secret)


@command(webhooks, "remove")
@click.argument("id_", metavar="ID", type=click.UUID)
def remove_webhook(id_: UUID) -> None:
    """Remove the webhook ID and its waiting deliveries."""
    run(lambda database: _webhooks(database).remove(id_))
    click.echo(f"Removed the webhook {id_}.")


@command(webhooks, "test")
@click.argument("id_", metavar="ID", type=click.UUID)
def test_webhook(id_: UUID) -> None:
    """Let a running server send a test to the webhook ID. `webhooks list` shows the result."""

    async def send(database: Database) -> str:
        webhook = await _webhooks(database).find(id_)
        return await Outbox(database, now=now).send_test(webhook.id)

    click.echo(f"On its way: {run(send)}.")


def _webhooks(database: Database) -> Webhooks:
    sealer = Sealer(settings_of(click.get_current_context()).encryption_keys)
    return Webhooks(database, sealer, now=now)
