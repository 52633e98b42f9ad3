import asyncio
import json
from http import HTTPStatus

import pytest

from handlers.base import UNRECOGNISED
from handlers.dataplane.services.sockets import session
from handlers.dataplane.services.sockets.hops import ClientHop
from handlers.dataplane.services.sockets.service import WRONG_ACCEPT
from handlers.dataplane.services.sockets.session import LATE_MESSAGE, MAX_CALLS, NOT_AN_EVENT
from intercept.recording import Keep
from intercept.records import EndReason
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, RecordingRules, SharedPolicy
from limits.protection.concurrency import MAX_SOCKETS
from storage.policies.documents import KeptPolicy
from tests.bridge import until
from tests.handlers.dataplane.services.sockets.socket_client import (
    PATH,
    answer,
    ask,
    closing,
    dial,
    exchange,
    lets_go,
    refusal,
)
from tests.handlers.dataplane.services.sockets.socket_provider import create, event, events
from tests.handlers.dataplane.test_policies import hold
from tests.handlers.monitoring.test_metrics import samples


def token_id_of(headers):
    return headers["Authorization"].removeprefix("Bearer ").partition("-")[0]


@pytest.mark.bridge(max_concurrency=5)
async def test_messages_go_through_unchanged_and_who_leaves_ends_its_calls(running, provider, opened, again):
    # messages go through unchanged and each response is recorded
    client, upstream = await opened()
    spelled = '{ "type" : "response.create", "model":"gpt-5","input":"Hi \\u00e9\\n", "unknown":[1.0] }'
    await client.send(spelled)
    assert await provider.received.get() == spelled
    assert running.bridge.overload.holding == 1
    sent = [event("codex.rate_limits", plan="x"), *events("resp_1")]
    await exchange(client, upstream, *sent)
    await ask(client, provider, create("And again", previous_response_id="resp_1"))
    await exchange(client, upstream, *events("resp_2"))
    second, first = await running.ended(2)
    assert lets_go(running)
    assert [one["end_reason"] for one in (first, second)] == ["completed", "completed"]
    assert [one["user_prompts"][0]["prompt"] for one in (first, second)] == ["Hi é\n", "And again"]
    assert [one["token_usages"][0]["provider_response_id"] for one in (first, second)] == ["resp_1", "resp_2"]
    assert running.tokens(first) == {
        "input_tokens": 15,
        "output_tokens": 7,
        "cache_read_input_tokens": 5,
        "cache_write_input_tokens": None,
    }
    assert (first["client"], first["model"], first["provider_name"]) == ("Codex", "gpt-5", "openai")
    assert (first["streaming"], second["streaming"]) == (True, True)
    await again()
    # what some providers would read as a request and others not is an error event and goes nowhere
    client, upstream = await opened()
    for sent in (
        create("one")[:-1] + ', "temperature": NaN}',
        '{"type": "response.create", "model": "gpt-5", "input": "one", "type": "x"}',
        '{"type": "x", "model": "gpt-5", "input": "one", "Type": "response.create"}',
        '{"type": "x", "session": {"model": "a"}, " Session": {"model": "b"}}',
        '{"t\\u0059pe": "response.create", "model": "gpt-5", "input": "one"}',
        "[]",
        create("one") + "}",
    ):
        await client.send(sent)
        error = await answer(client)
        assert (error["type"], error["status"], error["error"]["message"]) == ("error", 400, NOT_AN_EVENT), sent
    await client.send('{"type":"unknown"}')
    assert await provider.received.get() == '{"type":"unknown"}'
    assert await running.ended(0) == []
    await again()
    # a client that leaves ends its calls and frees the provider
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    await exchange(client, upstream, *events("resp_1")[:2])
    await client.close(4000, "enough")
    assert await provider.closed.get() == (4000, "enough")
    (call,) = await running.ended(1)
    assert call["end_reason"] == "client_disconnected"
    assert lets_go(running)


