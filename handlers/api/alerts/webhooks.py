"""`/api/v2/aibridge/webhooks`: webhooks for alerts. For owners."""

from __future__ import annotations

from msgspec import UNSET

from handlers.api.accounts.changes import ChangeHandler, id_of
from resources.alerts.webhooks import Delivery, NewWebhook, SentTest, Webhook, WebhookChange
from resources.fields import WholeList
from storage.alerts import documents
from storage.alerts.documents import AlertType
from storage.alerts.outbox import Outbox
from storage.alerts.webhooks import UNKNOWN, Webhooks

NOT_YOURS = "Only owners may see and change webhooks."


class _WebhookHandler(ChangeHandler):
    @property
    def _webhooks(self) -> Webhooks:
        return Webhooks(self.bridge.database, self.bridge.managed.sealer, now=self.bridge.now)

    @property
    def _outbox(self) -> Outbox:
        return Outbox(self.bridge.database, now=self.bridge.now)

    async def show(self, webhook: documents.Webhook) -> None:
        """Respond with a webhook and its version as `ETag`."""
        waiting = await self._outbox.waiting()
        self.write_json(Webhook.of(webhook, waiting.get(webhook.id, 0)), version=webhook.version)


class WebhooksHandler(_WebhookHandler):
    """All webhooks."""

    async def get(self) -> None:
        """Respond with all webhooks and the result of the last delivery of each."""
        await self.identify_owner(NOT_YOURS)
        self.parameters()
        webhooks, waiting = await self._webhooks.list_all(), await self._outbox.waiting()
        self.write_json(WholeList([Webhook.of(one, waiting.get(one.id, 0)) for one in webhooks]))

    async def post(self) -> None:
        """Add one: 201, with its secret, which is never shown again."""
        await self.identify_owner(NOT_YOURS)
        given = self.read_body(NewWebhook)
        types = list(AlertType) if given.types is UNSET else given.types
        webhook, secret = await self._webhooks.add(given.url, types, description=given.description, author=self.author)
        self.set_header("Location", f"{self.request.path}/{webhook.id}")
        self.write_json(Webhook.of(webhook, secret=secret), 201, version=webhook.version)


class WebhookHandler(_WebhookHandler):
    """One webhook."""

    async def get(self, id_: str) -> None:
        """Send it, with its version as `ETag`."""
        await self.identify_owner(NOT_YOURS)
        self.parameters()
        await self.show(await self._webhooks.find(id_of(id_, UNKNOWN)))

    async def patch(self, id_: str) -> None:
        """Change the given fields; respond with the result."""
        await self.identify_owner(NOT_YOURS)
        changes = self.read_body(WebhookChange).changes
        webhook = await self._webhooks.change(id_of(id_, UNKNOWN), changes, versions=self.versions, author=self.author)
        await self.show(webhook)

    async def delete(self, id_: str) -> None:
        """Remove it with its waiting deliveries: 204."""
        await self.identify_owner(NOT_YOURS)
        await self._webhooks.remove(id_of(id_, UNKNOWN), versions=self.versions, author=self.author)
        self.set_status(204)


class DeliveriesHandler(_WebhookHandler):
    """The last deliveries of a webhook."""

    async def get(self, id_: str) -> None:
        """Respond with the newest deliveries, newest first."""
        await self.identify_owner(NOT_YOURS)
        self.parameters()
        webhook = await self._webhooks.find(id_of(id_, UNKNOWN))
        deliveries = await self._outbox.latest(webhook.id)
        self.write_json(WholeList([Delivery.of(one) for one in deliveries]))


class WebhookTestHandler(_WebhookHandler):
    """A test of a webhook."""

    async def post(self, id_: str) -> None:
        """Send a test message: 202, it is being delivered."""
        await self.identify_owner(NOT_YOURS)
        webhook = await self._webhooks.find(id_of(id_, UNKNOWN))
        event_id = await self._outbox.send_test(webhook.id)
        self.write_json(SentTest(event_id), 202)
