"""A provider that nothing reached is asked once more; what reached it is never sent again."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

import handlers.dataplane.upstream_request
from tests.bridge import until
from tests.fake_upstream import CLOSE, RESET, Connection, FakeUpstream
from tests.handlers.conversations import CHAT

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CHAT.body) + CHAT.body
REFUSED = "no connection to the provider: it refused the connection"


def retries(running):
    """How often each provider was asked again."""
    return {
        sample.labels["provider"]: sample.value
        for family in running.bridge.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "coder_aibridged_upstream_retries_total"
    }


async def send(running, method="POST", path=None):
    client = await running.client()
    body = CHAT.request_body(stream=False) if method == "POST" else b""
    return await client.request(
        method, path or running.path(CHAT), running.headers if method == "POST" else running.own_key, body
    )


@pytest.fixture
def closed(running, monkeypatch):
    """The address of `openai`, at which nobody listens yet."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1/"
        monkeypatch.setitem(
            running.bridge.providers, "openai", replace(running.bridge.providers["openai"], base_url=url)
        )
        yield bound


@pytest.mark.gen_test
async def test_a_provider_that_is_back_at_the_second_try_answers_normally(running, closed, monkeypatch):
    upstream, asked_again = FakeUpstream(), running.bridge.metrics.retried
    upstream.play(ANSWER)

    def listen(provider):
        asked_again(provider)
        closed.listen()

    monkeypatch.setattr(running.bridge.metrics, "retried", listen)
    asking = asyncio.create_task(send(running))
    await until(lambda: retries(running))
    upstream._server = await asyncio.get_running_loop().create_server(lambda: Connection(upstream), sock=closed)
    response = await asking
    assert (response.status, response.body) == (200, CHAT.body)
    assert [request.body for request in upstream.requests] == [CHAT.request_body(stream=False)]
    (recorded,) = await running.ended(1)
    assert (recorded["id"], recorded["end_reason"]) == (response.header("X-AI-Bridge-Interception-Id"), "completed")
    assert retries(running) == {"openai": 1}
    await upstream.stop()


@pytest.mark.bridge(
    circuit_breaker_enabled=True, circuit_breaker_failure_threshold=2, circuit_breaker_timeout=timedelta(hours=1)
)
@pytest.mark.gen_test
async def test_a_provider_that_is_away_is_asked_twice_and_has_failed_once(running, closed, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.upstream_request, "RETRY_PAUSE_SECONDS", 0)
    for number in (1, 2):
        response = await send(running)
        assert (response.status, json.loads(response.body)["message"]) == (502, f"openai: {REFUSED}.")
        assert retries(running) == {"openai": number}
    assert json.loads((await send(running)).body)["message"] == "circuit breaker is open"
    rejected, *refused = await running.ended(3)
    assert rejected["end_reason"] == "circuit_open"
    for recorded in refused:
        assert (recorded["end_reason"], recorded["error"]) == (
            "upstream_unreachable",
            {"type": "upstream_unreachable", "message": REFUSED},
        )


@pytest.mark.gen_test
async def test_a_client_that_leaves_between_two_tries_ends_them(running, closed, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.upstream_request, "RETRY_PAUSE_SECONDS", 600)
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
    await until(lambda: retries(running))
    client.reset()
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "client_disconnected"
    assert running.bridge.lifecycle.in_flight == 0


@pytest.mark.gen_test
async def test_a_request_that_reached_a_provider_is_not_sent_again(running):
    routes = (
        ("POST", "/api/v2/aibridge/openai/v1/chat/completions"),
        ("GET", "/api/v2/aibridge/openai/v1/models"),
        ("DELETE", "/api/v2/aibridge/openai/v1/responses/resp_1"),
    )
    for number, ((method, path), end) in enumerate(product(routes, (RESET, CLOSE)), start=1):
        for script in ([end], [ANSWER], [end]):
            running.upstream.scripts = [script]
            response = await send(running, method, path)
            assert response.status == (200 if script == [ANSWER] else 502), (path, end)
        assert len(running.upstream.requests) == 3 * number, (path, end)
        assert len(running.upstream.connections) == 2 * number, (path, end)
        assert retries(running) == {}, (path, end)
    await running.ended(6)


@pytest.mark.bridge(upstream_idle_timeout=timedelta(seconds=0.1))
@pytest.mark.gen_test
async def test_a_provider_that_is_silent_is_not_asked_again(running):
    running.upstream.play(asyncio.Event())
    assert (await send(running)).status == 504
    assert len(running.upstream.requests) == 1
    assert retries(running) == {}
    await running.ended(1)
