"""What is recorded of a call beside its bytes: what the provider said of itself, and what a reader made of it."""

from __future__ import annotations

import json

import pytest

from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.dialects.readers import StreamReader
from intercept.restricted_texts import MAX_SPLIT
from tests.fake_upstream import RESET
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk


@pytest.mark.gen_test
async def test_the_providers_id_of_a_request_is_recorded_by_whichever_header_has_it(running):
    cases = {b"request-id: \r\n": None, b"x-request-id: x\r\n": "x", b"x-request-id: x\r\nrequest-id: r\r\n": "r"}
    for number, (headers, recorded_id) in enumerate(cases.items(), start=1):
        running.upstream.scripts = [[JSON + headers + b"Content-Length: 2\r\n\r\n{}"]]
        await running.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
        recorded, *_ = await running.ended(number)
        assert recorded["upstream_request_id"] == recorded_id, headers


@pytest.mark.parametrize("fails", ["feed", "result"])
@pytest.mark.expects_log("ERROR handlers.dataplane.call: a reader failed and was dropped: interception=.* api=messages")
@pytest.mark.gen_test
async def test_a_reader_that_fails_is_dropped_and_logged_once_and_the_relay_goes_on(
    running, monkeypatch, log_watch, fails
):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr(StreamReader, fails, fail)
    for number, (end, reason) in enumerate(((LAST, "completed"), (RESET, "upstream_truncated")), start=1):
        before = len(log_watch.lines)
        pieces = [chunk(MESSAGES.stream[:100]), chunk(MESSAGES.stream[100:])]
        running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *pieces, end]]
        body = MESSAGES.request_body(stream=True)
        response = await running.request("POST", running.path(MESSAGES), running.headers, body)
        assert response.body == MESSAGES.stream
        recorded, *_ = await running.ended(number)
        assert (recorded["end_reason"], recorded["upstream_status"], recorded["token_usages"]) == (reason, 200, [])
        assert len(log_watch.lines) == before + 1, reason


@pytest.mark.gen_test
async def test_the_providers_words_for_an_error_win_and_are_recorded_without_half_a_credential(running):
    # they win over the bridge's where the response is cut
    error = b'{"error":{"type":"api_error","message":"Internal"}}'
    running.upstream.play(b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n" + CHUNKED + chunk(error), RESET)
    body = MESSAGES.request_body(stream=False)
    await running.request("POST", running.path(MESSAGES), running.headers, body)
    (recorded,) = await running.ended(1)
    assert recorded["error"] == {"type": "api_error", "message": "Internal"}
    # of a message that was cut the end goes before credentials are taken out
    key = "sk-proj-0123456789abcdefghij"
    filling = "x" * (MAX_ERROR_MESSAGE - len(key) - 17)
    error = json.dumps({"error": {"type": "t", "message": f"{key} {filling} ada@example.com"}}).encode()
    head = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(error)
    running.upstream.scripts = [[head + error]]
    await running.request("POST", running.path(MESSAGES), running.headers, body)
    recorded, _ = await running.ended(2)
    assert recorded["error"]["message"] == f"[scrubbed] {filling[: 16 - MAX_SPLIT]}"
