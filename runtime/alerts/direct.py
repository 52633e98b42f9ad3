"""Sends alerts to webhooks while the outbox is unavailable: from memory, with the ids that the outbox gives them later.

So a receiver learns of an unavailable database while it is. When the database is back, the outbox sends the alert again. The
receiver then gets the message twice, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from storage.alerts.documents import AlertType, Delivery, Webhook, body_of, event_id_of, retry_seconds
from storage.alerts.webhooks import Webhooks
from storage.providers.sealing import SealError
from upstream.client import UpstreamError

LEARN_SECONDS: Final = 30.0
"""How old the webhooks may be that are known, while the database is available."""

MAX_TRIES: Final = 1_000
"""Messages whose delivery is remembered, for all webhooks together."""

_OK, _REDIRECT = 200, 300
_DONE: Final = None

_log = logging.getLogger(__name__)


class DirectSender:
    """Knows the webhooks, and posts to them without the database.

    Args:
        post: Posts a delivery, and returns the status of the response.
        now: The wall clock, in UTC.
    """

    def __init__(
        self, webhooks: Webhooks, post: Callable[[Webhook, Delivery], Awaitable[int]], *, now: Callable[[], datetime]
    ) -> None:
        self._webhooks = webhooks
        self._post = post
        self._now = now
        self._known: list[Webhook] = []
        self._learned_at: datetime | None = None
        self._tries: dict[str, tuple[int, datetime | None]] = {}

    async def learn(self) -> None:
        """Read the webhooks again, unless they were just read. Forget what was sent: the outbox sends it from now on.

        Raises:
            DatabaseUnavailableError: The known ones stay.
        """
        self._tries.clear()
        if self._learned_at is None or abs(self._now() - self._learned_at) >= timedelta(seconds=LEARN_SECONDS):
            self._known = await self._webhooks.list_all()
            self._learned_at = self._now()

    async def send(self, alerts: Iterable[tuple[AlertType, str, Mapping[str, Any]]]) -> None:
        """Send the webhooks what they subscribe to and have not received. A failure is tried again at the next call."""
        now = self._now()
        due = []
        for kind, key, data in alerts:
            body = body_of(kind, data, now)
            for webhook in self._known:
                if webhook.disabled or kind.value not in webhook.types:
                    continue
                id_ = f"{event_id_of(key)}:{webhook.id}"
                tries, next_at = self._tries.get(id_, (0, now))
                has_room = id_ in self._tries or len(self._tries) < MAX_TRIES
                if next_at is not _DONE and next_at <= now and has_room:
                    due.append((webhook, Delivery(id_, event_id_of(key), webhook.id, kind.value, body, tries + 1)))
        await asyncio.gather(*(self._try(webhook, delivery) for webhook, delivery in due))

    async def _try(self, webhook: Webhook, delivery: Delivery) -> None:
        try:
            status = await self._post(webhook, delivery)
        except (UpstreamError, SealError, TimeoutError) as error:
            status, problem = 0, str(error).replace("the provider", "the receiver") or "no answer in time"
        else:
            problem = f"the receiver answered {status}"
        if _OK <= status < _REDIRECT:
            self._tries[delivery.id] = delivery.attempts, _DONE
            return
        _log.warning("a webhook delivery failed: id=%s attempt=%d %s", webhook.id, delivery.attempts, problem)
        self._tries[delivery.id] = delivery.attempts, self._now() + timedelta(seconds=retry_seconds(delivery.attempts))
