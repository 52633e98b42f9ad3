"""Which answers about a stored response are recorded, once."""

import asyncio
import gzip
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.dataplane.services import stored_response as module
from intercept.apis import EVENTS
from intercept.recording import Keep
from limits.limit import LimitKind
from limits.policies.policy import RecordingRules, SharedPolicy
from settings import ProviderSettings
from storage.mongo.database import DatabaseUnavailableError
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.conversations import RESPONSES
from tests.handlers.dataplane.test_call_usage import used
from tests.handlers.dataplane.test_policies import hold
from upstream.providers.presets import ProviderType

BRIDGE = "/api/v2/aibridge"
DONE = json.loads(RESPONSES.body) | {"background": True}
FAILED = DONE | {"status": "failed", "error": {"code": "server_error", "message": "it broke"}}
HOUR = timedelta(hours=1)
LATER = "a background response is recorded when it is fetched again: "


def head(body, content_type="application/json", headers="", status=200):
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()
    )


def events(response):
    return b"data: " + json.dumps({"type": "response.completed", "response": response}).encode() + b"\n\n"


async def fetch(running, id_, body, *, method="GET", path="openai/v1/responses", rest="", **about):
    """Fetch with an own key, which reaches every response; the bytes come unchanged."""
    running.upstream.scripts[:] = [(head(body, **about) + body,)]
    response = await running.request(method, f"{BRIDGE}/{path}/{id_}{rest}", running.own_key)
    assert (response.status, response.body, response.whole) == (about.get("status", 200), body, True)
    await until(lambda: running.bridge.lifecycle.in_flight == 0)


@pytest.mark.bridge(
    further_providers=(ProviderSettings("azure", ProviderType.AZURE, "http://127.0.0.1/", ("key-of-azure",)),)
)
async def test_what_has_ended_in_the_background_and_tells_its_usage_is_recorded_alone(running):
    providers = running.bridge.providers
    providers["azure"] = replace(providers["azure"], base_url=running.upstream.url)
    hold(running, SharedPolicy(recording=RecordingRules(responses=Keep.FULL)))
    for difference in (
        {"status": "queued", "usage": None},
        {"status": "in_progress"},
        {"status": None},
        {"background": False},
        {"background": "true"},
        {"status": "cancelled", "usage": None},
        {"id": "resp_other"},
        {"id": None},
    ):
        await fetch(running, "resp_a", json.dumps(DONE | {"id": "resp_a"} | difference).encode())
    await fetch(running, "resp_b", json.dumps(DONE | {"id": "resp_b"}).encode(), status=404)
    await fetch(running, "resp_b", json.dumps(DONE | {"id": "resp_b"}).encode()[:-1])
    await fetch(running, "resp_b", b'{"deleted": true, "id": "resp_b"}', method="DELETE")
    await running.ended(0)

    packed = gzip.compress(json.dumps(DONE | {"id": "resp_zip"}).encode(), mtime=0)
    await fetch(running, "resp_zip", packed, headers="Content-Encoding: gzip\r\n")
    await fetch(running, "resp_sse", events(DONE | {"id": "resp_sse"}), content_type=EVENTS, rest="?stream=true")
    await fetch(running, "resp_failed", json.dumps(FAILED | {"id": "resp_failed"}).encode())
    stopped = DONE | {"id": "resp_stopped", "status": "cancelled"}
    await fetch(running, "resp_stopped", json.dumps(stopped).encode(), method="POST", rest="/cancel")
    nameless = json.dumps(DONE | {"id": "resp_nameless", "model": None, "status": "incomplete"}).encode()
    await fetch(running, "resp_nameless", nameless)
    azure = json.dumps(DONE | {"id": "resp_azure"}).encode()
    await fetch(running, "resp_azure", azure, path="azure/openai/responses", rest="?api-version=preview")
    recorded = {one["token_usages"][0]["provider_response_id"]: one for one in await running.ended(6)}
    shown = {
        id_: (one["provider_name"], one["model"], one["streaming"], one["end_reason"], one["response"]["text"])
        for id_, one in recorded.items()
    }
    assert shown == {
        "resp_zip": ("openai", "m", False, "completed", "Grüße"),
        "resp_sse": ("openai", "m", True, "completed", "Grüße"),
        "resp_failed": ("openai", "m", False, "upstream_stream_error", "Grüße"),
        "resp_stopped": ("openai", "m", False, "completed", "Grüße"),
        "resp_nameless": ("openai", "default", False, "completed", "Grüße"),
        "resp_azure": ("azure", "m", False, "completed", "Grüße"),
    }
    assert {one["credential_kind"] for one in recorded.values()} == {"byok"}
    assert [running.tokens(one) for one in recorded.values()] == [RESPONSES.tokens] * 6


