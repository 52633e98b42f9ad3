"""Which path leads to which handler."""

from __future__ import annotations

import json

import pytest

from handlers.application import CONTROL_RESOURCES
from settings.kinds import RESERVED_NAMES

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CONTROL = "/api/v2/aibridge"
EXPERIMENTAL = "/api/experimental/aibridge"


async def message(running, method, path):
    client = await running.client()
    answer = await client.request(method, path, running.headers)
    client.close()
    return answer.status, json.loads(answer.body)["message"]


def test_no_provider_can_be_called_like_a_resource():
    assert set(RESERVED_NAMES) >= CONTROL_RESOURCES


@pytest.mark.parametrize("name", sorted(CONTROL_RESOURCES - {"interceptions"}))
@pytest.mark.gen_test
async def test_the_name_of_a_resource_is_not_looked_for_among_the_providers(running, name):
    for path in (f"{CONTROL}/{name}/v1/models", f"{CONTROL}/{name}/"):
        assert await message(running, "GET", path) == (404, f"not found: GET {path}")
    status, text = await message(running, "GET", f"{EXPERIMENTAL}/{name}/v1/models")
    assert (status, text) == (
        404,
        "provider not found; configured providers: anthropic, keyless, no-key, openai, own-server",
    )


@pytest.mark.parametrize("prefix", [CONTROL, EXPERIMENTAL])
@pytest.mark.gen_test
async def test_what_only_looks_like_a_route_is_none(running, prefix):
    for provider, path in (
        ("openai", "/v1/chat%2Fcompletions"),
        ("openai", "/v1/chat/completions/"),
        ("openai", "//v1/chat/completions"),
        ("openai", "/v1/models/"),
        ("openai", "/v1/models/%2e%2e/files"),
        ("openai", "/v1/models/..%252ffiles"),
        ("openai", "/V1/models"),
        ("anthropic", "/v1/chat/completions"),
        ("anthropic", "/"),
    ):
        assert await message(running, "POST", f"{prefix}/{provider}{path}") == (
            404,
            f"route not supported: POST {path}",
        )
    assert await message(running, "GET", f"{prefix}//v1/models") == (
        404,
        "provider not found; configured providers: anthropic, keyless, no-key, openai, own-server",
    )
    assert running.upstream.requests == []


@pytest.mark.gen_test
async def test_a_recorded_route_takes_no_other_method(running):
    for method in ("GET", "PUT", "DELETE"):
        assert await message(running, method, f"{CONTROL}/openai/v1/chat/completions") == (
            404,
            f"route not supported: {method} /v1/chat/completions",
        )


@pytest.mark.gen_test
async def test_the_path_goes_upstream_as_it_was_encoded(running):
    running.upstream.play(JSON)
    client = await running.client()
    for path in ("/v1/models/a%20b%2Fc?x=%26&y", "/v1/models/gr%C3%BC%C3%9Fe", "/v1/models/a+b;c=d"):
        assert (await client.request("GET", f"{CONTROL}/openai{path}", running.headers)).status == 200
        assert running.upstream.requests[-1].target == path


@pytest.mark.gen_test
async def test_every_provider_answers_below_its_own_name(running):
    running.upstream.play(JSON)
    client = await running.client()
    for provider, target in (("openai", "/v1/models"), ("keyless", "/v1/models"), ("anthropic", "/v1/models")):
        answer = await client.request("GET", f"{EXPERIMENTAL}/{provider}/v1/models", running.headers)
        assert (answer.status, running.upstream.requests[-1].target) == (200, target)


@pytest.mark.gen_test
async def test_nothing_says_which_software_answers(running):
    client = await running.client()
    for path in ("/healthz", "/nowhere", f"{CONTROL}/interceptions", f"{CONTROL}/openai/v1/nowhere"):
        answer = await client.request("GET", path, {})
        assert answer.header("Server") is None
        assert b"ornado" not in answer.body
