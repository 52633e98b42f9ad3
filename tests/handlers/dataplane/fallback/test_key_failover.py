"""Several keys for one provider: the next one is tried while no byte has reached the client. No refusal is made up."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from tests.fake_upstream import CLOSE, RESET
from tests.handlers.conversations import MESSAGES

KEYS = ("sk-first-key-0123456789", "sk-second-key-012345678")
HEAD = "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"

refused_key_is_logged = pytest.mark.expects_log("provider key refused: provider=anthropic")


def refusal(status, *, body="{}", retry_after=""):
    return (HEAD % (status, f"Retry-After: {retry_after}\r\n" if retry_after else "", len(body), body)).encode()


LIMITED, UNAUTHORIZED = refusal(429, retry_after="7"), refusal(401)
OK = refusal(200, body=MESSAGES.body.decode())
PATH = "/api/v2/aibridge/anthropic/v1/"


async def ask(running, headers=None, model="claude-sonnet-4-5"):
    client = await running.client()
    body = json.dumps(MESSAGES.request | {"model": model}).encode()
    return await client.request("POST", PATH + "messages", headers or running.headers, body)


def keys_sent(running):
    return [request.header("X-Api-Key")[0] for request in running.upstream.requests]


def play(running, *responses):
    running.upstream.scripts.clear()
    running.upstream.requests.clear()
    for response in responses:
        running.upstream.play(*response) if isinstance(response, tuple) else running.upstream.play(response)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.parametrize(
    "refused", [LIMITED, pytest.param(UNAUTHORIZED, marks=refused_key_is_logged)], ids=["429", "401"]
)
@pytest.mark.gen_test
async def test_a_refused_key_is_followed_by_the_next_and_the_client_sees_only_the_answer(running, refused):
    play(running, refused, OK)
    first, second = await ask(running), await ask(running)
    assert [(response.status, response.body) for response in (first, second)] == [(200, MESSAGES.body)] * 2
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1]]
    assert len({request.body for request in running.upstream.requests}) == 1
    for recorded in await running.ended(2):
        assert (recorded["end_reason"], recorded["credential_hint"]) == ("completed", "sk-s...5678")


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@refused_key_is_logged
@pytest.mark.gen_test
async def test_with_one_key_errors_pass_through_and_the_next_call_goes_out(running, log_watch):
    for calls, status in enumerate((403, 429, 500, 503, 529, 401), start=1):
        play(running, refusal(status, body='{"x":1}', retry_after="3600"), OK)
        response = await ask(running)
        refused = (response.status, response.body, response.header("Retry-After"))
        assert refused == (status, b'{"x":1}', "3600"), status
        for path, method in ((PATH + "models", "GET"), (PATH + "models/m", "GET")):
            client = await running.client()
            assert (await client.request(method, path, running.headers)).status == 200, (status, path)
        assert (await ask(running)).status == 200, status
        assert len(running.upstream.requests) == 4, status
        assert len(log_watch.lines) == (status == 401), status
        await running.ended(2 * calls)


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@refused_key_is_logged
@pytest.mark.gen_test
async def test_a_401_to_the_bridges_key_asks_for_no_repetition(running):
    told_otherwise = UNAUTHORIZED.replace(b"\r\n\r\n", b"\r\nx-should-retry: true\r\n\r\n", 1)
    play(running, UNAUTHORIZED, told_otherwise, UNAUTHORIZED, refusal(403), refusal(529))
    headers = [running.headers, running.headers, running.own_key, running.headers, running.headers]
    responses = [await ask(running, one) for one in headers]
    assert [(response.status, response.header("x-should-retry")) for response in responses] == [
        (401, "false"),
        (401, "true"),
        (401, None),
        (403, None),
        (529, None),
    ]
    await running.ended(5)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.gen_test
async def test_a_429_of_one_model_leaves_the_key_to_the_others(running):
    play(running, LIMITED, OK)
    assert (await ask(running, model="opus")).status == 200
    assert (await ask(running, model="haiku")).status == 200
    assert (await ask(running, model="opus")).status == 200
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[0], KEYS[1]]
    await running.ended(3)


@pytest.mark.bridge(anthropic_key=KEYS)
@refused_key_is_logged
@pytest.mark.gen_test
async def test_a_401_of_one_route_takes_the_key_from_all(running):
    play(running, UNAUTHORIZED, OK)
    client = await running.client()
    assert (await client.request("GET", PATH + "models", running.headers)).status == 200
    assert (await ask(running)).status == 200
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1]]
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.gen_test
async def test_with_every_key_refused_each_call_gets_the_providers_own_answer(running):
    play(running, LIMITED)
    for number in (1, 2, 3):
        response = await ask(running)
        assert (response.status, response.body, response.header("Retry-After")) == (429, b"{}", "7")
        assert len(running.upstream.requests) == number + 1
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1], KEYS[1]]
    for recorded in await running.ended(3):
        assert (recorded["end_reason"], recorded["upstream_status"]) == ("upstream_error", 429)


@pytest.mark.bridge(anthropic_key=KEYS)
@refused_key_is_logged
@pytest.mark.gen_test
async def test_a_wrong_key_does_not_hide_that_another_one_waits_for_its_limit(running):
    play(running, LIMITED, UNAUTHORIZED, UNAUTHORIZED, LIMITED)
    for _ in range(3):
        response = await ask(running)
        assert (response.status, response.header("Retry-After"), response.header("x-should-retry")) == (429, "7", None)
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1], KEYS[0], KEYS[0]]
    for recorded in await running.ended(3):
        assert (recorded["upstream_status"], recorded["credential_hint"]) == (429, "sk-f...6789")


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.gen_test
async def test_keys_that_cool_down_for_no_time_at_all_are_tried_once_each(running):
    play(running, refusal(429, retry_after="0"))
    assert (await ask(running)).status == 429
    assert keys_sent(running) == list(KEYS)
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.parametrize("status", [500, 529])
@pytest.mark.gen_test
async def test_what_the_next_key_is_answered_is_the_answer(running, status):
    play(running, LIMITED, refusal(status, body='{"x":1}'), OK)
    response = await ask(running)
    assert (response.status, response.body, keys_sent(running)) == (status, b'{"x":1}', list(KEYS))
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS, upstream_idle_timeout=timedelta(seconds=1))
@pytest.mark.parametrize("broken", ["reset", "closed", "silent"])
@pytest.mark.gen_test
async def test_a_refusal_is_not_lost_where_the_next_key_gets_no_answer(running, broken):
    play(running, LIMITED, {"reset": (RESET,), "closed": (CLOSE,), "silent": (asyncio.Event(),)}[broken])
    response = await ask(running)
    assert (response.status, response.body, response.header("Retry-After")) == (429, b"{}", "7")
    assert keys_sent(running) == list(KEYS)
    (recorded,) = await running.ended(1)
    assert (recorded["upstream_status"], recorded["credential_hint"]) == (429, "sk-f...6789")


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.gen_test
async def test_a_stream_that_is_cut_is_not_begun_again_with_another_key(running):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\nevent: ping\n\n"
    play(running, (head, RESET))
    response = await ask(running)
    assert (response.status, response.whole, len(running.upstream.requests)) == (200, False, 1)
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.gen_test
async def test_a_clients_own_key_is_tried_once_and_cools_none_of_ours_down(running):
    play(running, LIMITED)
    response = await ask(running, {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"})
    assert (response.status, keys_sent(running)) == (429, ["sk-own"])
    assert running.bridge.key_pools["anthropic"].pick("claude-sonnet-4-5") == KEYS[0]
    await running.ended(1)


PAYERS = {"OpenAI-Organization": "org-foreign", "openai-project": "proj_foreign"}


def payers_sent(running):
    return [name for name, _ in running.upstream.requests[-1].headers if name.lower().startswith("openai-")]


@pytest.mark.parametrize(
    "passed",
    [False, pytest.param(True, marks=pytest.mark.bridge(allow_billing_headers=True))],
    ids=["default", "allowed"],
)
@pytest.mark.gen_test
async def test_a_client_does_not_choose_who_pays_for_a_key_of_the_bridge(running, passed):
    play(running, OK)
    client = await running.client()
    path, sent = "/api/v2/aibridge/openai/v1/models", ["Openai-Organization", "Openai-Project"]
    assert (await client.request("GET", path, running.headers | PAYERS)).status == 200
    assert payers_sent(running) == (sent if passed else [])
    own = {"X-Coder-AI-Governance-Token": running.token, "Authorization": "Bearer sk-own"}
    assert (await client.request("GET", path, own | PAYERS)).status == 200
    assert payers_sent(running) == sent