@pytest.mark.bridge(user_token_limit=1_000)
async def test_a_response_that_is_fetched_twice_at_once_is_recorded_and_charged_once(running):
    gate, body = asyncio.Event(), json.dumps(DONE).encode()
    running.upstream.scripts[:] = [(head(body) + body[:-1], gate, body[-1:])]
    clients = [await running.client() for _ in range(2)]
    for client in clients:
        await client.send("GET", f"{BRIDGE}/openai/v1/responses/resp_1", running.own_key)
    responses = [await client.head() for client in clients]
    gate.set()
    assert [(await client.rest(one)).body for client, one in zip(clients, responses, strict=True)] == [body] * 2
    (recorded,) = await running.ended(1)
    await fetch(running, "resp_1", body)
    running.bridge.fetched._ids.clear()  # as another process
    await fetch(running, "resp_1", body)
    assert await running.ended(1) == [recorded]
    assert await used(running, LimitKind.TOKENS) == 7


@pytest.mark.expects_log(LATER + "MongoDB is unavailable: gone")
async def test_what_could_not_be_recorded_or_broke_off_is_recorded_when_it_is_fetched_again(running, monkeypatch):
    async def unavailable(*_):
        raise DatabaseUnavailableError("MongoDB is unavailable: gone")

    body = json.dumps(DONE).encode()
    running.upstream.scripts[:] = [(head(body) + body[:-1], CLOSE)]
    broken = await running.request("GET", f"{BRIDGE}/openai/v1/responses/resp_1", running.own_key)
    assert (broken.body, broken.whole) == (body[:-1], False)
    await running.ended(0)
    with monkeypatch.context() as patch:
        patch.setattr(running.bridge.interceptions, "find_usage", unavailable)
        await fetch(running, "resp_1", body)
    await running.ended(0)
    await fetch(running, "resp_1", body)
    (recorded,) = await running.ended(1)
    assert running.tokens(recorded) == RESPONSES.tokens


@pytest.mark.bridge(user_token_limit=1_000)
async def test_a_client_that_leaves_once_it_has_the_response_is_charged_for_it(running, monkeypatch):
    find, asked, answered = running.bridge.interceptions.find_usage, asyncio.Event(), asyncio.Event()

    async def find_later(*names):
        asked.set()
        await answered.wait()
        return await find(*names)

    monkeypatch.setattr(running.bridge.interceptions, "find_usage", find_later)
    body = json.dumps(DONE).encode()
    running.upstream.scripts[:] = [(head(body) + body,)]
    client = await running.client()
    await client.send("GET", f"{BRIDGE}/openai/v1/responses/resp_1", running.own_key)
    await asked.wait()
    client.reset()
    (handler,) = running.bridge.lifecycle._under_way
    await until(lambda: handler.progress.is_cancelled)
    for _ in range(10):
        await asyncio.sleep(0)
    answered.set()
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], await used(running, LimitKind.TOKENS)) == ("completed", 7)


async def test_a_stream_that_ends_while_its_response_is_fetched_tells_the_usage_alone(running, monkeypatch):
    monkeypatch.setattr(module, "WRITTEN_SECONDS", 0)
    find, gate = running.bridge.interceptions.find_usage, asyncio.Event()

    async def find_and_end(*names):
        found = await find(*names)
        gate.set()
        await running.ended(1)
        return found

    monkeypatch.setattr(running.bridge.interceptions, "find_usage", find_and_end)
    begun, ended = events(DONE | {"status": "queued", "usage": None}), events(DONE)
    running.upstream.scripts[:] = [(head(begun + ended, content_type=EVENTS) + begun, gate, ended)]
    request = json.dumps({"model": "m", "input": "x", "background": True, "stream": True}).encode()
    client = await running.client()
    await client.send("POST", f"{BRIDGE}/openai/v1/responses", running.own_key, request)
    while not await running.bridge.database.interceptions.find_one({"response_id": "resp_1"}):
        pass
    await fetch(running, "resp_1", json.dumps(DONE).encode())
    (recorded,) = await running.ended(1)
    assert running.tokens(recorded) == RESPONSES.tokens


