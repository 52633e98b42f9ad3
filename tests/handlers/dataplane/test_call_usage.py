"""Limits of tokens and money: what a call is charged, and what a user is told who has used all of it."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from limits.limit import LimitKind
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
OPUS = replace(MESSAGES, request=MESSAGES.request | {"model": "claude-opus-4-1"})
OPUS_MICRO_DOLLARS = 288
"""What such a call costs, rounded up: in dollars for a million 15 and 75, 1.5 and 18.75 of the cache."""
TOKENS_OF = {CHAT.path: 7, MESSAGES.path: 10}


def whole(conversation, headers=b""):
    """The response as one body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(conversation.body)
    return head + headers + b"\r\n" + conversation.body


async def states(running):
    """How much is used and reserved, by kind."""
    result = await running.bridge.overload.authority.usage(9)
    return {state.limit.kind: (state.used, state.reserved) for state in result}


async def used(running, kind):
    return (await states(running)).get(kind, (0, 0))[0]


@pytest.mark.parametrize(("conversation", "stream"), [(CHAT, True), (MESSAGES, False), (RESPONSES, True)])
@pytest.mark.bridge(user_token_limit=1, token_window=timedelta(hours=1))
async def test_a_call_is_charged_its_tokens_and_the_next_one_is_refused(running, conversation, stream):
    running.upstream.play(STREAM + chunk(conversation.stream) + LAST if stream else whole(conversation))
    assert (await running.call(conversation, stream=stream)).status == 200
    charged = TOKENS_OF.get(conversation.path, 7)
    assert await used(running, LimitKind.TOKENS) == charged
    response = await running.call(conversation, stream=stream)
    message, _, wait = json.loads(response.body)["message"].partition(" the next request may start in ")
    assert (response.status, message) == (
        429,
        (
            "Your calls have used all tokens of your user for now. Please try again later. "
            f"You have used {charged} of 1 tokens in 1h0m0s;"
        ),
    )
    assert wait.startswith(("1h0m0s", "59m"))
    assert len(running.upstream.requests) == 1
    await running.ended(1)


@pytest.mark.bridge(user_token_limit=1, token_window=timedelta(hours=1), rate_limit=9)
async def test_a_refusal_is_told_in_headers_and_recorded(running):
    running.upstream.play(whole(CHAT))
    await running.call(CHAT)
    for conversation in CHAT, MESSAGES:
        refused = await running.call(conversation)
        told = [refused.header(f"X-RateLimit-{what}") for what in ("Limit", "Remaining")]
        assert (refused.status, told) == (429, ["9", "8"])
    await running.bridge.refusal_recorder.flush()
    _, listed = await running.get("/api/v2/aibridge/refusals?q=rule:user_tokens")
    refusals = [(row["rule"], row["status"], row["retry_after_ms"] > 3_590_000) for row in listed["results"]]
    assert refusals == [("user_tokens", 429, True)] * 2
    _, limits = await running.get("/api/v2/aibridge/limits")
    (key,) = limits["limits"][4]["keys"]
    assert (key["username"], key["used"], key["remaining"]) == ("ada", 7, 0)


@pytest.mark.bridge(user_token_limit=1, count_cache_reads=True)
async def test_tokens_read_from_a_cache_count_where_that_is_set(running):
    running.upstream.play(whole(MESSAGES))
    await running.call(MESSAGES)
    assert await used(running, LimitKind.TOKENS) == 14


@pytest.mark.bridge(user_budget_usd=Decimal("0.0001"))
async def test_a_user_whose_budget_is_used_up_is_told_so_in_the_dialect(running):
    running.upstream.play(whole(OPUS))
    response = await running.call(OPUS)
    assert (response.status, *budget_told(response)) == (200, "0.0001", "0.0001")
    assert await used(running, LimitKind.BUDGET) == OPUS_MICRO_DOLLARS
    response = await running.call(OPUS)
    assert budget_told(response) == ("0.0001", "0.00")
    message = "AI budget of US$0.0001 exceeded. Please contact an administrator for more details."
    assert json.loads(response.body) == {
        "type": "error",
        "error": {"type": "permission_error", "message": message},
        "message": message,
        "request_id": response.header("Request-Id"),
    }
    assert (response.status, response.header("x-should-retry"), response.header("Retry-After")) == (403, "false", None)
    _, limits = await running.get("/api/v2/aibridge/limits")
    (key,) = limits["limits"][5]["keys"]
    assert (key["username"], key["remaining"]) == ("ada", 0)
    own = {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own-key-0123456789"}
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS, own)).status == 200
    assert await used(running, LimitKind.BUDGET) == OPUS_MICRO_DOLLARS
    await running.ended(2)


