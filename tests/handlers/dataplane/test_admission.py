"""Who gets in, who does not, and what they are told."""

import asyncio
import json
from datetime import timedelta

import pytest

from limits.protection.overload import AT_CAPACITY, RATE_LIMITED
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
NO_TOKEN = "A token is required: send it as `Authorization: Bearer TOKEN` or `X-Api-Key: TOKEN`."
BAD_TOKEN = "The token is not valid: it is unknown, expired or revoked."


async def refused(running, path, headers, body=b"{}", method="POST"):
    """The response to a request that must not reach the upstream nor be recorded."""
    response = await running.request(method, path, headers, body)
    assert running.upstream.requests == []
    assert await running.bridge.database.interceptions.count_documents({}) == 0
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    return response


async def test_who_gets_in_has_a_token_in_one_of_its_places(running):
    # without a valid token nobody gets in
    for case, (headers, message) in {
        "none": ({}, NO_TOKEN),
        "basic": ({"Authorization": "Basic abc"}, NO_TOKEN),
        "malformed": ({"Authorization": "Bearer nonsense"}, BAD_TOKEN),
        "unknown": ({"X-Api-Key": UNKNOWN}, BAD_TOKEN),
        "azure": ({"Api-Key": UNKNOWN}, BAD_TOKEN),
        "google": ({"X-Goog-Api-Key": UNKNOWN}, BAD_TOKEN),
        "cookie": ({"Cookie": f"aibridge_session={UNKNOWN}"}, NO_TOKEN),
    }.items():
        response = await refused(running, running.path(MESSAGES), headers, MESSAGES.request_body(stream=True))
        error = json.loads(response.body)
        assert (response.status, response.header("WWW-Authenticate")) == (401, "Bearer"), case
        assert error == {
            "type": "error",
            "error": {"type": "authentication_error", "message": message},
            "message": message,
            "request_id": response.header("Request-Id"),
        }, case
    await running.afresh()
    # a token in the query is no token
    response = await refused(running, running.path(CHAT) + f"?token={running.token}&key={running.token}", {})
    assert response.status == 401
    await running.afresh()
    # the token is taken from each of its places
    running.upstream.play(OK)
    value = {"Authorization": f"Bearer {running.token}"}
    names = ("X-Coder-AI-Governance-Token", "Coder-Session-Token", "Authorization")
    names += ("X-Api-Key", "Api-Key", "X-Goog-Api-Key")
    for name in names:
        headers = {name: value.get(name, running.token)}
        response = await running.call(CHAT, headers)
        assert response.status == 200, name
        assert not any(running.token in value for _, value in running.upstream.requests[-1].headers), name
    await running.ended(len(names))


