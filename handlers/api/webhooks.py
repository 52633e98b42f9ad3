"""Webhooks, which receive alerts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET

from handlers.operations.operation import OWNERS, Ask, Tagged, Versions, operation
from resources.alerts.webhooks import ListedWebhook, NewWebhook, SentTest, WebhookChange
from resources.fields import WholeList, doc
from storage.alerts.documents import AlertType, KeptDelivery, Webhook
from storage.alerts.outbox import Outbox
from storage.alerts.webhooks import UNKNOWN, Webhooks

Id = Annotated[UUID, doc("The id of the webhook.")]


def _webhooks(ask: Ask) -> Webhooks:
    return Webhooks(ask.bridge.database, ask.bridge.managed.sealer, now=ask.bridge.now)


def _outbox(ask: Ask) -> Outbox:
    return Outbox(ask.bridge.database, now=ask.bridge.now)


async def _shown(ask: Ask, webhook: Webhook) -> Tagged[ListedWebhook]:
    waiting = await _outbox(ask).waiting()
    return Tagged(ListedWebhook.extending(webhook, waiting=waiting.get(webhook.id, 0)), webhook.version)


@operation("GET", "webhooks", OWNERS)
async def list_webhooks(ask: Ask) -> WholeList[ListedWebhook]:
    """List webhooks.

    Each with the result of its last delivery.
    """
    webhooks, waiting = await _webhooks(ask).list_all(), await _outbox(ask).waiting()
    return WholeList([ListedWebhook.extending(one, waiting=waiting.get(one.id, 0)) for one in webhooks])


@operation(
    "POST",
    "webhooks",
    OWNERS,
    status=201,
    located="id",
    raises={409: "There are too many."},
    example=NewWebhook(url="https://hooks.example.com/aibridge"),
)
async def add_webhook(ask: Ask, body: NewWebhook) -> Tagged[ListedWebhook]:
    """Add a webhook.

    Messages are signed as in Standard Webhooks. Only this response has the secret.
    """
    types = list(AlertType) if body.types is UNSET else body.types
    webhook, secret = await _webhooks(ask).add(body.url, types, description=body.description, author=ask.author)
    return Tagged(ListedWebhook.extending(webhook, waiting=0, secret=secret), webhook.version)


@operation("GET", "webhooks/{id}", OWNERS, unknown=UNKNOWN)
async def get_webhook(ask: Ask, id_: Id) -> Tagged[ListedWebhook]:
    """Read a webhook."""
    return await _shown(ask, await _webhooks(ask).find(id_))


@operation("PATCH", "webhooks/{id}", OWNERS, unknown=UNKNOWN, example=WebhookChange(disabled=True))
async def change_webhook(ask: Ask, id_: Id, body: WebhookChange, versions: Versions) -> Tagged[ListedWebhook]:
    """Change a webhook.

    Fields that are not given stay unchanged.
    """
    return await _shown(ask, await _webhooks(ask).change(id_, body.changes, versions=versions, author=ask.author))


@operation("DELETE", "webhooks/{id}", OWNERS, unknown=UNKNOWN)
async def remove_webhook(ask: Ask, id_: Id, versions: Versions) -> None:
    """Remove a webhook.

    Its waiting deliveries are removed too.
    """
    await _webhooks(ask).remove(id_, versions=versions, author=ask.author)


@operation("GET", "webhooks/{id}/deliveries", OWNERS, unknown=UNKNOWN)
async def list_deliveries(ask: Ask, id_: Id) -> WholeList[KeptDelivery]:
    """List the last deliveries of a webhook.

    The newest, the last one first.
    """
    webhook = await _webhooks(ask).find(id_)
    return WholeList(await _outbox(ask).latest(webhook.id))


@operation("POST", "webhooks/{id}/test", OWNERS, status=202, unknown=UNKNOWN)
async def test_webhook(ask: Ask, id_: Id) -> SentTest:
    """Send a test to a webhook.

    The result is in `last_delivery` of the webhook, a few seconds later.
    """
    webhook = await _webhooks(ask).find(id_)
    return SentTest(await _outbox(ask).send_test(webhook.id))