@pytest.mark.bridge(user_token_limit=1_000_000)
async def test_an_advisor_is_recorded_charged_and_priced_by_its_own_model(running):
    advice = (
        b'"iterations":[{"type":"advisor_message","model":"claude-opus-4-8","input_tokens":900,"output_tokens":60}],'
    )
    events = MESSAGES.stream.replace(b'"usage": {', b'"usage": {' + advice)
    running.upstream.play(STREAM + chunk(events) + LAST)
    asking = replace(MESSAGES, request=MESSAGES.request | {"model": "claude-haiku-4-5"})
    assert (await running.call(asking, stream=True)).status == 200
    assert await used(running, LimitKind.TOKENS) == 900 + 60 + 10
    (recorded,) = await running.ended(1)
    counts = ("model", "input_tokens", "output_tokens")
    usages = [tuple(usage.get(name) for name in counts) for usage in recorded["token_usages"]]
    assert usages == [("claude-opus-4-8", 900, 60), (None, 5, 2)]
    # In dollars for a million: 5 and 25 of the one; 1, 5, 0.1 and 1.25 of the other, which read 4 and wrote 3 tokens.
    assert recorded["cost"]["usd"] == pytest.approx(
        (900 * 5 + 60 * 25 + 5 * 1 + 2 * 5 + 4 * 0.1 + 3 * 1.25) / 1_000_000
    )


async def test_fast_mode_and_a_service_tier_are_priced_as_such(running):
    spoken = MESSAGES.body.replace(b'"usage": {', b'"usage": {"service_tier": "standard", "speed": "fast", ')
    fast = replace(MESSAGES, request=MESSAGES.request | {"model": "claude-opus-5-5"}, body=spoken)
    flex = replace(CHAT, request=CHAT.request | {"model": "gpt-5.1"}, body=b'{"service_tier": "flex", ' + CHAT.body[1:])
    for asking in (fast, flex):
        running.upstream.play(whole(asking))
    for asking in (fast, flex):
        assert (await running.call(asking)).status == 200
    # In dollars for a million: 8, 40, 0.4 and 10, twice the standard prices; 0.625, 5 and 0.0625, half of them.
    costs = {one["model"]: one["cost"]["usd"] for one in await running.ended(2)}
    assert costs["claude-opus-5-5"] == pytest.approx((5 * 8 + 2 * 40 + 4 * 0.4 + 3 * 10) / 1_000_000)
    assert costs["gpt-5.1"] == pytest.approx((5 * 0.625 + 2 * 5 + 4 * 0.0625) / 1_000_000)


def budget_told(response):
    """The budget and what is left of it, once the end of the period is seen to be told."""
    assert 0 < int(response.header("X-AI-Bridge-Budget-Reset") or 0) <= 31 * 86_400
    return response.header("X-AI-Bridge-Budget-Limit"), response.header("X-AI-Bridge-Budget-Remaining")


@pytest.mark.bridge(user_token_limit=100, limits_reserve=True)
async def test_what_a_call_may_use_is_held_back_until_its_end_also_if_its_client_leaves(running):
    gate = asyncio.Event()
    large = replace(MESSAGES, request=MESSAGES.request | {"max_tokens": 60})
    start = MESSAGES.stream[: MESSAGES.stream.index(b"event: content_block_stop")]
    running.upstream.play(STREAM + chunk(start), gate)
    client = await running.client()
    await client.send("POST", running.path(large), running.headers, large.request_body(stream=True))
    await client.head()
    refused = await running.call(large)
    message = json.loads(refused.body)["message"]
    assert (refused.status, "and reserved 60; the next request may start in 1s." in message) == (429, True)
    running.upstream.scripts[:] = [(whole(MESSAGES),)]
    assert (await running.call(MESSAGES)).status == 200
    assert await used(running, LimitKind.TOKENS) == 10
    client.reset()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert await states(running) == {LimitKind.TOKENS: (19, 0)}
    assert len(running.bridge.overload.authority.limiter) == 0
    gate.set()
    await running.ended(2)


@pytest.mark.bridge(user_token_limit=100, limits_reserve=True)
async def test_a_call_that_may_use_more_than_the_limit_is_told_that_no_wait_helps(running, caplog):
    caplog.set_level(logging.INFO)
    refused = await running.call(replace(MESSAGES, request=MESSAGES.request | {"max_tokens": 101}))
    message = json.loads(refused.body)["message"]
    assert message.endswith("; this request may need more than all of them.")
    assert (refused.status, refused.header("Retry-After"), refused.header("x-should-retry")) == (429, None, "false")
    assert running.upstream.requests == []
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert await states(running) == {}


@pytest.mark.bridge(user_token_limit=100, rate_limit=5)
async def test_what_a_provider_says_of_its_own_limits_is_not_replaced(running):
    running.upstream.play(whole(CHAT, b"x-ratelimit-remaining-tokens: 3\r\n"))
    response = await running.call(CHAT)
    assert response.header("x-ratelimit-remaining-tokens") == "3"
    assert response.header("X-RateLimit-Remaining") == "4"
