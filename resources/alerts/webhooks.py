"""Webhooks, as they are sent and shown. A secret is shown once, when its webhook is added."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from resources.bodies import Body, OtherReaders, Readers, read_switch
from resources.fields import Count, doc
from storage.alerts.documents import AlertType, Webhook
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


class WebhookChange(_WebhookBody):
    """Changes of a webhook: only the given fields."""

    url: _Url | UnsetType = UNSET
    description: str | UnsetType = UNSET
    types: _Types | UnsetType = UNSET
    disabled: Annotated[bool | UnsetType, doc("Nothing is sent while it is true.")] = UNSET


class ListedWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook that receives alerts, and what waits for it."""

    waiting: Annotated[Count, doc("The number of messages that wait for a first or another try.")]
    secret: Annotated[str | UnsetType, doc("Only in the response to the request that added it.")] = UNSET


class SentTest(Struct):
    """A message that says that it is a test."""

    id: Annotated[str, doc("The value of its header `webhook-id`.")]
