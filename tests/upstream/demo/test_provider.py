import asyncio
import tracemalloc

import aiohttp
import pytest

from tests.cases import for_each
from upstream.demo import DemoProvider
from upstream.demo.provider import MAX_BODY_BYTES, PACE, TOO_LARGE

CHAT = "v1/chat/completions"
STREAM = {"model": "demo", "stream": True, "messages": []}


async def test_every_event_waits_for_its_pace():
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    demo = await DemoProvider(sleep=sleep).start()
    async with aiohttp.ClientSession() as session, session.post(demo.url + CHAT, json=STREAM) as response:
        events = (await response.read()).count(b"\n\n")
    assert pauses == [PACE] * events
    await demo.stop()


async def test_stopping_cuts_the_streams_that_are_open():
    gate = asyncio.Semaphore(1)
    demo = await DemoProvider(sleep=lambda _: gate.acquire()).start()
    async with aiohttp.ClientSession() as session:
        async with session.post(demo.url + CHAT, json=STREAM) as response:
            await response.content.readuntil(b"\n\n")
            await demo.stop()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(demo.url + "v1/models")


async def test_a_client_that_leaves_is_not_worth_a_word(caplog):
    gate = asyncio.Semaphore(1)
    demo = await DemoProvider(sleep=lambda _: gate.acquire()).start()
    async with aiohttp.ClientSession() as session:
        response = await session.post(demo.url + CHAT, json=STREAM)
        await response.content.readuntil(b"\n\n")
        response.close()
        # Whatever the demo still has to say meets a closed connection.
        for _ in range(1000):
            gate.release()
        async with session.get(demo.url + "v1/models") as other:
            assert other.status == 200
    await demo.stop()
    assert caplog.records == []


@for_each("pieces", 1, 2, 64)
@for_each("is_chunked", False, True)
async def test_a_body_that_is_too_large_is_refused_and_not_held(pieces, is_chunked):
    demo = await DemoProvider(pace=0).start()

    async def body():
        for _ in range(pieces):
            yield bytes(MAX_BODY_BYTES)
        yield b"0\r\n\r"

    headers = {} if is_chunked else {"Content-Length": str(pieces * MAX_BODY_BYTES + 4)}
    async with aiohttp.ClientSession() as session:
        tracemalloc.start()
        try:
            async with session.post(demo.url + CHAT, data=body(), headers=headers) as response:
                assert (response.status, (await response.json())["message"]) == (413, TOO_LARGE)
            assert tracemalloc.get_traced_memory()[1] < 16 * MAX_BODY_BYTES
        finally:
            tracemalloc.stop()
        async with session.get(demo.url + "v1/models") as other:
            assert other.status == 200
    await demo.stop()