@pytest.mark.bridge(support_contact="ai-help@example.com")
async def test_the_policies_and_groups_of_now_hold_for_a_response(running, provider, opened, again):
    # the text of each response is recorded where a policy says so
    hold(running, SharedPolicy(recording=RecordingRules(responses=Keep.FULL)))
    client, upstream = await opened()
    for number, text in enumerate(("Grüße", "Adieu")):
        await ask(client, provider, create("Hi"))
        await exchange(client, upstream, *events(f"resp_{number}", text))
    second, first = await running.ended(2)
    assert [one["response"]["text"] for one in (first, second)] == ["Grüße", "Adieu"]
    await again()
    # the groups of now hold for a response not those of the handshake
    client, _ = await opened()
    group = await running.bridge.groups.add("research")
    await running.bridge.groups.add_members("research", ["ada"])
    policy = SharedPolicy(models=Models(deny=["*"]))
    running.bridge.policies.put(KeptPolicy(PolicyHolder(Level.GROUP, str(group.id), "research"), policy, "1"))
    await client.send(create("one"))
    error = await answer(client)
    assert (error["status"], error["error"]["message"][-29:]) == (403, "Contact: ai-help@example.com.")
    assert provider.received.empty()
    assert lets_go(running)
    await running.bridge.access.trail.flush()
    _, page = await running.get("/api/v2/aibridge/audit?action=access.denied")
    denied = [(entry["actor"]["username"], entry["detail"]["message"]) for entry in page["results"]]
    assert denied == [("ada", error["error"]["message"])]


async def test_the_text_groups_and_errors_of_a_response_are_recorded_with_its_id(running, provider, opened, again):
    # responses of one websocket are found by its id and a warm up is marked
    client, upstream = await opened()
    another, other_upstream = await opened()
    for end, far_end, requested, lane in (
        (client, upstream, {"generate": False}, {}),
        (client, upstream, {}, {"stream_id": "main"}),
        (another, other_upstream, {}, {}),
    ):
        await ask(end, provider, create("Hello", **requested, **lane))
        await exchange(end, far_end, *events("resp_1", **lane))
    await running.ended(3)
    id_ = client.response.headers["X-AI-Bridge-WebSocket-Id"]
    status, found = await running.get(f"/api/v2/aibridge/interceptions?q=request_id:{id_}")
    assert (status, [one["websocket"] for one in found["results"]]) == (
        200,
        [{"id": id_, "lane": "main", "warm_up": False}, {"id": id_, "lane": None, "warm_up": True}],
    )
    await again()
    # an error of the provider ends its call
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    error = {"type": "invalid_request_error", "code": "previous_response_not_found", "message": "no such response"}
    await upstream.send(json.dumps({"type": "error", "status": 400, "error": error}))
    assert (await answer(client))["error"] == error
    (call,) = await running.ended(1)
    assert (call["end_reason"], call["upstream_status"]) == ("upstream_error", 400)
    assert call["error"]["message"] == "no such response"
    await again()
    # lanes are told apart
    client, upstream = await opened()
    for lane in "ab":
        await ask(client, provider, create(f"prompt {lane}", stream_id=lane))
    first, second = events("resp_a", stream_id="a"), events("resp_b", "Other", stream_id="b")
    mixed = [message for pair in zip(second, first, strict=True) for message in pair]
    await exchange(client, upstream, *mixed)
    calls = await running.ended(2)
    found = {call["user_prompts"][0]["prompt"]: call["token_usages"][0]["provider_response_id"] for call in calls}
    assert found == {"prompt a": "resp_a", "prompt b": "resp_b"}
    await again()
    # a steered response and its successor are two calls
    client, upstream = await opened()
    await client.send(create("one"))
    await exchange(client, upstream, event("response.created", "resp_1"))
    steer = json.dumps({"type": "response.steer", "previous_response_id": "resp_1", "input": "rather this"})
    await client.send(steer)
    await provider.received.get()
    assert await provider.received.get() == steer
    steered = {"id": "resp_1", "incomplete_details": {"reason": "steered"}}
    incomplete = json.dumps({"type": "response.incomplete", "response": steered})
    await exchange(client, upstream, incomplete, *events("resp_2"))
    calls = await running.ended(2)  # which may have begun within a millisecond
    assert {one["user_prompts"][0]["prompt"] for one in calls} == {"one", "rather this"}
    assert [one["model"] for one in calls] == ["gpt-5", "gpt-5"]


