"""The outbox of alerts: each is raised once for the whole cluster, and delivered to each webhook at least once.

What happened has a key, such as `budget:user:<id>:month:2026-11-01:80`. The ids of the message and of its deliveries follow
from it, so any number of servers may raise the same alert at the same time, or again after a crash: the deliveries are
written first, the alert last. A delivery is taken by moving its next try ahead; who dies with it has taken one try.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from storage.accounts.audit import ANSWER_SECONDS
from storage.alerts.documents import (
    MAX_ATTEMPTS,
    TEST_TYPE,
    AlertType,
    Delivery,
    DeliveryState,
    KeptDelivery,
    body_of,
    event_id_of,
    retry_seconds,
)
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.errors import DUPLICATE_KEY

LEASE_SECONDS: Final = 60.0
"""How long a try may take, at most. Then another process tries again."""

ALERTS_KEPT: Final = timedelta(days=400)
"""How long it is remembered that an alert was raised: longer than any period of a budget."""

DELIVERIES_KEPT: Final = timedelta(days=30)
"""How long a delivery is kept."""

MAX_LISTED: Final = 20
"""Deliveries of a webhook that are listed."""

MAX_ERROR: Final = 300
"""Longest reason of a failure that is kept, in characters."""


class AlertOutbox:
    """The alerts of a database. Every method raises `DatabaseUnavailableError`."""

    def __init__(self, database: Database, *, now: Now) -> None:
        self._database = database
        self._now = now

    async def raise_alert(self, kind: AlertType, key: str, data: Mapping[str, Any]) -> bool:
        """Raise an alert: add a delivery for each subscribed webhook; return whether it was new."""
        at = self._now()
        async with self._database.within(ANSWER_SECONDS):
            if await self._database.alerts.find_one({"_id": key}, {"_id": True}) is not None:
                return False
            wanted = {"disabled": False, "types": kind.value}
            ids = [one["_id"] async for one in self._database.webhooks.find(wanted, {"_id": True})]
            event_id = event_id_of(key)
            await self._insert([self._document(event_id, id_, kind.value, data, at) for id_ in ids])
            alert = {"_id": key, "type": kind.value, "at": at, "expires_at": at + ALERTS_KEPT}
            try:
                await self._database.alerts.insert_one(alert)
            except DuplicateKeyError:
                return False
            return True

    async def is_wanted(self, *kinds: AlertType) -> bool:
        """Whether a webhook is subscribed to one of these types."""
        async with self._database.within(ANSWER_SECONDS):
            wanted = {"disabled": False, "types": {"$in": list(kinds)}}
            return await self._database.webhooks.find_one(wanted, {"_id": True}) is not None

    async def send_test(self, webhook_id: UUID) -> str:
        """Add a test delivery for a webhook; return the id of the message."""
        at, event_id = self._now(), f"msg_{uuid4().hex}"
        data = {"message": "This is a test. Nothing happened."}
        async with self._database.within(ANSWER_SECONDS):
            await self._insert([self._document(event_id, webhook_id, TEST_TYPE, data, at)])
        return event_id

    async def waiting(self) -> dict[UUID, int]:
        """How many deliveries wait, by webhook."""
        stages: list[dict[str, Any]] = [
            {"$match": {"state": DeliveryState.WAITING.value}},
            {"$group": {"_id": "$webhook_id", "number": {"$sum": 1}}},
        ]
        async with self._database.within(ANSWER_SECONDS):
            found = await self._database.webhook_deliveries.aggregate(stages).to_list(None)
        return {one["_id"]: one["number"] for one in found}

    async def latest(self, webhook_id: UUID) -> list[KeptDelivery]:
        """The deliveries of a webhook, newest first, at most `MAX_LISTED`."""
        async with self._database.within(ANSWER_SECONDS):
            found = self._database.webhook_deliveries.find({"webhook_id": webhook_id}, {"body": False})
            newest = found.sort([("created_at", -1), ("_id", 1)]).limit(MAX_LISTED)
            return [KeptDelivery.of(document) async for document in newest]

    async def claim(self) -> Delivery | None:
        """Claim the delivery that has been due the longest; None if none is due."""
        now = self._now()
        due = {"state": DeliveryState.WAITING.value, "next_at": {"$lte": now}}
        taken = {"$set": {"next_at": now + timedelta(seconds=LEASE_SECONDS)}, "$inc": {"attempts": 1}}
        async with self._database.within(ANSWER_SECONDS):
            document: Any = await self._database.webhook_deliveries.find_one_and_update(
                due, taken, sort=[("next_at", 1)], return_document=ReturnDocument.AFTER
            )
        return None if document is None else Delivery.of(document)

    async def note(self, delivery: Delivery, status: int | None, error: str | None, *, is_final: bool = False) -> None:
        """Store the result of a try: without a response `status` is None, without a failure `error`."""
        at = self._now()
        error = error and error[:MAX_ERROR]
        fields: dict[str, Any] = {"status": status, "error": error}
        if error is None or is_final or delivery.attempts >= MAX_ATTEMPTS:
            state = DeliveryState.DELIVERED if error is None else DeliveryState.FAILED
            fields |= {"state": state.value, "ended_at": at}
        else:
            fields["next_at"] = at + timedelta(seconds=retry_seconds(delivery.attempts))
        last = {
            "at": at,
            "type": delivery.type,
            "status": status,
            "error": error,
            "attempts": delivery.attempts,
        }
        async with self._database.within(ANSWER_SECONDS):
            same = {"_id": delivery.id, "attempts": delivery.attempts}
            noted = await self._database.webhook_deliveries.update_one(same, {"$set": fields})
            if noted.matched_count:  # a try that took longer than its lease says nothing of the webhook any more
                await self._database.webhooks.update_one(
                    {"_id": delivery.webhook_id}, {"$set": {"last_delivery": last}}
                )

    async def _insert(self, documents: list[dict[str, Any]]) -> None:
        """Write deliveries. Those that are there already stay as they are."""
        if not documents:
            return
        try:
            await self._database.webhook_deliveries.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise

    def _document(
        self, event_id: str, webhook_id: UUID, kind: str, data: Mapping[str, Any], at: datetime
    ) -> dict[str, Any]:
        return {
            "_id": f"{event_id}:{webhook_id}",
            "schema_version": 1,
            "event_id": event_id,
            "webhook_id": webhook_id,
            "type": kind,
            "body": body_of(kind, data, at),
            "state": DeliveryState.WAITING.value,
            "attempts": 0,
            "next_at": at,
            "created_at": at,
            "expires_at": at + DELIVERIES_KEPT,
        }
