"""Requests that lead to no provider: who is told what, and counted how."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.handlers.dataplane.test_admission import refused

CONTROL = "/api/v2/aibridge"


@pytest.mark.gen_test
async def test_what_is_not_served_is_named_and_who_asks_for_roots_needs_no_token(running):
    # what is not served is named
    for path, method, message in (
        ("/api/v2/aibridge/openai/v1/threads", "GET", "route not supported: GET /v1/threads"),
        ("/api/v2/aibridge/openai/v1/messages", "POST", "route not supported: POST /v1/messages"),
        ("/api/v2/aibridge/openai/v1/audio/x", "GET", "route not supported: GET /v1/audio/x"),
        ("/api/v2/aibridge/openai", "GET", "route not supported: GET /"),
        (
            "/api/v2/aibridge/nobody/v1/models",
            "GET",
            "provider not found; configured providers: anthropic, keyless, no-key, openai, own-server",
        ),
    ):
        response = await refused(running, path, running.headers, method=method, body=b"")
        assert (response.status, json.loads(response.body)["message"]) == (404, message), path
    await running.afresh()
    # who asks whether anybody is there needs no token
    for path in ("/anthropic", "/anthropic/", "/anthropic/api/hello", "/openai/api/hello"):
        response = await refused(running, CONTROL + path, {}, method="HEAD", body=b"")
        assert (response.status, response.header("Content-Length")) == (200, "0"), path
    assert (await refused(running, f"{CONTROL}/anthropic/api/hello", {}, method="GET", body=b"")).status == 401
    await running.afresh()
    # the right base url at the root needs no token and takes no slot
    response = await running.request("GET", "/v1/models", {})
    assert (response.status, running.bridge.overload.holding) == (404, 0)
    for path in ("/v1x", "/nowhere/v1/models", "/dashboard/v1", "/"):
        response = await running.request("GET", path, running.headers)
        assert b"base URL" not in response.body


@pytest.mark.bridge(rate_limit=2, rate_window=timedelta(hours=1))
@pytest.mark.gen_test
async def test_who_is_told_something_without_a_token_is_limited_by_address(running):
    requests = [("HEAD", f"{CONTROL}/openai"), ("GET", "/v1/models")] * 2
    responses = [await running.request(method, path, {}) for method, path in requests]
    assert [response.status for response in responses] == [200, 404, 429, 429]
