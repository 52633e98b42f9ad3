import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from storage.alerts.documents import MAX_ATTEMPTS, AlertType, DeliveryState, event_id_of
from storage.alerts.outbox import LEASE_SECONDS, MAX_ERROR, AlertOutbox
from storage.alerts.webhooks import Webhooks
from storage.providers.sealing import Sealer
from tests.clock import Clock

NOON = datetime(2099, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
URL = "https://hooks.example/"
KEY = "budget:user:ada:80"
WAITING, DELIVERED = DeliveryState.WAITING, DeliveryState.DELIVERED


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def sealer():
    return Sealer([bytes(32)])


@pytest.fixture
def webhooks(database, clock, sealer):
    return Webhooks(database, sealer, now=clock)


@pytest.fixture
def outbox(database, clock):
    return AlertOutbox(database, now=clock)


async def test_an_alert_is_raised_once_and_told_to_those_who_want_it(webhooks, outbox, database):
    wants, _ = await webhooks.add(URL, ["budget.threshold", "provider.circuit_open"])
    other, _ = await webhooks.add(URL, ["provider.circuit_open"])
    disabled, _ = await webhooks.add(URL, ["budget.threshold"])
    await webhooks.change(disabled.id, {"disabled": True})
    raised = [outbox.raise_alert(AlertType.BUDGET_THRESHOLD, KEY, {"share": 80}) for _ in range(4)]
    assert sorted(await asyncio.gather(*raised)) == [False, False, False, True]
    assert await outbox.waiting() == {wants.id: 1}
    delivery = await outbox.claim()
    assert (delivery.webhook_id, delivery.event_id, delivery.attempts) == (wants.id, event_id_of(KEY), 1)
    assert json.loads(delivery.body) == {
        "type": "budget.threshold",
        "timestamp": "2099-01-01T12:00:00.000Z",
        "data": {"share": 80},
    }
    assert await outbox.claim() is None
    assert await database.alerts.count_documents({"_id": KEY}) == 1
    assert not await outbox.raise_alert(AlertType.BUDGET_THRESHOLD, KEY, {"share": 80})
    assert await outbox.raise_alert(AlertType.OWNER_ADDED, "wanted by nobody", {})
    assert await outbox.is_wanted(AlertType.OWNER_ADDED, AlertType.BUDGET_THRESHOLD)
    await webhooks.remove(wants.id)
    assert not await outbox.is_wanted(AlertType.OWNER_ADDED, AlertType.BUDGET_THRESHOLD)
    assert await outbox.waiting() == {}
    assert other.id not in await outbox.waiting()


async def test_an_alert_that_a_crash_left_half_raised_is_raised_again_and_told_once(webhooks, outbox, database):
    await webhooks.add(URL, ["provider.circuit_open"])
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {})
    await database.alerts.delete_many({})
    later, _ = await webhooks.add(URL, ["provider.circuit_open"])
    assert await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {})
    assert await database.webhook_deliveries.count_documents({}) == 2
    assert (await outbox.waiting())[later.id] == 1


async def test_a_failed_try_is_repeated_and_one_whose_process_died_too(webhooks, outbox, clock, database):
    webhook, _ = await webhooks.add(URL, ["provider.circuit_open"])
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {})
    first = await outbox.claim()
    await outbox.note(first, 500, "x" * 1_000)
    last = (await webhooks.find(webhook.id)).last_delivery
    assert (last.status, last.error, last.attempts, last.type) == (500, "x" * MAX_ERROR, 1, "provider.circuit_open")
    assert await outbox.claim() is None
    clock.time += 10 * SECOND
    assert (await outbox.claim()).attempts == 2  # and this process dies
    clock.time += (LEASE_SECONDS - 1) * SECOND
    assert await outbox.claim() is None
    clock.time += 2 * SECOND
    third = await outbox.claim()
    (waiting,) = await outbox.latest(webhook.id)
    assert (waiting.state, waiting.attempts, waiting.next_at > clock.time, waiting.ended_at) == (WAITING, 3, True, None)
    await outbox.note(third, 204, None)
    (taken,) = await outbox.latest(webhook.id)
    assert (taken.id, taken.type, taken.status, taken.error) == (
        third.event_id,
        "provider.circuit_open",
        204,
        None,
    )
    assert (taken.state, taken.raised_at, taken.next_at, taken.ended_at) == (DELIVERED, NOON, None, clock.time)
    document = await database.webhook_deliveries.find_one()
    assert (document["state"], document["attempts"], document["status"]) == ("delivered", 3, 204)
    await outbox.note(first, 500, "late")  # of a process that hung
    assert (await database.webhook_deliveries.find_one())["state"] == "delivered"
    assert (await webhooks.find(webhook.id)).last_delivery.status == 204
    clock.time += timedelta(days=1)
    assert await outbox.claim() is None


async def test_a_delivery_is_given_up_at_last_or_when_that_is_said(webhooks, outbox, clock, database):
    await webhooks.add(URL, ["provider.circuit_open"])
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {})
    for _ in range(MAX_ATTEMPTS):
        await outbox.note(await outbox.claim(), None, "no answer")
        clock.time += timedelta(hours=6)
    assert await outbox.claim() is None
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:2", {})
    await outbox.note(await outbox.claim(), 410, "gone", is_final=True)
    states = [one["state"] async for one in database.webhook_deliveries.find()]
    assert states == ["failed", "failed"]
