"""A request as it goes upstream: with which of several keys, and how often.

The next key is tried while no byte has reached the client. What reached a provider is never sent again.
"""

import asyncio
import json
import socket
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from handlers.dataplane import upstream_request
from tests.cases import for_each
from tests.fake_upstream import CLOSE, RESET, FakeUpstream
from tests.handlers.conversations import CHAT, MESSAGES
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider, ProviderSource

KEYS = ("sk-first-key-0123456789", "sk-second-key-012345678")
HEAD = "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"

refused_key_is_logged = pytest.mark.expects_log("provider key refused: provider=anthropic")


def reply(status, *, body="{}", retry_after=""):
    return (HEAD % (status, f"Retry-After: {retry_after}\r\n" if retry_after else "", len(body), body)).encode()


LIMITED, UNAUTHORIZED = reply(429, retry_after="7"), reply(401)
OK = reply(200, body=MESSAGES.body.decode())
PATH = "/api/v2/aibridge/anthropic/v1/"


async def ask(running, headers=None, model="claude-sonnet-4-5"):
    body = json.dumps(MESSAGES.request | {"model": model}).encode()
    return await running.request("POST", PATH + "messages", headers or running.headers, body)


def keys_sent(running):
    return [request.header("X-Api-Key")[0] for request in running.upstream.requests]


def play(running, *responses):
    running.upstream.scripts.clear()
    running.upstream.requests.clear()
    for response in responses:
        running.upstream.play(*response) if isinstance(response, tuple) else running.upstream.play(response)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.parametrize(
    "refused", [LIMITED, pytest.param(UNAUTHORIZED, marks=refused_key_is_logged)], ids=["429", "401"]
)
async def test_a_refused_key_is_followed_by_the_next_and_the_client_sees_only_the_answer(running, refused):
    play(running, refused, OK)
    first, second = await ask(running), await ask(running)
    assert [(response.status, response.body) for response in (first, second)] == [(200, MESSAGES.body)] * 2
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1]]
    assert len({request.body for request in running.upstream.requests}) == 1
    for recorded in await running.ended(2):
        assert (recorded["end_reason"], recorded["credential_hint"]) == ("completed", "sk-s...5678")


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@refused_key_is_logged
async def test_with_one_key_errors_pass_through_and_the_next_call_goes_out(running, log_watch):
    for calls, status in enumerate((403, 429, 500, 503, 529, 401), start=1):
        play(running, reply(status, body='{"x":1}', retry_after="3600"), OK)
        response = await ask(running)
        refused = (response.status, response.body, response.header("Retry-After"))
        assert refused == (status, b'{"x":1}', "3600"), status
        for path, method in ((PATH + "models", "GET"), (PATH + "models/m", "GET")):
            assert (await running.request(method, path, running.headers)).status == 200, (status, path)
        assert (await ask(running)).status == 200, status
        assert len(running.upstream.requests) == 4, status
        assert len(log_watch.lines) == (status == 401), status
        await running.ended(2 * calls)


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@refused_key_is_logged
async def test_a_401_to_the_bridges_key_asks_for_no_repetition(running):
    told_otherwise = UNAUTHORIZED.replace(b"\r\n\r\n", b"\r\nx-should-retry: true\r\n\r\n", 1)
    play(running, UNAUTHORIZED, told_otherwise, UNAUTHORIZED, reply(403), reply(529))
    headers = [running.headers, running.headers, running.own_key, running.headers, running.headers]
    responses = [await ask(running, one) for one in headers]
    assert [(response.status, response.header("x-should-retry")) for response in responses] == [
        (401, "false"),
        (401, "true"),
        (401, None),
        (403, None),
        (529, None),
    ]
    await running.ended(5)


