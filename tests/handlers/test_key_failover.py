"""Several keys for one provider: the next one is tried while no byte has reached the client."""

from __future__ import annotations

import json

import pytest

from tests.handlers.conversations import MESSAGES

KEYS = ("sk-first-key-0123456789", "sk-second-key-012345678")
LIMITED = b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
UNAUTHORIZED = b"HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(MESSAGES.body),
    MESSAGES.body,
)


async def ask(running, headers=None):
    client = await running.client()
    body = MESSAGES.request_body(stream=False)
    return await client.request("POST", running.path(MESSAGES), headers or running.headers, body)


def keys_sent(running):
    return [request.header("X-Api-Key")[0] for request in running.upstream.requests]


@pytest.mark.bridge(keys=KEYS)
@pytest.mark.parametrize("refusal", [LIMITED, UNAUTHORIZED], ids=["429", "401"])
@pytest.mark.gen_test
async def test_a_refused_key_is_followed_by_the_next_and_the_client_sees_only_the_answer(running, refusal):
    running.upstream.play(refusal)
    running.upstream.play(OK)
    first, second = await ask(running), await ask(running)
    assert [(answer.status, answer.body) for answer in (first, second)] == [(200, MESSAGES.body)] * 2
    assert keys_sent(running) == [KEYS[0], KEYS[1], KEYS[1]]
    assert [request.body for request in running.upstream.requests] == [MESSAGES.request_body(stream=False)] * 3
    for recorded in await running.ended(2):
        assert (recorded["end_reason"], recorded["credential_hint"]) == ("completed", "sk-s...5678")


@pytest.mark.bridge(keys=KEYS)
@pytest.mark.gen_test
async def test_with_every_key_refused_the_last_refusal_is_relayed_and_then_the_shortest_wait_is_told(running):
    running.upstream.play(LIMITED)
    answer = await ask(running)
    assert (answer.status, answer.body, answer.header("Retry-After")) == (429, b"{}", "7")
    assert keys_sent(running) == list(KEYS)
    answer = await ask(running)
    message = "The provider anthropic refuses every API key at the moment. Please try again later."
    assert (answer.status, json.loads(answer.body)["message"], answer.header("Retry-After")) == (429, message, "7")
    assert 6000 < int(answer.header("retry-after-ms")) <= 7000
    assert len(running.upstream.requests) == 2
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], recorded["upstream_status"]) == ("upstream_error", 429)


@pytest.mark.bridge(keys=KEYS)
@pytest.mark.gen_test
async def test_keys_that_are_refused_for_no_time_at_all_are_tried_once_each(running):
    running.upstream.play(LIMITED.replace(b": 7", b": 0"))
    assert (await ask(running)).status == 429
    assert keys_sent(running) == list(KEYS)
    await running.ended(1)


@pytest.mark.bridge(keys=KEYS)
@pytest.mark.gen_test
async def test_a_clients_own_key_is_tried_once_and_sets_none_of_ours_aside(running):
    running.upstream.play(LIMITED)
    answer = await ask(running, {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"})
    assert (answer.status, keys_sent(running)) == (429, ["sk-own"])
    assert running.bridge.key_pools["anthropic"].pick() == KEYS[0]
    await running.ended(1)