@pytest.mark.bridge(user_token_limit=1_000)
async def test_a_client_that_leaves_in_the_middle_of_the_response_is_charged_for_it(running):
    body, left = json.dumps(DONE).encode(), asyncio.Event()
    running.upstream.scripts[:] = [(head(body) + body[:20], left, body[20:])]
    client = await running.client()
    await client.send("GET", f"{BRIDGE}/openai/v1/responses/resp_1", running.own_key)
    response = await client.head()
    while response.body != body[:20]:
        await client.piece(response)
    client.reset()
    (handler,) = running.bridge.lifecycle._under_way
    await until(lambda: handler.stopped)
    left.set()
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], await used(running, LimitKind.TOKENS)) == ("completed", 7)


@pytest.mark.bridge(user_token_limit=1_000)
async def test_what_broke_off_before_its_usage_is_fetched_once_more_by_the_bridge(running):
    item = {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": []}}
    begun, body = b"data: " + json.dumps(item).encode() + b"\n\n", json.dumps(DONE).encode()
    left = asyncio.Event()
    streamed = (head(begun * 2, content_type=EVENTS) + begun, left, CLOSE)
    running.upstream.scripts[:] = [streamed, (head(body) + body,)]
    client = await running.client()
    asked = f"{BRIDGE}/openai/v1/responses/resp_1?stream=true&starting_after=3&api-version=1"
    await client.send("GET", asked, running.own_key)
    response = await client.head()
    while response.body != begun:
        await client.piece(response)
    client.reset()
    left.set()
    (recorded,) = await running.ended(1)
    assert (running.tokens(recorded), await used(running, LimitKind.TOKENS)) == (RESPONSES.tokens, 7)
    targets = [request.target for request in running.upstream.requests]
    assert targets == [f"/v1/responses/resp_1?{query}" for query in (asked.partition("?")[2], "api-version=1")]
    assert running.upstream.requests[1].header("Authorization") == ["Bearer sk-own"]
    await running.afresh()
    # so is a cancelled one, and what the provider cuts
    for number, (method, rest) in enumerate((("POST", "/cancel"), ("GET", "")), start=2):
        path = f"{BRIDGE}/openai/v1/responses/resp_{number}"
        told = json.dumps(DONE | {"id": f"resp_{number}"}).encode()
        running.upstream.scripts[:] = [(head(told) + told[:-9], CLOSE), (head(told) + told,)]
        broken = await running.request(method, path + rest, running.own_key)
        assert (broken.body, broken.whole) == (told[:-9], False), method
        recorded, *_ = await running.ended(number - 1)
        assert (running.tokens(recorded), await used(running, LimitKind.TOKENS)) == (RESPONSES.tokens, 7 * number), (
            method
        )
        sent = running.upstream.requests[-1]
        assert (sent.method, sent.target) == ("GET", f"/v1/responses/resp_{number}")


@pytest.mark.parametrize(
    "reserves",
    [
        pytest.param(one, marks=pytest.mark.bridge(user_token_limit=7, token_window=HOUR, limits_reserve=one))
        for one in (False, True)
    ],
)
async def test_where_tokens_are_used_up_batches_are_cancelled_and_no_response_is_sent(running, reserves):
    await fetch(running, "resp_1", json.dumps(DONE).encode())
    assert await used(running, LimitKind.TOKENS) == 7, reserves
    for method, rest in ("GET", ""), ("POST", "/cancel"):
        address = f"{BRIDGE}/openai/v1/responses/resp_2{rest}"
        refused = await running.request(method, address, running.own_key)
        assert refused.status == 429, (reserves, method)
    await fetch(running, "batch_1", b'{"id": "batch_1"}', method="POST", path="openai/v1/batches", rest="/cancel")
    assert len(await running.ended(1)) == 1
