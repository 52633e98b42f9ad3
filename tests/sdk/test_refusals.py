"""Refusals of the bridge arrive as the SDKs' own exceptions, with the bridge's message. SDKs wait as `Retry-After` says."""

from datetime import timedelta
from importlib import import_module

import pytest
from tornado.httputil import HTTPHeaders

from intercept.callers import UNKNOWN, client_name
from tests.cases import for_each
from tests.sdk.libraries import anthropic_sdk, openai_sdk
from tests.sdk.wiring import whole

RATE_LIMITED = "You've been rate limited. Please try again later."
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "m", "messages": HELLO}
MESSAGE = CHAT | {"max_tokens": 9}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}


def openai_body(message, kind, code):
    return {"message": message, "type": kind, "param": None, "code": code}


def anthropic_body(error, message, kind):
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "message": message,
        "request_id": error.request_id,
    }


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(hours=1))
async def test_a_rate_limit_error_with_a_long_wait_is_not_retried(running, wiring):
    running.upstream.play(*whole(COMPLETION))
    await wiring.openai().chat.completions.create(**CHAT)
    with pytest.raises(openai_sdk.RateLimitError) as openai_error:
        await wiring.openai(max_retries=5).chat.completions.create(**CHAT)
    message = openai_error.value.body["message"]
    assert message.startswith(f"{RATE_LIMITED} This token has started 1 of 1 requests in 1h0m0s;")
    assert openai_error.value.body == openai_body(message, "rate_limit_exceeded", "rate_limit_exceeded")
    headers = openai_error.value.response.headers
    assert 3500 < int(headers["Retry-After"]) <= 3600
    assert headers["x-should-retry"] == "false"
    with pytest.raises(anthropic_sdk.RateLimitError) as anthropic_error:
        await wiring.anthropic(max_retries=5).messages.create(**MESSAGE)
    message = anthropic_error.value.body["message"]
    assert message.startswith(f"{RATE_LIMITED} This token has started 1 of 1 requests in 1h0m0s;")
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, message, "rate_limit_error")
    assert len(running.upstream.requests) == 1
    await running.ended(1)


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(seconds=1))
async def test_an_sdk_waits_as_long_as_it_is_told_and_then_gets_in(running, wiring):
    client = wiring.openai(max_retries=1)
    running.upstream.play(*whole(COMPLETION))
    for _ in range(2):
        await client.chat.completions.create(**CHAT)
    first, second = running.upstream.requests
    assert first.header("x-stainless-retry-count") == ["0"]
    assert second.header("x-stainless-retry-count") == ["1"]
    await running.ended(2)


async def test_what_no_repetition_mends_is_asked_once(running, wiring):
    with pytest.raises(anthropic_sdk.BadRequestError, match="set provider-2-keys on the server"):
        await wiring.anthropic("no-key", max_retries=9).messages.create(model="m", max_tokens=9, messages=HELLO)
    with pytest.raises(
        openai_sdk.NotFoundError, match=r"set the base URL to http://127\.0\.0\.1:[0-9]+/api/v2/aibridge/openai/v1"
    ):
        await wiring.openai("openai/v1", max_retries=9).chat.completions.create(model="m", messages=HELLO)
    with pytest.raises(openai_sdk.AuthenticationError, match="looks like a provider's key"):
        await wiring.openai(api_key="sk-proj-0123456789").chat.completions.create(model="m", messages=HELLO)
    assert running.upstream.requests == []


@for_each("sdk", "anthropic", "openai")
def test_every_client_of_the_official_sdks_is_known(sdk):
    package = import_module(sdk)
    named = [name for name in dir(package) if name.lower().endswith(("client", "openai")) or "Anthropic" in name]
    exported = [getattr(package, name) for name in named]
    clients = {one.__name__ for one in exported if isinstance(one, type) and hasattr(one, "user_agent")}
    assert len(clients) >= 4
    assert [name for name in clients if client_name(HTTPHeaders({"User-Agent": f"{name}/Python 1"})) == UNKNOWN] == []
