"""Webhooks by HTTP, and alerts that reach a receiver."""

import asyncio
import json
from decimal import Decimal
from types import SimpleNamespace

import pytest

from handlers.api.webhooks import NOT_A_DESCRIPTION, NOT_A_URL, NOT_TYPES
from resources.bodies import NOT_A_SWITCH
from runtime.alerts import sender
from runtime.alerts.assembly import start_alerts
from settings import Settings
from storage.alerts.documents import AlertType
from tests.derived import derive
from tests.handlers.dataplane.test_call_usage import OPUS, whole

WEBHOOKS = "/api/v2/aibridge/webhooks"
URL = "https://hooks.example.com/aibridge"
SEALED = pytest.mark.bridge(encryption_keys=(bytes(32),))


@pytest.fixture
def send(running):
    async def send(method, path, body=None, **headers):
        sent = running.headers | {"Content-Type": "application/json"} | headers
        response = await running.request(method, path, sent, b"" if body is None else json.dumps(body).encode())
        return response.status, json.loads(response.body) if response.body else None

    return send


@SEALED
async def test_a_webhook_is_added_with_a_secret_changed_by_one_owner_and_told_of_a_test(running, send):
    # a webhook is added with its secret shown once changed and removed
    status, added = await send("POST", WEBHOOKS, {"url": URL, "description": "On call"})
    secret = added.pop("secret")
    assert (status, secret.startswith("whsec_"), added["types"]) == (201, True, list(AlertType))
    assert await running.get(WEBHOOKS) == (200, {"results": [added]})
    status, changed = await send(
        "PATCH", f"{WEBHOOKS}/{added['id']}", {"types": ["provider.circuit_open"], "disabled": True}
    )
    assert (status, changed["types"], changed["disabled"], changed["url"]) == (
        200,
        ["provider.circuit_open"],
        True,
        URL,
    )
    assert await send("DELETE", f"{WEBHOOKS}/{added['id']}") == (204, None)
    assert await running.get(WEBHOOKS) == (200, {"results": []})
    unknown = {"message": "There is no webhook with this id."}
    for method, path, body in (
        ("PATCH", f"{WEBHOOKS}/{added['id']}", {}),
        ("DELETE", f"{WEBHOOKS}/x", None),
        ("POST", f"{WEBHOOKS}/{added['id']}/test", None),
    ):
        assert await send(method, path, body) == (404, unknown)
    _, trail = await running.get("/api/v2/aibridge/audit")
    assert secret not in json.dumps(trail)
    actions = [one["action"] for one in trail["results"] if one["action"].startswith("webhook.")]
    assert actions == ["webhook.removed", "webhook.changed", "webhook.added"]
    await running.afresh("webhooks")
    # of two owners who change a webhook the second gets 412
    _, added = await send("POST", WEBHOOKS, {"url": URL})
    path = f"{WEBHOOKS}/{added['id']}"
    seen = await running.request("GET", path, running.headers)
    etag = seen.header("ETag")
    assert json.loads(seen.body)["url"] == URL
    assert (await send("PATCH", path, {"description": "first"}, **{"If-Match": etag}))[0] == 200
    stale = 412, {"message": "The webhook was changed meanwhile; read it again."}
    assert await send("PATCH", path, {"description": "second"}, **{"If-Match": etag}) == stale
    assert await send("DELETE", path, **{"If-Match": etag}) == stale
    _, found = await send("GET", path)
    assert (found["description"], found["url"]) == ("first", URL)
    assert await send("DELETE", path, **{"If-Match": "*"}) == (204, None)
    unknown = {"message": "There is no webhook with this id."}
    assert await send("GET", path) == await send("GET", f"{path}/deliveries") == (404, unknown)
    await running.afresh("webhooks")
    # what a webhook is to be told is listed
    _, added = await send("POST", WEBHOOKS, {"url": URL})
    path = f"{WEBHOOKS}/{added['id']}"
    assert await send("GET", f"{path}/deliveries") == (200, {"results": []})
    _, sent = await send("POST", f"{path}/test")
    status, result = await send("GET", f"{path}/deliveries")
    (one,) = result["results"]
    raised = one.pop("raised_at")
    assert (status, raised) == (200, one.pop("next_at"))
    assert one == {
        "id": sent["id"],
        "type": "webhook.test",
        "state": "waiting",
        "attempts": 0,
        "status": None,
        "error": None,
        "ended_at": None,
    }


