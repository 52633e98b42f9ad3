"""Webhooks, which receive alerts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from handlers.operations.operation import OWNERS, Ask, Tagged, Versions, operation
from resources.bodies import Body, OtherReaders, Readers, change_of, read_switch
from resources.fields import Count, WholeList, doc
from storage.alerts.documents import AlertType, KeptDelivery, Webhook
from storage.alerts.outbox import AlertOutbox
from storage.alerts.webhooks import UNKNOWN, Webhooks
from upstream.connections.network import is_usable_url

MAX_URL: Final = 2_000
MAX_DESCRIPTION: Final = 200

NOT_A_URL: Final = (
    f"must be an https URL of at most {MAX_URL:,} visible ASCII characters, without credentials and fragment; "
    "http is allowed to this machine alone (127.0.0.1, [::1] or localhost)"
)
NOT_A_DESCRIPTION: Final = f"must be text of at most {MAX_DESCRIPTION} characters"
NOT_TYPES: Final = f"must be an array of some of {', '.join(AlertType)}, each once"


def read_url(text: str) -> str:
    """Read where alerts are posted.

    Raises:
        ValueError: With what it must be.
    """
    if not is_usable_url(text) or len(text) > MAX_URL or "\\" in text:
        raise ValueError(NOT_A_URL)
    parts = urlsplit(text)
    return f"{parts.scheme}://{parts.netloc}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")


def _description(text: str) -> str:
    if len(text) > MAX_DESCRIPTION or not text.isprintable():
        raise ValueError(NOT_A_DESCRIPTION)
    return text


def _types(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or any(one not in list(AlertType) for one in value) or len({*value}) < len(value):
        raise ValueError(NOT_TYPES)
    return tuple(value)


_Url = Annotated[str, doc("https; http is allowed to this machine alone.")]
_Types = Annotated[list[AlertType], doc("The alerts that are sent.")]


class _WebhookBody(Body, omit_defaults=True):
    readers: ClassVar[Readers] = {"url": read_url, "description": _description}
    other_readers: ClassVar[OtherReaders] = {"types": _types, "disabled": read_switch}


class NewWebhook(_WebhookBody):
    """A new webhook. Without `types` it receives all alerts."""

    url: _Url
    description: str = ""
    types: _Types | UnsetType = UNSET


_Disabled = Annotated[bool, doc("Nothing is sent while it is true.")]
WebhookChange = Annotated[Body, change_of(NewWebhook, disabled=_Disabled)]


class ListedWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook that receives alerts, and what waits for it."""

    waiting: Annotated[Count, doc("The number of messages that wait for a first or another try.")]
    secret: Annotated[str | UnsetType, doc("Only in the response to the request that added it.")] = UNSET


class SentTest(Struct):
    """A message that says that it is a test."""

    id: Annotated[str, doc("The value of its header `webhook-id`.")]


Id = Annotated[UUID, doc("The id of the webhook.")]


def _webhooks(ask: Ask) -> Webhooks:
    return Webhooks(ask.bridge.database, ask.bridge.managed.sealer, now=ask.bridge.now)


def _outbox(ask: Ask) -> AlertOutbox:
    return AlertOutbox(ask.bridge.database, now=ask.bridge.now)


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


@operation("PATCH", "webhooks/{id}", OWNERS, unknown=UNKNOWN, example={"disabled": True})
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