@pytest.mark.bridge(rate_limit=2)
async def test_a_request_beyond_a_limit_is_an_error_event_and_goes_nowhere(running, provider, opened):
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    await client.send(create("two", stream_id="b"))
    error = await answer(client)
    assert (error["type"], error["status"], error["stream_id"]) == ("error", 429, "b")
    assert error["error"]["message"].startswith("You've been rate limited.")
    await exchange(client, upstream, *events("resp_1"))
    assert provider.received.empty()
    (call,) = await running.ended(1)
    assert call["end_reason"] == "completed"
    await running.bridge.refusal_recorder.flush()
    _, refusals = await running.get("/api/v2/aibridge/refusals")
    assert [(one["rule"], one["status"]) for one in refusals["results"]] == [("rate", 429)]


async def manage(running, method, path="", **fields):
    response = await running.request(
        method, f"/api/v2/aibridge/providers{path}", running.headers, json.dumps(fields).encode() if fields else b""
    )
    assert response.status < 300, response


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("PATCH", {"disabled": True}), "The provider east is disabled. Please ask an owner of AI Bridge."),
        (("DELETE", {}), "The provider east was removed. Please ask an owner of AI Bridge."),
    ],
)
async def test_a_provider_that_is_switched_off_takes_no_more_responses(running, provider, opened, change, said):
    await manage(running, "POST", name="east", type="openai", base_url=provider.url)
    client, upstream = await opened(path=PATH.replace("/openai/", "/east/"))
    await ask(client, provider, create("one", stream_id="a"))
    method, fields = change
    await manage(running, method, "/east", **fields)
    await client.send(create("two", stream_id="b"))
    error = await answer(client)
    assert (error["type"], error["status"], error["stream_id"]) == ("error", 503, "b")
    assert error["error"]["message"] == said
    await exchange(client, upstream, *events("resp_1", stream_id="a"))
    assert provider.received.empty()
    assert lets_go(running)
    (call,) = await running.ended(1)
    assert (call["provider_name"], call["end_reason"]) == ("east", "completed")
    await running.bridge.refusal_recorder.flush()
    _, refusals = await running.get("/api/v2/aibridge/refusals")
    assert [(one["rule"], one["status"]) for one in refusals["results"]] == [("provider_unavailable", 503)]


async def test_a_websocket_whose_token_is_not_valid_any_more_is_closed(running, provider, opened, monkeypatch):
    monkeypatch.setattr(session, "PING_SECONDS", 0.01)
    headers = await running.user("grace")
    client, upstream = await opened(**headers)
    await ask(client, provider, create("one"))
    await running.bridge.identities.revoke_token(token_id_of(headers))
    await exchange(client, upstream, *events("resp_1"))
    assert await closing(client) == (1008, UNRECOGNISED)
    (call,) = await running.ended(1)
    assert call["end_reason"] == "completed"


async def test_a_response_that_begins_while_the_token_is_checked_may_end(running, provider, checking, opened):
    client, upstream = await opened()
    await checking.while_it_is_checked(client.send(create("one")))
    await provider.received.get()
    await exchange(client, upstream, *events("resp_1"))
    assert (await closing(client))[1] == UNRECOGNISED
    assert lets_go(running)