async def test_a_call_goes_with_its_clients_key_or_the_providers_or_none(running):
    # a clients own key goes upstream and is recorded as a hint
    running.upstream.play(OK)
    headers = {"X-Coder-AI-Governance-Token": running.token, "Authorization": "Bearer sk-own-key-0123456789"}
    await running.call(MESSAGES, headers)
    request = running.upstream.requests[0]
    assert (request.header("Authorization"), request.header("X-Api-Key")) == (["Bearer sk-own-key-0123456789"], [])
    (recorded,) = await running.ended(1)
    assert (recorded["credential_kind"], recorded["credential_hint"]) == ("byok", "sk-o...6789")
    await running.afresh()
    # the providers key is recorded as a hint
    running.upstream.play(OK)
    await running.call(MESSAGES)
    (recorded,) = await running.ended(1)
    assert (recorded["credential_kind"], recorded["credential_hint"]) == ("centralized", "sk-a...-key")
    assert recorded["api_key_id"] == running.identity.token_id
    await running.afresh()
    # a provider without a key serves only who brings one
    path = "/api/v2/aibridge/no-key/v1/messages"
    response = await refused(running, path, running.headers, MESSAGES.request_body(stream=False))
    assert (response.status, json.loads(response.body)["message"]) == (
        400,
        (
            "The provider no-key has no API key: set provider-2-keys on the server, or send your own key, and the "
            "token in X-Coder-AI-Governance-Token."
        ),
    )
    running.upstream.play(OK)
    headers = {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"}
    response = await running.request("POST", path, headers, MESSAGES.request_body(stream=False))
    assert (response.status, running.upstream.requests[0].header("X-Api-Key")) == (200, ["sk-own"])
    await running.ended(1)
    await running.afresh()
    # a keyless provider is called without a credential
    running.upstream.play(OK)
    path = "/api/v2/aibridge/keyless/v1/chat/completions"
    await running.request("POST", path, running.headers, CHAT.request_body(stream=False))
    assert running.upstream.requests[0].header("Authorization") == []
    (recorded,) = await running.ended(1)
    assert (recorded["provider"], recorded["provider_name"], recorded["credential_hint"]) == ("openai", "keyless", "")
    await running.afresh()
    # a server of ones own gets its key when it has one
    running.upstream.play(OK)
    path = "/api/v2/aibridge/own-server/v1/chat/completions"
    await running.request("POST", path, running.headers, CHAT.request_body(stream=False))
    assert running.upstream.requests[0].header("Authorization") == ["Bearer sk-own-server"]
    await running.ended(1)


@pytest.mark.bridge(allow_byok=False)
async def test_where_own_keys_are_not_allowed_they_are_refused(running):
    headers = {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"}
    response = await refused(running, running.path(MESSAGES), headers)
    assert (response.status, json.loads(response.body)["message"]) == (
        403,
        "Bring Your Own Key (BYOK) mode is not enabled.",
    )


@pytest.mark.bridge(responses_websocket=False)
async def test_a_websocket_is_told_to_use_http_where_it_is_off(running):
    headers = running.headers | {"Connection": "Upgrade", "Upgrade": "websocket"}
    response = await refused(running, "/api/v2/aibridge/openai/v1/responses", headers, method="GET", body=b"")
    assert (response.status, json.loads(response.body)["message"]) == (
        426,
        "WebSocket is not supported here: use HTTP streaming.",
    )


@pytest.mark.bridge(max_body_bytes=1000)
async def test_a_body_that_is_too_large_is_refused_while_it_is_still_being_sent(running):
    body = b"x" * 3_000_000
    for case, (head, sent) in {
        "length": (f"Content-Length: {len(body)}\r\n\r\n", body),
        "chunked": ("Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
    }.items():
        client = await running.client()
        start = f"POST {running.path(CHAT)} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {running.token}\r\n{head}"
        await client.send_raw(start.encode() + sent)
        response = await client.rest(await client.head())
        assert (response.status, json.loads(response.body)["message"]) == (
            413,
            "The request body is larger than the allowed 1000 bytes.",
        ), case
        assert await client.at_end() == b"", case
    assert running.upstream.requests == []


async def test_a_refusal_is_read_though_the_client_is_sending_or_the_server_drains(running):
    # a refusal is read by a client that is still sending
    running.upstream.play(OK)
    for _ in range(3):
        client = await running.client()
        response = await client.request("POST", running.path(CHAT), {"X-Api-Key": UNKNOWN}, b"x" * 2_000_000)
        assert (response.status, response.header("Connection"), await client.at_end()) == (401, "close", b"")
    client = await running.client()
    response = await client.request("POST", running.path(CHAT), {"X-Api-Key": UNKNOWN}, b"{}")
    assert (response.status, response.header("Connection")) == (401, None)
    response = await client.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    assert response.status == 200
    await running.ended(1)
    await running.afresh()
    # while draining new requests are refused and the connection closed
    client = await running.client()
    running.bridge.lifecycle.draining = True
    response = await client.request("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    assert (response.status, response.header("Connection"), json.loads(response.body)["message"]) == (
        503,
        "close",
        "AI Bridge is shutting down. Please try again.",
    )
    assert await client.at_end() == b""
    assert (await running.get("/readyz", {}))[0] == 503


@pytest.mark.bridge(rate_limit=2, rate_window=timedelta(seconds=100))
async def test_a_token_beyond_its_rate_is_refused_with_429_and_others_are_not(running):
    running.upstream.play(OK)
    body = CHAT.request_body(stream=False)
    remaining = []
    for _ in range(2):
        response = await running.request("POST", running.path(CHAT), running.headers, body)
        remaining.append(
            (response.status, response.header("X-RateLimit-Limit"), response.header("X-RateLimit-Remaining"))
        )
    assert remaining == [(200, "2", "1"), (200, "2", "0")]
    response = await running.request("GET", "/api/v2/aibridge/openai/v1/nowhere", running.headers)
    assert (response.status, response.header("X-RateLimit-Remaining"), response.header("x-should-retry")) == (
        429,
        "0",
        "false",
    )
    message = json.loads(response.body)["message"]
    assert message.startswith(f"{RATE_LIMITED} This token has started 2 of 2 requests in 1m40s; the next request")
    assert json.loads(response.body) == {
        "error": {"message": message, "type": "rate_limit_exceeded", "param": None, "code": "rate_limit_exceeded"},
        "message": message,
    }
    assert 98 < int(response.header("retry-after-ms")) / 1000 <= int(response.header("Retry-After")) <= 100
    other = await running.user("grace")
    assert (await running.request("POST", running.path(CHAT), other, body)).status == 200
    assert (await running.get("/api/v2/aibridge/interceptions"))[0] == 200
    await running.ended(3)


@pytest.mark.bridge(max_concurrency=1)
async def test_at_capacity_a_request_is_refused_until_a_slot_is_free_also_by_a_leave(running):
    # a client that leaves in the middle of its request frees its slot
    client = await running.client()
    head = f"POST {running.path(CHAT)} HTTP/1.1\r\nHost: b\r\nX-Api-Key: {running.token}\r\nContent-Length: 100\r\n\r\n"
    await client.send_raw(head.encode() + b"{")
    await until(lambda: running.bridge.overload.holding == 1)
    client.reset()
    await until(lambda: running.bridge.overload.holding == 0)
    assert running.bridge.lifecycle.in_flight == 0
    await running.afresh()
    # at capacity a request is refused with 503 until a slot is free
    gate = asyncio.Event()
    running.upstream.play(OK[:-2], gate, b"{}")
    first = await running.client()
    await first.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    await running.upstream.request()
    second = await running.client()
    for headers in (running.headers, {}):
        response = await second.request("POST", running.path(MESSAGES), headers, MESSAGES.request_body(stream=True))
        error = json.loads(response.body)
        assert (response.status, error["error"], error["message"]) == (
            503,
            {"type": "overloaded_error", "message": AT_CAPACITY},
            AT_CAPACITY,
        )
        assert response.header("Retry-After") == "1"
    gate.set()
    assert (await first.rest(await first.head())).body == b"{}"
    assert (
        await second.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    ).status == 200
    await until(lambda: running.bridge.overload.holding == 0)
    await running.ended(2)


async def test_a_stream_that_outlasts_the_drain_is_told_so_and_recorded(running):
    first = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    running.upstream.play(head + b"%x\r\n%s\r\n" % (len(first), first), asyncio.Event())
    client, response = await running.begin(MESSAGES, stream=True)
    assert await client.piece(response) == first
    assert await running.bridge.lifecycle.drain(0) == 1
    await client.rest(response)
    assert b"AI Bridge is shutting down. Please try again." in response.body
    assert not response.whole
    await running.upstream.requests[0].closed.wait()
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["token_usages"][0]["source"]) == ("server_shutdown", "partial")
