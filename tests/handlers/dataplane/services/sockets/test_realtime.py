"""OpenAI's Realtime API over a WebSocket: messages unchanged, each response recorded."""

import json
from datetime import timedelta
from functools import partial

import pytest

from handlers.base import UNRECOGNISED
from handlers.dataplane.services.sockets import session
from intercept.dialects.request_bodies import MAX_OTHER_MODELS
from limits.policies.policy import Budget, Models, PolicyLimits, Rate, SharedLimits, SharedPolicy
from tests.handlers.dataplane.services.sockets.socket_client import answer, closing, dial, exchange, refusal
from tests.handlers.dataplane.services.sockets.socket_provider import event
from tests.handlers.dataplane.test_policies import hold
from tests.intercept.dialects.openai.test_realtime import USAGE

PATH = "/api/v2/aibridge/openai/v1/realtime?model=gpt-realtime"
SESSION = json.dumps({"type": "session.created", "session": {"id": "sess_1", "model": "gpt-realtime"}})


@pytest.fixture
def opened(opened):
    return partial(opened, path=PATH)


def done(response, status="completed"):
    return json.dumps({"type": "response.done", "response": {"id": response, "status": status, "usage": USAGE}})


async def is_refused(client, upstream, provider, response, message):
    """What the provider begins by itself is refused: nothing of it reaches the client, and it is cancelled."""
    await upstream.send(event("response.created", response))
    assert (await answer(client))["error"]["message"].startswith(message)
    assert json.loads(await provider.received.get()) == {"type": "response.cancel", "response_id": response}
    await upstream.send(event("response.output_audio.delta", response_id=response, delta="AAAA"))
    await upstream.send(done(response, "cancelled"))
    assert await closing(client) == (1008, "AI Bridge refuses further responses")


def typed(text):
    content = [{"type": "input_text", "text": text}]
    return json.dumps(
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    )


async def test_each_response_that_a_client_requests_is_recorded_with_its_tokens(running, provider, opened):
    client, upstream = await opened()
    (request,) = provider.requests
    assert request.path == "/v1/realtime?model=gpt-realtime"
    assert request.headers["Authorization"] == "Bearer sk-openai-provider-key"
    await exchange(client, upstream, SESSION)
    for number in (1, 2):
        for sent in (typed(f"prompt {number}"), ' {"type":"response.create" , "response":{}}'):
            await client.send(sent)
            assert await provider.received.get() == sent
        assert running.bridge.overload.holding == 1
        await exchange(client, upstream, event("response.created", f"resp_{number}"), done(f"resp_{number}"))
    second, first = await running.ended(2)
    assert [one["user_prompts"][0]["prompt"] for one in (first, second)] == ["prompt 1", "prompt 2"]
    assert {(one["end_reason"], one["model"], one["client_session_id"]) for one in (first, second)} == {
        ("completed", "gpt-realtime", "sess_1")
    }
    id_ = client.response.headers["X-AI-Bridge-WebSocket-Id"]
    assert [one["websocket"] for one in (first, second)] == 2 * [{"id": id_, "lane": None, "warm_up": False}]
    assert running.tokens(first) == {
        "input_tokens": 68,
        "output_tokens": 121,
        "cache_read_input_tokens": 64,
        "cache_write_input_tokens": None,
    }
    assert running.bridge.overload.holding == 0


async def test_a_response_that_the_provider_begins_by_itself_is_recorded(running, provider, opened):
    client, upstream = await opened()
    await client.send('{"type":"input_audio_buffer.append","audio":"AAAA"}')
    await provider.received.get()
    await exchange(client, upstream, SESSION, event("response.created", "resp_1"))
    assert running.bridge.overload.holding == 1
    await exchange(client, upstream, done("resp_1", "cancelled"))
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["user_prompts"]) == ("completed", [])
    assert running.bridge.overload.holding == 0


async def test_a_response_that_began_by_itself_is_recorded_while_the_token_is_checked(running, checking, opened):
    client, upstream = await opened()
    await checking.while_it_is_checked(upstream.send(event("response.created", "resp_1")))
    assert await client.recv() == event("response.created", "resp_1")
    await exchange(client, upstream, done("resp_1"))
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "completed"
    assert (await closing(client))[1] == UNRECOGNISED


async def test_policies_hold_for_each_model_that_the_address_names(running, provider, opened):
    hold(running, SharedPolicy(models=Models(deny=["dear"])))
    many = "".join(f"&model=m{number}" for number in range(MAX_OTHER_MODELS))
    for query in ("&model=dear", "&Model=dear", "&deployment=dear", many):
        assert ((await refusal(dial(running, PATH + query))).status_code, provider.requests) == (403, []), query