@pytest.mark.bridge(user_token_limit=20, limits_reserve=True)
async def test_a_response_is_charged_its_tokens_and_holds_back_what_it_may_write(running, provider, opened):
    async def state():
        (result,) = await running.bridge.overload.authority.usage(9) or (None,)
        return result and (result.used, result.reserved)

    client, upstream = await opened()
    await ask(client, provider, create("one", max_output_tokens=12))
    await client.send(create("two", stream_id="b", max_output_tokens=12))
    error = await answer(client)
    assert error["error"]["message"].endswith("and reserved 12; the next request may start in 1s.")
    await exchange(client, upstream, *events("resp_1"))
    await running.ended(1)
    assert await state() == (22, 0)
    await client.send(create("three", max_output_tokens=1))
    error = await answer(client)
    assert (error["status"], "You have used 22 of 20 tokens" in error["error"]["message"]) == (429, True)
    assert len(running.bridge.overload.authority.limiter) == 0


async def test_calls_end_with_an_error_a_client_that_vanishes_or_a_token_that_is_revoked(
    running, provider, opened, again
):
    # a request that cannot be recorded is an error event
    client, _ = await opened()
    for message in ('{"type":"response.create"}', '{"type":"response.create","model":""}'):
        await client.send(message)
        error = await answer(client)
        assert (error["type"], error["status"]) == ("error", 400), message
        assert provider.received.empty(), message
        assert lets_go(running), message
    await again()
    # a client that vanishes ends its calls
    client, _ = await opened()
    await ask(client, provider, create("one"))
    client.transport.abort()
    await provider.closed.get()
    (call,) = await running.ended(1)
    assert call["end_reason"] == "client_disconnected"
    await again()
    # a steering request that fails or waits is a call that ends
    client, upstream = await opened()
    await client.send(create("one", stream_id="a"))
    await exchange(client, upstream, event("response.created", "resp_1", stream_id="a"))
    for words, kind in ("no", "failed"), ("later", "pending"):
        await client.send(json.dumps({"type": "response.steer", "previous_response_id": "resp_1", "input": words}))
        while json.loads(await provider.received.get()).get("input") != words:
            pass
        error = {"code": "response_not_active", "message": "It has ended."}
        ended = {"type": f"response.steer.{kind}", "steer": {"previous_response_id": "resp_1"}}
        await exchange(client, upstream, json.dumps(ended | ({"error": error} if kind == "failed" else {})))
    calls = await running.ended(2)
    assert {(one["user_prompts"][0]["prompt"], one["end_reason"], one["model"]) for one in calls} == {
        ("no", "upstream_stream_error", "gpt-5"),
        ("later", "completed", "gpt-5"),
    }
    assert [one["error"] for one in calls if one["error"]] == [
        {"type": "response_not_active", "message": "It has ended."}
    ]
    await again()
    # a token that was revoked gets no more responses
    headers = await running.user("grace")
    client, upstream = await opened(**headers)
    await ask(client, provider, create("one", stream_id="a"))
    await running.bridge.identities.revoke_token(token_id_of(headers))
    await client.send(create("two", stream_id="b"))
    error = await answer(client)
    assert (error["status"], error["error"]["message"]) == (401, UNRECOGNISED)
    await exchange(client, upstream, *events("resp_1", stream_id="a"))
    assert provider.received.empty()
    assert lets_go(running)
    (call,) = await running.ended(1)
    assert call["end_reason"] == "completed"


async def test_a_client_that_leaves_before_the_usage_of_its_response_is_charged(running, provider, opened):
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    created, _, completed = events("resp_1")
    done = event("response.output_item.done", output_index=0, item={"type": "message", "content": []})
    await exchange(client, upstream, created, done)
    client.transport.abort()
    await until(lambda: running.bridge.lifecycle.in_flight == 2)  # the WebSocket is over, and its rest is read
    await upstream.send(completed)
    (recorded,) = await running.ended(1)
    usage = recorded["token_usages"][0]
    assert (recorded["end_reason"], usage["output_tokens"], usage["source"]) == ("client_disconnected", 7, "provider")
    assert lets_go(running)


