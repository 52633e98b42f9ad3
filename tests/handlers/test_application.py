"""Which path leads to which handler."""

import json
from ipaddress import ip_network

import pytest
from tornado.web import RequestHandler

from handlers.application import CONTROL_RESOURCES
from handlers.base import BridgeHandler
from settings.kinds import RESERVED_NAMES

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CONTROL = "/api/v2/aibridge"
EXPERIMENTAL = "/api/experimental/aibridge"


async def message(running, method, path):
    response = await running.request(method, path, running.headers)
    return response.status, json.loads(response.body)["message"]


def handler_classes(base=BridgeHandler):
    for one in base.__subclasses__():
        if one.__module__.startswith("handlers."):
            yield from (one, *handler_classes(one))


def test_head_is_served_where_get_is_except_for_a_sign_in_at_a_provider():
    served = {one.__name__ for one in handler_classes() if one.get is not RequestHandler.get}
    heads = {one.__name__ for one in handler_classes() if one.head is not RequestHandler.head}
    assert served - heads == {"BeginHandler", "CallbackHandler"}
    assert heads < served
    assert "OperationHandler" in heads


def test_no_provider_can_be_called_like_a_resource():
    assert set(RESERVED_NAMES) >= CONTROL_RESOURCES


async def test_only_what_is_a_route_is_served_and_no_path_means_another_one(running):
    # the name of a resource is not looked for among the providers
    for name in sorted(CONTROL_RESOURCES - {"interceptions"}):
        for path in (f"{CONTROL}/{name}/v1/models", f"{CONTROL}/{name}/"):
            assert await message(running, "GET", path) == (404, f"not found: GET {path}")
        assert await message(running, "GET", f"{EXPERIMENTAL}/{name}/v1/models") == (
            404,
            "provider not found; configured providers: anthropic, keyless, no-key, openai, own-server",
        ), name
    # what only looks like a route is none
    for prefix in (CONTROL, EXPERIMENTAL):
        for provider, path in (
            ("openai", "/v1/chat%2Fcompletions"),
            ("openai", "/V1/models"),
            ("openai", "/v1/threads"),
            ("anthropic", "/v1/chat/completions"),
            ("anthropic", "/"),
        ):
            assert await message(running, "POST", f"{prefix}/{provider}{path}") == (
                404,
                f"route not supported: POST {path}",
            ), prefix
        assert await message(running, "GET", f"{prefix}//v1/models") == (
            404,
            "provider not found; configured providers: anthropic, keyless, no-key, openai, own-server",
        ), prefix
    assert running.upstream.requests == []
    # a path that might mean another one is refused
    faults = {
        "/v1/chat/completions/": "an empty segment",
        "//v1/chat/completions": "an empty segment",
        "/v1/models/..;/x": "characters that are not allowed there",
        "/v1/models/x#y": "characters that are not allowed there",
        "/v1/models/%2e%2e;": "characters that are not allowed there",
        "/v1/models/%00": "percent-encoded characters that are not allowed there",
        "/v1/models/..%252ffiles": "percent-encoded characters that are not allowed there",
        "/v1/models/%2e%2e/files": "an encoded segment that is empty, `.` or `..`",
    }
    for provider in ("openai", "anthropic"):
        messages = {path: await message(running, "GET", f"{CONTROL}/{provider}{path}") for path in faults}
        assert messages == {path: (400, f"The path cannot be served: it has {it}.") for path, it in faults.items()}
    assert running.upstream.requests == []