@pytest.mark.bridge(anthropic_key=KEYS)
async def test_an_own_key_is_tried_once_and_keys_without_a_cooldown_once_each(running):
    # a clients own key is tried once and cools none of ours down
    play(running, LIMITED)
    response = await ask(running, {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"})
    assert (response.status, keys_sent(running)) == (429, ["sk-own"])
    assert running.bridge.key_pools["anthropic"].pick("claude-sonnet-4-5") == KEYS[0]
    await running.ended(1)
    await running.afresh()
    # a stream that is cut is not begun again with another key
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\nevent: ping\n\n"
    play(running, (head, RESET))
    response = await ask(running)
    assert (response.status, response.whole, len(running.upstream.requests)) == (200, False, 1)
    await running.ended(1)
    await running.afresh()
    # keys that cool down for no time at all are tried once each
    play(running, reply(429, retry_after="0"))
    assert (await ask(running)).status == 429
    assert keys_sent(running) == list(KEYS)
    await running.ended(1)


PAYERS = {"OpenAI-Organization": "org-foreign", "openai-project": "proj_foreign"}


def payers_sent(running):
    return [name for name, _ in running.upstream.requests[-1].headers if name.lower().startswith("openai-")]


@pytest.mark.parametrize(
    "passed",
    [False, pytest.param(True, marks=pytest.mark.bridge(allow_billing_headers=True))],
    ids=["default", "allowed"],
)
async def test_a_client_does_not_choose_who_pays_for_a_key_of_the_bridge(running, passed):
    play(running, OK)
    path, sent = "/api/v2/aibridge/openai/v1/models", ["Openai-Organization", "Openai-Project"]
    assert (await running.request("GET", path, running.headers | PAYERS)).status == 200
    assert payers_sent(running) == (sent if passed else [])
    own = {"X-Coder-AI-Governance-Token": running.token, "Authorization": "Bearer sk-own"}
    assert (await running.request("GET", path, own | PAYERS)).status == 200
    assert payers_sent(running) == sent


CHAT_OK = reply(200, body=CHAT.body.decode())
UNREACHABLE = "no connection to the provider: it refused the connection"


def retries(running):
    """How often each provider was asked again."""
    return {
        sample.labels["provider"]: sample.value
        for family in running.bridge.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "coder_aibridged_upstream_retries_total"
    }


async def call(running, method="POST", path=None):
    body = CHAT.request_body(stream=False) if method == "POST" else b""
    return await running.request(
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


@pytest.fixture
def retrying(running, monkeypatch):
    """Set when a provider is about to be asked again."""
    counter, retrying = running.bridge.metrics.retries, asyncio.Event()

    def count(provider):
        retrying.set()
        return counter(provider)

    monkeypatch.setattr(running.bridge.metrics, "retries", count)
    return retrying


async def test_a_provider_that_is_back_at_the_second_try_answers_normally(running, closed, retrying):
    upstream = FakeUpstream()
    upstream.play(CHAT_OK)
    asking = asyncio.create_task(call(running))
    await retrying.wait()
    await upstream.start(sock=closed)
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
async def test_a_provider_that_is_away_is_asked_twice_and_has_failed_once(running, closed, monkeypatch):
    monkeypatch.setattr(upstream_request, "RETRY_PAUSE_SECONDS", 0)
    for number in (1, 2):
        response = await call(running)
        assert (response.status, json.loads(response.body)["message"]) == (502, f"openai: {UNREACHABLE}.")
        assert retries(running) == {"openai": number}
    assert json.loads((await call(running)).body)["message"] == "circuit breaker is open"
    rejected, *refused = await running.ended(3)
    assert rejected["end_reason"] == "circuit_open"
    for recorded in refused:
        assert (recorded["end_reason"], recorded["error"]) == (
            "upstream_unreachable",
            {"type": "upstream_unreachable", "message": UNREACHABLE},
        )


async def test_a_client_that_leaves_between_two_tries_ends_them(running, closed, retrying, monkeypatch):
    monkeypatch.setattr(upstream_request, "RETRY_PAUSE_SECONDS", 600)
    client = await running.client()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
    await retrying.wait()
    client.reset()
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "client_disconnected"
    assert running.bridge.lifecycle.in_flight == 0


async def test_a_request_that_reached_a_provider_is_not_sent_again(running):
    routes = (
        ("POST", "/api/v2/aibridge/openai/v1/chat/completions"),
        ("GET", "/api/v2/aibridge/openai/v1/models"),
        ("DELETE", "/api/v2/aibridge/openai/v1/responses/resp_1"),
    )
    for number, ((method, path), end) in enumerate(product(routes, (RESET, CLOSE)), start=1):
        for script in ([end], [CHAT_OK], [end]):
            running.upstream.scripts = [script]
            response = await call(running, method, path)
            assert response.status == (200 if script == [CHAT_OK] else 502), (path, end)
        assert len(running.upstream.requests) == 3 * number, (path, end)
        assert len(running.upstream.connections) == 2 * number, (path, end)
        assert retries(running) == {}, (path, end)
    await running.ended(6)


TOKEN = "and the token in X-Coder-AI-Governance-Token."
OWN_KEY = f", or send your own key, {TOKEN}"


@for_each(
    ("type_", "source", "allow_byok", "message"),
    ("anthropic", ProviderSource.ENVIRONMENT, True, f"has no API key: set p-keys on the server{OWN_KEY}"),
    ("anthropic", ProviderSource.ENVIRONMENT, False, "has no API key: set p-keys on the server."),
    ("anthropic", ProviderSource.DATABASE, True, f"has no API key: an owner of AI Bridge can give it one{OWN_KEY}"),
    ("anthropic", ProviderSource.DATABASE, False, "has no API key: an owner of AI Bridge can give it one."),
    ("copilot", ProviderSource.DATABASE, False, f"takes your own credential: send it, {TOKEN}"),
    ("bedrock", ProviderSource.ENVIRONMENT, True, "has no AWS credentials: set p-keys on the server."),
    ("bedrock", ProviderSource.DATABASE, True, "has no AWS credentials: set a key for it on the server."),
)
def test_who_can_give_a_provider_a_key_is_told_to_those_who_can_do_something(type_, source, allow_byok, message):
    provider = Provider("p", ProviderType(type_), "https://p.example/", keys_setting="p-keys", source=source)
    assert upstream_request.no_key_message(provider, allow_byok=allow_byok) == f"The provider p {message}"
