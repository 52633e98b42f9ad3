"""Refusals of the bridge arrive as the SDKs' own exceptions, with the bridge's message. SDKs wait as `Retry-After` says."""

import asyncio
from datetime import timedelta

import pytest

from tests.sdk.libraries import anthropic_sdk, openai_sdk
from tests.sdk.wiring import LAST_CHUNK, chunk, stream, whole

BAD_TOKEN = "The token is not valid: it is unknown, expired or revoked."
RATE_LIMITED = "You've been rate limited. Please try again later."
AT_CAPACITY = "AI Bridge is currently at capacity. Please try again later."
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "m", "messages": HELLO}
MESSAGE = CHAT | {"max_tokens": 9}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn"}


def openai_body(message, kind, code):
    return {"message": message, "type": kind, "param": None, "code": code}


def anthropic_body(error, message, kind):
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "message": message,
        "request_id": error.request_id,
    }


@pytest.mark.gen_test
async def test_a_bad_token_is_an_authentication_error(running, wiring):
    with pytest.raises(openai_sdk.AuthenticationError) as openai_error:
        await wiring.openai(api_key="nonsense").chat.completions.create(**CHAT)
    assert openai_error.value.body == openai_body(BAD_TOKEN, "invalid_request_error", "invalid_api_key")
    with pytest.raises(openai_sdk.AuthenticationError):
        await wiring.openai(api_key="nonsense").responses.create(model="m", input="Hello")
    with pytest.raises(anthropic_sdk.AuthenticationError) as anthropic_error:
        await wiring.anthropic(api_key="nonsense").messages.create(**MESSAGE)
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, BAD_TOKEN, "authentication_error")
    assert running.upstream.requests == []
    await running.ended(0)


@pytest.mark.gen_test
async def test_a_route_that_is_not_served_is_not_found(running, openai, anthropic):
    with pytest.raises(openai_sdk.NotFoundError) as openai_error:
        await openai.fine_tuning.jobs.list()
    message = "route not supported: GET /v1/fine_tuning/jobs"
    assert openai_error.value.body == openai_body(message, "invalid_request_error", "not_found")
    with pytest.raises(anthropic_sdk.NotFoundError) as anthropic_error:
        await anthropic.beta.files.list()
    message = "route not supported: GET /v1/files"
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, message, "not_found_error")
    assert running.upstream.requests == []
    await running.ended(0)


@pytest.mark.gen_test
async def test_a_request_without_a_model_is_bad(running, openai, anthropic):
    message = "model is required: a non-empty string"
    with pytest.raises(openai_sdk.BadRequestError) as chat_error:
        await openai.chat.completions.create(**CHAT | {"model": ""})
    assert chat_error.value.body == openai_body(message, "invalid_request_error", None)
    with pytest.raises(openai_sdk.BadRequestError) as responses_error:
        await openai.responses.create(input="Hello")
    assert responses_error.value.body == openai_body(message, "invalid_request_error", None)
    with pytest.raises(anthropic_sdk.BadRequestError) as anthropic_error:
        await anthropic.messages.create(**MESSAGE | {"model": ""})
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, message, "invalid_request_error")
    assert running.upstream.requests == []
    await running.ended(0)


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(hours=1))
@pytest.mark.gen_test
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


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(milliseconds=1500))
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.gen_test
async def test_an_sdk_waits_as_long_as_it_is_told_and_then_gets_in(running, wiring, monkeypatch, sdk):
    client = getattr(wiring, sdk)(max_retries=1)
    waits = []
    timeout = client._calculate_retry_timeout
    monkeypatch.setattr(
        client, "_calculate_retry_timeout", lambda *arguments: waits.append(timeout(*arguments)) or waits[-1]
    )
    running.upstream.play(*whole(COMPLETION if sdk == "openai" else ANSWER))
    for _ in range(2):
        if sdk == "openai":
            await client.chat.completions.create(**CHAT)
        else:
            await client.messages.create(**MESSAGE)
    (wait,) = waits
    assert 0 < wait <= 1.5
    first, second = running.upstream.requests
    assert first.header("x-stainless-retry-count") == ["0"]
    assert second.header("x-stainless-retry-count") == ["1"]
    await running.ended(2)


@pytest.mark.bridge(max_concurrency=1)
@pytest.mark.gen_test
async def test_a_full_bridge_is_unavailable_until_a_slot_is_free(running, openai, anthropic):
    gate = asyncio.Event()
    data = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    event = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
    running.upstream.play(*stream([event], gate, chunk(b"data: [DONE]\n\n"), LAST_CHUNK))
    running.upstream.play(*whole(ANSWER))
    chunks = await openai.chat.completions.create(**CHAT, stream=True)
    assert (await anext(chunks)).to_dict() == data
    with pytest.raises(openai_sdk.InternalServerError) as openai_error:
        await openai.responses.create(model="m", input="Hello")
    assert openai_error.value.status_code == 503
    assert openai_error.value.body == openai_body(AT_CAPACITY, "server_error", "service_unavailable")
    with pytest.raises(anthropic_sdk.APIStatusError) as anthropic_error:
        await anthropic.messages.create(**MESSAGE)
    assert anthropic_error.value.status_code == 503
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, AT_CAPACITY, "overloaded_error")
    gate.set()
    assert [chunk async for chunk in chunks] == []
    assert (await anthropic.messages.create(**MESSAGE)).to_dict() == ANSWER
    await running.ended(2)


@pytest.mark.bridge(allow_byok=False)
@pytest.mark.gen_test
async def test_an_own_key_where_none_is_allowed_is_a_permission_error(running, wiring):
    message = "Bring Your Own Key (BYOK) mode is not enabled."
    ours = {"X-Coder-AI-Governance-Token": running.token}
    with pytest.raises(openai_sdk.PermissionDeniedError) as openai_error:
        await wiring.openai(api_key="sk-own", default_headers=ours).chat.completions.create(**CHAT)
    assert openai_error.value.body == openai_body(message, "invalid_request_error", "permission_denied")
    with pytest.raises(anthropic_sdk.PermissionDeniedError) as anthropic_error:
        await wiring.anthropic(api_key="sk-own", default_headers=ours).messages.create(**MESSAGE)
    assert anthropic_error.value.body == anthropic_body(anthropic_error.value, message, "permission_error")
    await running.ended(0)


@pytest.mark.gen_test
async def test_an_own_key_goes_upstream_and_is_recorded_as_a_hint(running, wiring):
    running.upstream.play(*whole(COMPLETION))
    running.upstream.play(*whole(ANSWER))
    ours = {"X-Coder-AI-Governance-Token": running.token}
    key = "sk-own-key-0123456789-abcd"
    await wiring.openai(api_key=key, default_headers=ours).chat.completions.create(**CHAT)
    await wiring.anthropic(api_key=key, default_headers=ours).messages.create(**MESSAGE)
    for request in running.upstream.requests:
        assert request.header("Authorization") == [f"Bearer {key}"]
        assert running.token not in repr(request.headers)
    for recorded in await running.ended(2):
        assert (recorded["credential_kind"], recorded["credential_hint"]) == ("byok", "sk-o...abcd")