async def test_a_route_is_served_as_it_was_encoded_and_others_are_told_in_their_dialect(running):
    # a known path with another method is told which ones it has
    for path, method, allowed in (
        ("/openai/v1/chat/completions", "GET", "POST"),
        ("/openai/v1/responses", "DELETE", "POST"),
        ("/openai/v1/models/ft:gpt-4o:org", "DELETE", "GET, HEAD"),
        ("/openai/v1/responses/resp_1", "POST", "GET, HEAD, DELETE"),
        ("/openai/v1/responses/compact", "PUT", "POST, GET, HEAD, DELETE"),
        ("/anthropic/v1/messages", "PUT", "POST"),
        ("/anthropic/v1/messages/count_tokens", "OPTIONS", "POST"),
    ):
        response = await running.request(method, CONTROL + path, running.headers)
        text = f"{method} is not allowed at {path[path.index('/v1') :]}; use {allowed}."
        assert (response.status, json.loads(response.body)["message"]) == (405, text)
        assert (response.header("Allow"), response.header("x-should-retry")) == (allowed, "false"), path
    assert running.upstream.requests == []
    # an unknown route is refused in the dialect of its provider
    for provider in ("anthropic", "no-key", "openai", "keyless"):
        for path in ("/v1/threads", "/v1/organizations/api_keys", "/v1/chat", "/nowhere"):
            response = await running.request("GET", f"{CONTROL}/{provider}{path}", running.headers)
            error = json.loads(response.body)
            anthropic = provider in {"anthropic", "no-key"}
            assert (response.status, error.get("type")) == (404, "error" if anthropic else None)
            assert response.header("Request-Id" if anthropic else "X-Request-Id")
    # the path goes upstream as it was encoded
    running.upstream.play(JSON)
    for path in ("/v1/models/a%20b%2Fc?x=%26&y", "/v1/models/gr%C3%BC%C3%9Fe", "/v1/models/a+b,c=d"):
        assert (await running.request("GET", f"{CONTROL}/openai{path}", running.headers)).status == 200
        assert running.upstream.requests[-1].target == path
    # every provider answers below its own name
    running.upstream.play(JSON)
    for provider, target in (("openai", "/v1/models"), ("keyless", "/v1/models"), ("anthropic", "/v1/models")):
        response = await running.request("GET", f"{EXPERIMENTAL}/{provider}/v1/models", running.headers)
        assert (response.status, running.upstream.requests[-1].target) == (200, target)
    # nothing says which software answers
    for path in ("/healthz", "/nowhere", f"{CONTROL}/interceptions", f"{CONTROL}/openai/v1/nowhere"):
        response = await running.request("GET", path, {})
        assert response.header("Server") is None
        assert b"ornado" not in response.body


BASE = f"http://bridge{CONTROL}"


async def test_a_wrong_base_url_is_answered_with_the_right_one(running):
    right = {
        "/v1/messages": "/anthropic",
        "/v1/chat/completions": "/openai/v1",
        "/openai/v1/responses": "/openai/v1",
        "/anthropic/v1/messages": "/anthropic",
        "/chat/completions": "/openai/v1",
        "/responses": "/openai/v1",
        "/messages": "/anthropic",
        "/v1beta/models/gemini-3:generateContent": "/PROVIDER",
        "/own-server/v1/models": "/own-server/v1",
        f"{CONTROL}/openai/chat/completions": "/openai/v1",
        f"{CONTROL}/openai/models": "/openai/v1",
        f"{CONTROL}/openai/v1/v1/responses": "/openai/v1",
        f"{CONTROL}/anthropic/messages": "/anthropic",
        f"{CONTROL}/anthropic/v1/v1/messages": "/anthropic",
        f"{CONTROL}/v1/chat/completions": "/openai/v1",
        f"{CONTROL}/v1/messages": "/anthropic",
        f"{CONTROL}/messages": "/anthropic",
        f"{CONTROL}/chat/completions": "/openai/v1",
    }
    for path, base_url in right.items():
        response = await running.request("POST", path, running.headers, b"x" * 2_000_000)
        error = json.loads(response.body)
        result = (response.status, error["message"].rpartition("; ")[2])
        assert result == (404, f"set the base URL to {BASE}{base_url}"), path
        assert ("type" in error) == ("anthropic" in base_url), path
        assert response.header("x-should-retry") == "false", path


@pytest.mark.bridge(trusted_proxies=[ip_network("127.0.0.0/8")])
async def test_behind_a_trusted_proxy_the_base_url_is_as_the_client_reached_it(running):
    response = await running.request("GET", "/v1/models", {"X-Forwarded-Proto": "https"})
    assert json.loads(response.body)["message"].endswith(f"; set the base URL to https://bridge{CONTROL}/openai/v1")
