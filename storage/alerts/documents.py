"""What alerts, webhooks and deliveries are, and when a delivery is repeated. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

import msgspec
from msgspec import Struct

from intercept.times import format_time
from storage.mongo.documents.stored import Stored

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


class LastDelivery(Struct, frozen=True):
    """The result of the last try of a webhook: `status` is None without a response."""

    at: datetime
    type: str
    status: int | None
    error: str | None
    attempts: int


class Webhook(Stored, frozen=True, kw_only=True):
    """A webhook that receives alerts.

    Attributes:
        description: In the operator's words.
        sealed: The secret, see `storage.providers.sealing`.
        last: The last try; None before the first.
    """

    id: UUID
    url: str
    description: str
    types: tuple[str, ...]
    disabled: bool
    sealed: bytes
    created_at: datetime
    changed_at: datetime
    last: LastDelivery | None = None

    @property
    def version(self) -> str:
        """A version, which differs after each change of the webhook, not of its deliveries."""
        said = (self.url, self.description, self.types, self.disabled, self.created_at, self.changed_at)
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]

    @property
    def document(self) -> dict[str, Any]:
        """The same as the database has it, without the last try."""
        return {name: value for name, value in super().document.items() if name != "last"}


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


class KeptDelivery(Struct, frozen=True):
    """A delivery with its result so far.

    Attributes:
        raised_at: When it was to be sent.
        status: Of the last response; None if there was none.
        error: Why the last try failed; None if it did not, or there was none.
        next_at: When it is tried next; None if it is not tried again.
        ended_at: When it was taken, or given up.
    """

    event_id: str
    type: str
    state: DeliveryState
    raised_at: datetime
    attempts: int
    status: int | None = None
    error: str | None = None
    next_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a document."""
        next_at = document["next_at"] if document["state"] == DeliveryState.WAITING else None
        return msgspec.convert({**document, "raised_at": document["created_at"], "next_at": next_at}, cls)


def body_of(kind: str, data: Mapping[str, Any], at: datetime) -> str:
    """The JSON that is sent of what happened."""
    return msgspec.json.encode({"type": str(kind), "timestamp": format_time(at), "data": data}).decode()


def event_id_of(key: str) -> str:
    """The id of the message about what has a key: the same on every server."""
    return "msg_" + hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def retry_seconds(attempts: int) -> float:
    """The wait after this number of failed tries."""
    return min(FIRST_RETRY_SECONDS * float(RETRY_FACTOR) ** min(attempts - 1, 10), MAX_RETRY_SECONDS)
