import asyncio

import aiohttp
import pytest

from upstream.demo import DemoProvider
from upstream.demo.provider import PACE

CHAT = "v1/chat/completions"
STREAM = {"model": "demo", "stream": True, "messages": []}


@pytest.mark.gen_test
async def test_every_event_waits_for_its_pace():
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    demo = await DemoProvider(sleep=sleep).start()
    async with (
        aiohttp.ClientSession() as session,
        session.post(demo.url + CHAT, json=STREAM) as response,
    ):
        events = (await response.read()).count(b"\n\n")
    assert pauses == [PACE] * events
    await demo.stop()


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
