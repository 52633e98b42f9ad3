"""What alerts, webhooks and deliveries are, and when a delivery is repeated. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self
from uuid import UUID

import msgspec
from msgspec import Meta, structs

from intercept.times import format_time
from storage.mongo.documents.stored import Hidden, Stored, StoredTime, Versioned

MAX_WEBHOOKS: Final = 20
"""How many webhooks there may be."""

FIRST_RETRY_SECONDS: Final = 10.0
"""From the first failure to the next try. Each further wait is `RETRY_FACTOR` times as long."""

RETRY_FACTOR: Final = 4

MAX_RETRY_SECONDS: Final = 6 * 3600.0
"""The longest such wait."""

MAX_ATTEMPTS: Final = 18
"""Tries of a delivery, over some three days."""


class AlertType(StrEnum):
    """What happened."""

    BUDGET_THRESHOLD = "budget.threshold"
    BUDGET_FORECAST = "budget.forecast"
    KEY_REFUSED = "provider.key_refused"
    CIRCUIT_OPEN = "provider.circuit_open"
    OWNER_ADDED = "user.owner_added"
    WEEKLY_DIGEST = "digest.weekly"


TEST_TYPE: Final = "webhook.test"
"""The type of a requested test delivery."""


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class LastDelivery(Stored, frozen=True, kw_only=True):
    """What became of the last try."""

    at: StoredTime
    type: str
    status: Annotated[int | None, Meta(description="The status of the response; null if there was none.")]
    error: Annotated[str | None, Meta(description="The error; null if it succeeded.")]
    attempts: Annotated[int, Meta(ge=0, description="The number of tries of this message.")]


class Webhook(Versioned, frozen=True, kw_only=True):
    """A webhook that receives alerts. Its secret is `sealed`, see `storage.providers.sealing`."""

    id: UUID
    url: str
    description: str
    types: tuple[AlertType, ...]
    disabled: bool
    sealed: Hidden[bytes]
    created_at: StoredTime
    changed_at: StoredTime
    last_delivery: LastDelivery | None

    @property
    def version(self) -> str:
        """A version, which differs after each change of the webhook, not of its deliveries."""
        return super(Webhook, structs.replace(self, last_delivery=None)).version


class Delivery(Stored, frozen=True):
    """A message to be posted to a webhook.

    Attributes:
        event_id: The id of the message, the same at every try and for every webhook.
        body: The JSON that is sent.
        attempts: How often it was tried, this time included.
    """

    id: str
    event_id: str
    webhook_id: UUID
    type: str
    body: str
    attempts: int


class KeptDelivery(Stored, frozen=True, kw_only=True):
    """A message to a webhook, and its state."""

    id: Annotated[str, Meta(description="The value of its header `webhook-id`.")]
    type: str
    state: Annotated[DeliveryState, Meta(description="`waiting` also between tries.")]
    raised_at: StoredTime
    attempts: Annotated[int, Meta(ge=0, description="The number of tries.")]
    status: Annotated[int | None, Meta(description="The status of the last response; null if there was none.")]
    error: Annotated[str | None, Meta(description="The error of the last try; null if it succeeded.")]
    next_at: Annotated[StoredTime | None, Meta(description="The time of the next try; null if there is none.")]
    ended_at: Annotated[StoredTime | None, Meta(description="When it was delivered or given up; null before.")]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a document."""
        next_at = document["next_at"] if document["state"] == DeliveryState.WAITING else None
        made = {"id": document["event_id"], "raised_at": document["created_at"], "next_at": next_at}
        return msgspec.convert({**dict.fromkeys(("status", "error", "ended_at")), **document, **made}, cls)


def body_of(kind: str, data: Mapping[str, Any], at: datetime) -> str:
    """The JSON that is sent of what happened."""
    return msgspec.json.encode({"type": str(kind), "timestamp": format_time(at), "data": data}).decode()


def event_id_of(key: str) -> str:
    """The id of the message about what has a key: the same on every server."""
    return "msg_" + hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def retry_seconds(attempts: int) -> float:
    """The wait after this number of failed tries."""
    return min(FIRST_RETRY_SECONDS * float(RETRY_FACTOR) ** min(attempts - 1, 10), MAX_RETRY_SECONDS)
