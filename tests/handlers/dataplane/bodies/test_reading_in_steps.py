"""What takes long to read of a provider's response is read in steps, behind the bytes that the client gets."""

from __future__ import annotations

import asyncio

import pytest

from tests.bridge import until
from tests.handlers.conversations import CHAT
from tests.handlers.dataplane.bodies.test_large_bodies import LongestPiece
from tests.handlers.dataplane.test_relay import CHUNKED, EVENT_STREAM, JSON, LAST, chunk

TINY = b"data:x\n\n" * 2**15
BODY = CHAT.body.rstrip()[:-1] + b',"image":"' + b"x" * 12 * 2**20 + b'"}'
BEFORE_DONE = CHAT.stream[: CHAT.stream.index(b"data: [DONE]")]
# What two sockets, the connection and the test's own client take.
UNDER_WAY = 8 * 2**20


@pytest.mark.parametrize(("streaming", "sent"), [(True, TINY * 4 + CHAT.stream), (False, BODY)], ids=["stream", "body"])
@pytest.mark.gen_test
async def test_an_answer_that_takes_long_to_read_holds_nobody_up(running, streaming, sent):
    running.upstream.play((EVENT_STREAM if streaming else JSON) + CHUNKED, chunk(sent), LAST)
    client = await running.client()
    async with LongestPiece() as longest:
        response = await client.request(
            "POST", running.path(CHAT), running.headers, CHAT.request_body(stream=streaming)
        )
        (recorded,) = await running.ended(1)
    assert bytes(response.body) == sent
    assert (recorded["end_reason"], running.tokens(recorded)) == ("completed", CHAT.tokens)
    assert longest.seconds < 0.06  # client and provider of the test included, on one loop


@pytest.mark.gen_test
async def test_a_client_that_leaves_an_unread_answer_is_recorded_with_all_of_it(running):
    running.upstream.play(EVENT_STREAM + CHUNKED, chunk(BEFORE_DONE + TINY), asyncio.Event())
    client = await running.client()
    async with running.bridge.pieces._lock:  # nothing is read in steps meanwhile
        await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        response = await client.head()
        while len(response.body) < len(BEFORE_DONE) + len(TINY) // 8:
            await client.piece(response)
        client.reset()
        await (await running.upstream.request()).closed.wait()
        assert await running.ended(0) == []
    (recorded,) = await running.ended(1)
    assert (recorded["end_reason"], running.tokens(recorded)) == ("client_disconnected", CHAT.tokens)
    await until(lambda: running.bridge.lifecycle.in_flight == 0)


@pytest.mark.gen_test
async def test_a_provider_that_sends_faster_than_is_read_is_held_back(running):
    running.upstream.scripts = [[EVENT_STREAM + CHUNKED, *[chunk(TINY)] * 100, chunk(CHAT.stream), LAST]]
    client = await running.client()
    async with running.bridge.pieces._lock:
        await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=True))
        response = await client.head()
        assert await client.piece(response)
        assert await running.upstream.stalled() < UNDER_WAY
    client.reset()
    (recorded,) = await running.ended(1)
    assert recorded["end_reason"] == "client_disconnected"
