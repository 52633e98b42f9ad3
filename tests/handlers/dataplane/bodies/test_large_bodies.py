"""A large request body holds nobody up, and is read like a small one."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from tests.handlers.conversations import CHAT
from tests.processor import TRIES, slowness

MIB = 2**20
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HOSTILE = b'{"model":"gpt-5","messages":[{"role":"user","content":"' + rb"\n" * MIB + b"a" * 6 * MIB + rb'\ud83d"}]}'


class LongestPiece:
    """Goes round with the event loop, and notes the most processor time that one iteration of it took.

    The collector is off meanwhile: a server has taken what it was made of out of its sight, a test run has not.
    """

    async def __aenter__(self):
        self.seconds = 0.0
        gc.disable()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc):
        gc.enable()
        self._task.cancel()

    async def _watch(self):
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            self.seconds = max(self.seconds, time.thread_time() - began)


@pytest.mark.gen_test
async def test_a_large_body_holds_nobody_up_and_goes_on_unchanged(running):
    client = await running.client()
    for number in range(TRIES):
        running.upstream.play(OK)
        async with LongestPiece() as longest:
            response = await client.request("POST", running.path(CHAT), running.headers, HOSTILE)
        assert response.status == 200
        assert (await running.upstream.request(number)).body == HOSTILE
        recorded = await running.ended(number + 1)
        (prompt,) = recorded[0]["user_prompts"]
        assert (prompt["prompt"], prompt["metadata"]) == ("\n" * 262_144, {"truncated": True})
        if longest.seconds < 0.15 * slowness():  # client and provider of the test included, on one loop
            return
    pytest.fail("one piece of it took too long, each time")