async def test_a_provider_that_closes_or_vanishes_truncates_its_calls(running, provider, opened, monkeypatch, again):
    # a provider that closes truncates its calls and its code passes
    waiting, wait_closed = asyncio.Event(), ClientHop.wait_closed

    async def note_wait(hop):
        waiting.set()
        await wait_closed(hop)

    monkeypatch.setattr(ClientHop, "wait_closed", note_wait)
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    await exchange(client, upstream, *events("resp_1")[:1])
    client.transport.pause_reading()
    await upstream.close(4001, "full")
    await waiting.wait()
    assert running.bridge.lifecycle.in_flight == 1  # until the client answers
    client.transport.resume_reading()
    assert await closing(client) == (4001, "full")
    (call,) = await running.ended(1)
    assert call["end_reason"] == "upstream_truncated"
    await again()
    # a provider that vanishes never looks like an orderly end
    client, upstream = await opened()
    await ask(client, provider, create("one"))
    upstream.transport.abort()
    assert (await closing(client))[0] == 1011
    (call,) = await running.ended(1)
    assert call["end_reason"] == "upstream_truncated"
    await again()
    # a websocket has a bounded number of responses
    client, _ = await opened()
    for number in range(MAX_CALLS + 1):
        await client.send(create(str(number), stream_id=str(number)))
    error = await answer(client)
    assert (error["status"], error["stream_id"]) == (429, str(MAX_CALLS))


async def test_when_the_server_stops_responses_end_whole_and_then_the_socket_goes(running, provider, opened):
    client, upstream = await opened()
    idle, _ = await opened()
    await ask(client, provider, create("one"))
    draining = asyncio.create_task(running.bridge.lifecycle.drain(10))
    assert (await closing(idle))[0] == 1001
    await client.send(create("two"))
    assert (await answer(client))["status"] == 503
    await exchange(client, upstream, *events("resp_1"))
    await closing(client)
    assert (client.close_code, await draining) == (1001, 0)
    (call,) = await running.ended(1)
    assert call["end_reason"] == "completed"


async def test_a_request_that_is_being_recorded_when_the_server_stops_is_still_answered(
    running, provider, opened, monkeypatch
):
    client, upstream = await opened()
    recording, gate, start = asyncio.Event(), asyncio.Event(), running.bridge.recorder.start

    async def start_late(record):
        recording.set()
        await gate.wait()
        await start(record)

    monkeypatch.setattr(running.bridge.recorder, "start", start_late)
    await client.send(create("one"))
    await recording.wait()
    draining = asyncio.create_task(running.bridge.lifecycle.drain(10))
    await asyncio.sleep(0)
    gate.set()
    await provider.received.get()
    await exchange(client, upstream, *events("resp_1"))
    assert await draining == 0
    (call,) = await running.ended(1)
    assert call["end_reason"] == "completed"


async def test_a_request_that_is_broken_off_while_it_is_recorded_was_never_under_way(running, opened, monkeypatch):
    client, upstream = await opened()
    recorded, start = asyncio.Event(), running.bridge.recorder.start

    async def start_without_end(record):
        await start(record)
        recorded.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(running.bridge.recorder, "start", start_without_end)
    await client.send(create("one"))
    await recorded.wait()
    await upstream.close()
    await closing(client)
    (call,) = await running.ended(1)
    assert call["end_reason"] == "upstream_truncated"
    assert set(samples(running.bridge.metrics, "interceptions_inflight").values()) <= {0}


async def test_a_response_that_outlasts_the_drain_is_ended_as_such(running, provider, opened):
    client, _ = await opened()
    await ask(client, provider, create("one"))
    assert await running.bridge.lifecycle.drain(0) > 0
    await closing(client)
    (call,) = await running.ended(1)
    assert call["end_reason"] == EndReason.SERVER_SHUTDOWN