async def test_a_handshake_counts_in_rates_and_needs_what_a_response_needs(running, provider, opened):
    for limits, status in (
        (PolicyLimits(rate=Rate(requests=0, window="1h")), 429),
        (PolicyLimits(concurrency=0), 429),
        (PolicyLimits(budget=Budget(0, "month")), 403),
        (PolicyLimits(budget=Budget(0, "month", reserve=True)), 403),
    ):
        hold(running, SharedPolicy(limits=SharedLimits(each_member=limits)))
        assert ((await refusal(dial(running, PATH))).status_code, provider.requests) == (status, []), limits
        assert running.bridge.overload.holding == 0
    hold(running, SharedPolicy(limits=SharedLimits(each_member=PolicyLimits(rate=Rate(requests=1, window="2h")))))
    await opened()
    assert (await refusal(dial(running, PATH))).status_code == 429


async def test_a_policy_of_now_that_denies_the_model_of_the_address_ends_an_idle_websocket(
    running, provider, opened, monkeypatch
):
    monkeypatch.setattr(session, "PING_SECONDS", 0.01)
    client, upstream = await opened()
    await exchange(client, upstream, SESSION)
    hold(running, SharedPolicy(models=Models(deny=["gpt-realtime"])))
    reason = 'The model "gpt-realtime" of openai may not be used here: everyone denies gpt-realtime.'
    assert await closing(client) == (1008, reason)


HEARD = "conversation.item.input_audio_transcription"
MODEL = "gpt-4o-transcribe"


async def test_a_transcription_is_a_call_with_a_model_a_policy_a_usage_and_a_record(running, provider, opened):
    client, upstream = await opened()
    update = json.dumps(
        {"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": MODEL}}}}}
    )
    await client.send(update)
    assert await provider.received.get() == update
    session_ = {"id": "sess_1", "model": None, "input_audio_transcription": {"model": MODEL}}
    usage = {"type": "tokens", "total_tokens": 14, "input_tokens": 10, "output_tokens": 4}
    heard = [
        json.dumps({"type": f"{HEARD}.delta", "item_id": "item_1", "delta": "Hel"}),
        json.dumps({"type": f"{HEARD}.completed", "item_id": "item_1", "transcript": "Hello", "usage": usage}),
    ]
    updated = json.dumps({"type": "session.updated", "session": session_})
    await exchange(client, upstream, updated, *heard)
    (recorded,) = await running.ended(1)
    told = running.tokens(recorded)
    assert (recorded["model"], recorded["end_reason"]) == (MODEL, "completed")
    assert (told["input_tokens"], told["output_tokens"], recorded["user_prompts"]) == (10, 4, [])
    # who may not use the model is refused it, and gets nothing where the provider uses it all the same
    hold(running, SharedPolicy(models=Models(deny=["*-transcribe"])))
    other, upstream = await opened()
    await other.send(update)
    assert (await answer(other))["error"]["code"] == "permission_denied"
    assert provider.received.empty()
    await exchange(other, upstream, updated)
    for message in heard:
        await upstream.send(message)
    assert (await answer(other))["error"]["code"] == "permission_denied"
    await closing(other)
    assert len(await running.ended(2)) == 2


@pytest.mark.bridge(rate_limit=2, rate_window=timedelta(hours=1))
async def test_a_response_beyond_a_limit_that_began_by_itself_is_cancelled_and_not_relayed(running, provider, opened):
    client, upstream = await opened()
    await exchange(client, upstream, event("response.created", "resp_1"), done("resp_1"))
    await is_refused(client, upstream, provider, "resp_2", "You've been rate limited.")
    assert {one["end_reason"] for one in await running.ended(2)} == {"completed"}
    assert running.bridge.overload.holding == 0


async def test_a_browser_offers_the_token_as_a_subprotocol_and_the_provider_never_sees_it(running, provider, opened):
    offered = [
        "realtime",
        f"openai-insecure-api-key.{running.token}",
        "openai-organization.org-1",
        "openai-beta.realtime-v1",
    ]
    provider.protocols = ["realtime"]
    client, _ = await opened(subprotocols=offered, Authorization=None, Origin="https://pages.example")
    assert client.subprotocol == "realtime"
    (request,) = provider.requests
    assert request.headers["Sec-WebSocket-Protocol"] == "realtime, openai-beta.realtime-v1"
    assert request.headers["Authorization"] == "Bearer sk-openai-provider-key"
    assert running.token not in str(request.headers)
    assert "Origin" not in request.headers


@pytest.mark.bridge(realtime_websocket=False)
async def test_it_can_be_switched_off(running):
    assert (await refusal(dial(running, PATH))).status_code == 426
