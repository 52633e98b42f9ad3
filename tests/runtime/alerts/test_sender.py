"""Signed alerts reach a real receiver, and are repeated until it accepts them."""

import asyncio
import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import pytest

from runtime.alerts import sender as module
from runtime.alerts.sender import REMOVED, Sender
from storage.alerts.documents import AlertType, event_id_of
from storage.alerts.outbox import AlertOutbox
from storage.alerts.webhooks import Webhooks
from storage.providers.sealing import Sealer
from tests.clock import Clock
from upstream.client import UpstreamClient

NOON = datetime(2099, 1, 1, 12, tzinfo=UTC)
TOLD = r"^WARNING runtime\.alerts\.sender: a webhook delivery failed: "


class Receiver:
    """Takes messages on loopback; `statuses` are those of its responses, 204 at the end."""

    url = ""

    def __init__(self):
        self.statuses = []
        self.messages = []
        self.silent = asyncio.Event()
        self.silent.set()

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.messages.append((line, headers, body))
        await self.silent.wait()
        status = self.statuses.pop(0) if self.statuses else 204
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n" % status
        )
        await writer.drain()
        writer.close()


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def receiver(io_loop):
    receiver = Receiver()
    server = io_loop.run_sync(lambda: asyncio.start_server(receiver.serve, "127.0.0.1", 0))
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?x=1"
    yield receiver
    server.close()


@pytest.fixture
def parts(database, clock):
    sealer = Sealer([bytes(32)])
    return Webhooks(database, sealer, now=clock), AlertOutbox(database, now=clock), sealer


@pytest.fixture
def sender(database, clock, parts, io_loop):
    webhooks, outbox, sealer = parts

    async def connect():
        return UpstreamClient(connect_timeout=5, idle_timeout=5)

    client = io_loop.run_sync(connect)
    yield Sender(database, webhooks, outbox, sealer=sealer, client=client, now=clock)
    io_loop.run_sync(client.close)


async def test_an_alert_is_posted_signed(sender, parts, receiver):
    webhooks, outbox, _ = parts
    webhook, secret = await webhooks.add(receiver.url, ["provider.circuit_open"])
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {"job": "spool"})
    assert await sender.send_due()
    ((line, headers, body),) = receiver.messages
    assert line == "POST /hook?x=1 HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (event_id_of("job:1"), str(int(NOON.timestamp())))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{b64encode(expected).decode()}"
    assert (await webhooks.find(webhook.id)).last_delivery.status == 204


@pytest.mark.expects_log(TOLD)
async def test_a_message_is_sent_again_until_it_is_taken_and_keeps_its_id(sender, parts, receiver, clock):
    webhooks, outbox, _ = parts
    webhook, _ = await webhooks.add(receiver.url, ["provider.circuit_open"])
    receiver.statuses = [500, 302]
    await outbox.raise_alert(AlertType.CIRCUIT_OPEN, "job:1", {})
    await sender.send_due()
    assert (await webhooks.find(webhook.id)).last_delivery.error == "the receiver answered 500"
    clock.time += timedelta(seconds=10)
    await sender.send_due()
    assert (await webhooks.find(webhook.id)).last_delivery.error == "the receiver answered 302"
    clock.time += timedelta(seconds=40)
    await sender.send_due()
    assert (await webhooks.find(webhook.id)).last_delivery.error is None
    assert len(receiver.messages) == 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.messages}) == 1
    assert len({headers["webhook-signature"] for _, headers, _ in receiver.messages}) == 3


@pytest.mark.expects_log(TOLD)
async def test_a_receiver_that_is_gone_silent_or_not_there_is_said(sender, parts, receiver, monkeypatch):
    webhooks, outbox, _ = parts
    gone, _ = await webhooks.add(receiver.url, [])
    receiver.statuses = [410]
    await outbox.send_test(gone.id)
    await sender.send_due()
    assert await outbox.waiting() == {}
    monkeypatch.setattr(module, "SEND_SECONDS", 0.05)
    receiver.silent.clear()
    await outbox.send_test(gone.id)
    await sender.send_due()
    assert (await webhooks.find(gone.id)).last_delivery.error == "no answer within 0 s"
    receiver.silent.set()
    absent, _ = await webhooks.add("http://127.0.0.1:1/", [])
    await outbox.send_test(absent.id)
    monkeypatch.setattr(module, "SEND_SECONDS", 15.0)
    await sender.send_due()
    assert "no connection" in (await webhooks.find(absent.id)).last_delivery.error


async def test_a_webhook_that_was_disabled_or_removed_is_told_nothing(sender, parts, receiver, database):
    webhooks, outbox, _ = parts
    webhook, _ = await webhooks.add(receiver.url, [])
    await outbox.send_test(webhook.id)
    await webhooks.change(webhook.id, {"disabled": True})
    await sender.send_due()
    assert (await webhooks.find(webhook.id)).last_delivery.error == REMOVED
    await outbox.send_test(webhook.id)
    await database.webhooks.delete_many({})
    await sender.send_due()
    assert (receiver.messages, await outbox.waiting()) == ([], {})
