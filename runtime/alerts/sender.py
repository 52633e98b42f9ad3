"""Posts the deliveries in the outbox to webhooks, signed, and retries until they are accepted.

Source of the signature: the specification of Standard Webhooks, version 1.0.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from storage.accounts.users import UnknownIdentityError
from storage.alerts.documents import Delivery, Webhook
from storage.alerts.outbox import AlertOutbox
from storage.alerts.webhooks import SECRET_PREFIX, Webhooks
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.providers.sealing import Sealer, SealError
from upstream.client import UpstreamClient, UpstreamError
from upstream.connections.network import DIRECT, Network
from version import VERSION

POLL_SECONDS: Final = 2.0
"""Time between two searches for due deliveries."""

SEND_SECONDS: Final = 15.0
"""How long a receiver may take to answer."""

AT_ONCE: Final = 8
"""Deliveries of a process that run at the same time."""

REMOVED: Final = "the webhook was removed or disabled"

_OK, _REDIRECT, _GONE = 200, 300, 410

_log = logging.getLogger(__name__)


def signed_headers(secret: str, event_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """The headers by which a receiver knows who sent a body, and when, in seconds since 1970."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b"%s.%d.%s" % (event_id.encode(), timestamp, body)
    signature = b64encode(hmac.digest(key, signed, "sha256")).decode()
    return [
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", f"v1,{signature}"),
    ]


@dataclass(frozen=True)
class Sender:
    """Sends the deliveries of a database. `sealer` opens the secrets; `now` is the wall clock, in UTC."""

    database: Database
    webhooks: Webhooks
    outbox: AlertOutbox
    sealer: Sealer
    client: UpstreamClient
    now: Callable[[], datetime]
    way: Callable[[str], Network] = lambda _: DIRECT

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            await self.database.health.wait_until_back()
            try:
                is_all = await self.send_due()
            except DatabaseUnavailableError:
                is_all = True
            if is_all:
                await asyncio.sleep(POLL_SECONDS)

    async def send_due(self) -> bool:
        """Send some of what is due; say whether that was all.

        Raises:
            DatabaseUnavailableError: Claimed deliveries are sent again later.
        """
        taken: list[Delivery] = []
        while len(taken) < AT_ONCE and (delivery := await self.outbox.claim()) is not None:
            taken.append(delivery)
        for error in await asyncio.gather(*map(self._deliver, taken), return_exceptions=True):
            if error is not None:
                raise error
        return len(taken) < AT_ONCE

    async def _deliver(self, delivery: Delivery) -> None:
        status: int | None = None
        try:
            webhook = await self.webhooks.find(delivery.webhook_id)
        except UnknownIdentityError:
            webhook = None
        if webhook is None or webhook.disabled:
            await self.outbox.note(delivery, None, REMOVED, is_final=True)
            return
        try:
            status = await self.post(webhook, delivery)
        except (UpstreamError, SealError) as error:
            problem: str | None = str(error).replace("the provider", "the receiver")
        except TimeoutError:
            problem = f"no answer within {SEND_SECONDS:.0f} s"
        else:
            problem = None if _OK <= status < _REDIRECT else f"the receiver answered {status}"
        if problem is not None:
            _log.warning("a webhook delivery failed: id=%s attempt=%d %s", webhook.id, delivery.attempts, problem)
        await self.outbox.note(delivery, status, problem, is_final=status == _GONE)

    async def post(self, webhook: Webhook, delivery: Delivery) -> int:
        """Post a delivery, and return the status of the response. Its body is not kept, and no redirect is followed.

        Raises:
            UpstreamError, TimeoutError: There is no response.
            SealError: The secret cannot be opened.
        """
        body = delivery.body.encode()
        secret = self.sealer.open(webhook.sealed, webhook.id)
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", f"AI-Bridge/{VERSION}"),
            *signed_headers(secret, delivery.event_id, int(self.now().timestamp()), body),
        ]
        async with asyncio.timeout(SEND_SECONDS):
            response = await self.client.open("POST", webhook.url, headers, body, network=self.way(webhook.url))
            response.close()
        return response.status