@pytest.fixture
def arriving(opened):
    """Begin to send a large message: the client's end, what lets the rest come, and the sending."""
    begun = []

    async def begin():
        client, _ = await opened()
        gate = asyncio.Event()

        async def parts():
            yield "x" * 100_000
            await gate.wait()
            yield "x"

        begun.append(asyncio.create_task(client.send(parts())))
        return client, gate, begun[-1]

    yield begin
    for sending in begun:
        sending.cancel()


async def is_given_up(client):
    """A message that may not arrive is an error event, and ends the WebSocket."""
    error = await answer(client)
    assert (error["status"], error["error"]["message"]) == (408, LATE_MESSAGE)
    assert await closing(client) == (1013, LATE_MESSAGE)


@pytest.mark.bridge(max_concurrency=1)
async def test_a_large_message_holds_a_slot_while_it_arrives(running, provider, arriving):
    first, gate, sending = await arriving()
    await until(lambda: running.bridge.overload.holding == 1)
    assert (await refusal(dial(running))).status_code == 503
    gate.set()
    await sending
    assert (await answer(first))["status"] == 400  # it is no event
    assert lets_go(running)


async def test_a_large_message_may_take_as_long_as_a_body(running, provider, arriving, monkeypatch):
    monkeypatch.setattr(session, "BODY_SECONDS", 0.05)
    client, _, _ = await arriving()
    await is_given_up(client)
    assert lets_go(running)


async def test_a_handshake_has_the_providers_key_or_is_refused_and_a_user_has_so_many(running, provider, opened, again):
    # the handshake has the providers key and nothing of the client
    client, _ = await opened(**{"OpenAI-Beta": "responses_websockets=2026-02-06", "Session-Id": "s1"})
    (request,) = provider.requests
    assert request.path == "/v1/responses"
    assert request.headers["Authorization"] == "Bearer sk-openai-provider-key"
    assert (request.headers["OpenAI-Beta"], request.headers["Session-Id"]) == ("responses_websockets=2026-02-06", "s1")
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert running.token not in str(request.headers)
    assert client.response.headers["Upgrade"] == "websocket"
    await again()
    # a handshake that may not be is refused
    for headers, status in (
        ({"Authorization": "Bearer nobody"}, 401),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert (await refusal(dial(running, **headers))).status_code == status, headers
    await again()
    # what is no handshake is refused
    client = await running.client()
    headers = running.headers | {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "12"}
    response = await client.request("GET", PATH, headers)
    assert (response.status, response.header("Sec-WebSocket-Version")) == (426, "13")
    await again()
    # a refused handshake of the provider is the clients answer
    provider.refusal = (HTTPStatus.FORBIDDEN, "not for you\n")
    refused = await refusal(dial(running))
    assert (refused.status_code, refused.body) == (403, b"not for you\n")


async def test_a_provider_that_cannot_be_reached_is_a_502(running, provider):
    await provider.stop()
    assert (await refusal(dial(running))).status_code == 502
    await provider.start()


async def test_a_user_has_a_bounded_number_of_websockets(running, opened):
    for _ in range(MAX_SOCKETS):
        await opened()
    assert (await refusal(dial(running))).status_code == 429


async def test_who_answers_another_handshake_is_no_provider_and_holds_no_place(running):
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{}\r\n"
    for accept in ("", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"):
        running.upstream.scripts = [[head.format(accept).encode()]]
        response = await refusal(dial(running, PATH.replace("/openai/", "/own-server/")))
        assert (response.status_code, json.loads(response.body)["message"]) == (502, f"own-server: {WRONG_ACCEPT}.")
    assert len(running.bridge.shares.sockets) == 0


async def test_a_server_that_closes_its_streams_opens_no_websocket(running, provider):
    running.bridge.lifecycle.close_streams()
    refused = await refusal(dial(running))
    assert (refused.status_code, provider.requests) == (503, [])
