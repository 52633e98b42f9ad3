"""`GET /providers/performance`: how providers fare, for who sees everything."""

from __future__ import annotations

import pytest

from storage.accounts.identities import Role
from tests.handlers.conversations import CHAT

PATH = "/api/v2/aibridge/providers/performance"


@pytest.mark.gen_test
async def test_each_provider_says_how_its_latest_calls_went(running):
    for status in (200, 429):
        body = CHAT.body if status == 200 else b"{}"
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        running.upstream.play(head % (status, len(body)) + body)
    for _ in range(2):
        client = await running.client()
        await client.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    await running.ended(2)
    status, found = await running.get(PATH)
    assert status == 200
    assert [one["name"] for one in found] == list(running.bridge.providers)
    openai = found[0]
    assert (openai["calls"], openai["requests"], openai["rate_limited"]) == (2, 2, 1)
    assert openai["models"] == [CHAT.request["model"]]
    assert 0 <= openai["bridge_ms"]["p50"] <= openai["bridge_ms"]["p95"] < 60_000
    assert openai["tokens_per_second"] is None
    assert found[1] == {
        "name": "anthropic",
        "calls": 0,
        "requests": 0,
        "rate_limited": 0,
        "models": [],
        **dict.fromkeys(("bridge_ms", "provider_ms", "tokens_per_second")),
    }


@pytest.mark.gen_test
async def test_a_member_is_not_told_how_providers_fare(running):
    headers = await running.user("bob", Role.MEMBER)
    status, refused = await running.get(PATH, headers)
    assert (status, refused["message"]) == (403, "Only owners and auditors may see how providers fare.")
