"""Webhooks, as they are sent and shown. A secret is shown once, when its webhook is added."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs

from resources.bodies import Body, OtherReaders, Readers, read_switch
from resources.fields import Count, Time, doc, of_fields
from storage.alerts import documents
from storage.alerts.documents import AlertType
from upstream.connections.urls import is_usable_url

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


class WebhookChange(_WebhookBody):
    """Changes of a webhook: only the given fields."""

    url: _Url | UnsetType = UNSET
    description: str | UnsetType = UNSET
    types: _Types | UnsetType = UNSET
    disabled: Annotated[bool | UnsetType, doc("Nothing is sent while it is true.")] = UNSET


class LastDelivery(Struct):
    """What became of the last try."""

    at: Time
    type: str
    status: Annotated[int | None, doc("The status of the response; null if there was none.")]
    error: Annotated[str | None, doc("The error; null if it succeeded.")]
    attempts: Annotated[Count, doc("The number of tries of this message.")]


class Webhook(Struct, kw_only=True):
    """A webhook that receives alerts."""

    id: UUID
    url: str
    description: str
    types: list[AlertType]
    disabled: bool
    created_at: Time
    changed_at: Time
    waiting: Annotated[Count, doc("The number of messages that wait for a first or another try.")]
    last_delivery: LastDelivery | None
    secret: Annotated[str | UnsetType, doc("Only in the response to the request that added it.")] = UNSET

    @classmethod
    def of(cls, webhook: documents.Webhook, waiting: int = 0, secret: str | UnsetType = UNSET) -> Self:
        """Show a webhook."""
        last = webhook.last
        return of_fields(
            cls,
            structs.asdict(webhook),
            types=[AlertType(one) for one in webhook.types],
            waiting=waiting,
            last_delivery=last and of_fields(LastDelivery, structs.asdict(last)),
            secret=secret,
        )


class Delivery(Struct):
    """A message to a webhook, and its state."""

    id: Annotated[str, doc("The value of its header `webhook-id`.")]
    type: str
    state: Annotated[documents.DeliveryState, doc("`waiting` also between tries.")]
    raised_at: Time
    attempts: Annotated[Count, doc("The number of tries.")]
    status: Annotated[int | None, doc("The status of the last response; null if there was none.")]
    error: Annotated[str | None, doc("The error of the last try; null if it succeeded.")]
    next_at: Annotated[Time | None, doc("The time of the next try; null if there is none.")]
    ended_at: Annotated[Time | None, doc("When it was delivered or given up; null before.")]

    @classmethod
    def of(cls, kept: documents.KeptDelivery) -> Self:
        """Show a delivery."""
        return of_fields(cls, structs.asdict(kept), id=kept.event_id)


class SentTest(Struct):
    """A message that says that it is a test."""

    id: Annotated[str, doc("The value of its header `webhook-id`.")]
