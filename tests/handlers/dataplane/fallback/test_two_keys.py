"""A provider with two keys that answers each request as it likes: no refusal is lost, repeated or made up."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from random import Random

import pytest

from tests.fake_upstream import RESET
from tests.handlers.conversations import MESSAGES

KEYS = ("sk-first-key-0123456789", "sk-second-key-012345678")
HINTS = {KEYS[0]: "sk-f...6789", KEYS[1]: "sk-s...5678"}
HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nRetry-After: 3600\r\nContent-Length: %d\r\n\r\n"
REFUSALS = {429, 401}
CUT, UNANSWERED, SILENT = "cut", "reset", "silent"
FATES = [
    *[200] * 12,
    *[429] * 10,
    *[401] * 5,
    *[403] * 2,
    *[500] * 2,
    *[529] * 2,
    *[CUT] * 3,
    *[UNANSWERED] * 3,
    SILENT,
]
IDLE_SECONDS = 1
MODELS = 12


def body(number: int) -> bytes:
    return b'{"number":%d}' % number


def script(fate, number: int):
    """What the provider plays for its request of that number."""
    match fate:
        case "cut":
            return HEAD % (200, 1000), body(number), RESET
        case "reset":
            return (RESET,)
        case "silent":
            return (asyncio.Event(),)
        case status:
            return HEAD % (status, len(body(number))) + body(number), b""


def expected(requested):
    """The request whose response a call has to get, of those that were made for it: its fate, number and key."""
    refused = [one for one in requested if one[0] in REFUSALS]
    last = requested[-1]
    if last[0] in (UNANSWERED, SILENT) and refused:
        last = refused[-1]
    limited = [one for one in refused if one[0] == 429]
    return limited[-1] if last[0] == 401 and limited else last


@pytest.mark.bridge(
    anthropic_key=KEYS, circuit_breaker_enabled=False, upstream_idle_timeout=timedelta(seconds=IDLE_SECONDS)
)
@pytest.mark.expects_log("provider key refused: provider=anthropic")
async def test_each_call_gets_one_answer_of_the_provider_and_one_record_of_it(running):
    random = Random(3)
    fates = random.sample(FATES, len(FATES))
    fates += [200, 200]  # where the last call asks again
    for number, fate in enumerate(fates):
        running.upstream.play(*script(fate, number))
    responses, refused_before = {}, set()
    while (before := len(running.upstream.requests)) < len(FATES):
        call = json.dumps(MESSAGES.request | {"model": f"model-{random.randrange(MODELS)}"}).encode()
        response = await running.request("POST", running.path(MESSAGES), running.headers, call)
        requests = running.upstream.requests[before:]
        sent = [request.header("X-Api-Key")[0] for request in requests]
        requested = [(fates[number], number, key) for number, key in enumerate(sent, before)]
        assert len(set(sent)) == len(sent), "no key is tried twice"
        assert {fate for fate, _, _ in requested[:-1]} <= REFUSALS, "only what was refused is asked again"
        fate, number, key = expected(requested)
        if fate in REFUSALS:
            assert set(KEYS) - set(sent) <= refused_before, "a refusal is passed on when no key is left"
        if fate in (UNANSWERED, SILENT):
            assert (response.status, response.whole) == (504 if fate == SILENT else 502, True)
        elif fate == CUT:
            assert (response.status, response.body, response.whole) == (200, body(number), False)
        else:
            assert (response.status, response.body, response.whole) == (fate, body(number), True)
        refused_before |= {key for fate, _, key in requested if fate in REFUSALS}
        status = {CUT: 200, UNANSWERED: None, SILENT: None}.get(fate, fate)
        responses[response.header("X-AI-Bridge-Interception-Id")] = (status, HINTS[key])
    recorded = await running.ended(len(responses))
    assert {one["id"]: (one["upstream_status"], one["credential_hint"]) for one in recorded} == responses
    assert (await running.get("/api/v2/aibridge/refusals"))[1] == {"count": 0, "results": []}