async def test_without_an_encryption_key_none_is_added_and_it_is_said_why(send):
    status, result = await send("POST", WEBHOOKS, {"url": URL})
    assert (status, "encryption-keys" in result["detail"]) == (400, True)


@SEALED
async def test_a_webhook_has_an_address_that_is_safe_and_what_is_wrong_is_named(send, running):
    # an address that is not safe is refused
    for url in (
        "http://hooks.example.com/",
        "http://10.0.0.1/",
        "https://ada:secret@hooks.example.com/",
        "https:///path",
        "ftp://hooks.example.com/",
        "https://hooks.example.com/#x",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/ x",
        "https://[::1/",
        "http://127.0.0.1\\@hooks.example.com/",
        "",
    ):
        status, result = await send("POST", WEBHOOKS, {"url": url})
        assert (status, result.get("validations")) == (400, [{"field": "url", "detail": NOT_A_URL}]), url
    await running.afresh("webhooks")
    # http is allowed to this machine and what is wrong is named
    for url, added_url in (
        ("http://localhost:1", "http://localhost:1/"),
        ("http://127.0.0.2:1/a?b", "http://127.0.0.2:1/a?b"),
        ("http://[::1]:1/", "http://[::1]:1/"),
    ):
        status, added = await send("POST", WEBHOOKS, {"url": url, "types": []})
        assert (status, added["url"]) == (201, added_url)
    wrong = {"url": 5, "description": "a\nb", "types": ["moon"], "disabled": 1}
    _, result = await send("PATCH", f"{WEBHOOKS}/{added['id']}", wrong)
    assert {one["field"]: one["detail"] for one in result["validations"]} == {
        "url": "must be text",
        "description": NOT_A_DESCRIPTION,
        "types": NOT_TYPES,
        "disabled": NOT_A_SWITCH,
    }
    for types in ("provider.circuit_open", ["provider.circuit_open", "provider.circuit_open"], [1], [{}]):
        _, result = await send("POST", WEBHOOKS, {"url": URL, "types": types})
        assert result["validations"] == [{"field": "types", "detail": NOT_TYPES}]


@pytest.mark.bridge(encryption_keys=(bytes(32),), user_budget_usd=Decimal("0.0001"))
async def test_a_used_up_budget_and_a_test_reach_the_receiver(running, send, monkeypatch):
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.05)
    messages, all_there = [], asyncio.Event()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        messages.append((head, json.loads(await reader.readexactly(length))))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()
        if len(messages) == 4:
            all_there.set()

    bridge, jobs = running.bridge, []
    process = SimpleNamespace(
        database=bridge.database,
        settings=Settings(),
        jobs=bridge.jobs,
        start=lambda name, run: jobs.append(bridge.jobs.start(name, run)),
    )
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    await running.ended(1)
    await derive(bridge.database)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        _, added = await send("POST", WEBHOOKS, {"url": url, "types": ["budget.threshold"]})
        _, sent = await send("POST", f"{WEBHOOKS}/{added['id']}/test")
        start_alerts(process, bridge)
        await all_there.wait()
    finally:
        for job in jobs:
            await job.stop()
        server.close()
    by_type = {}
    for _, message in messages:
        by_type.setdefault(message["type"], []).append(message["data"])
    assert by_type["webhook.test"] == [{"message": "This is a test. Nothing happened."}]
    assert sorted((one["share"], one["name"]) for one in by_type["budget.threshold"]) == [
        (50, "ada"),
        (80, "ada"),
        (100, "ada"),
    ]
    assert any(f"webhook-id: {sent['id']}" in head for head, _ in messages)
