from itertools import count

import aiohttp
import pytest

from tests.sdk.libraries import anthropic_sdk, openai_sdk
from upstream.demo import DemoProvider


@pytest.fixture
def demo(io_loop):
    """A demo that does not pause, lives at one instant, and numbers its answers from `key0`."""
    keys = (f"key{number}" for number in count())
    provider = io_loop.run_sync(
        lambda: DemoProvider(pace=0, clock=lambda: 1_790_000_000.9, new_key=lambda: next(keys)).start()
    )
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def openai(io_loop, demo):
    client = openai_sdk.AsyncOpenAI(base_url=demo.url + "v1/", api_key="unused", max_retries=0)
    yield client
    io_loop.run_sync(client.close)


@pytest.fixture
def anthropic(io_loop, demo):
    client = anthropic_sdk.AsyncAnthropic(base_url=demo.url, api_key="unused", max_retries=0)
    yield client
    io_loop.run_sync(client.close)


@pytest.fixture
def http(io_loop, demo):
    """A plain client below the demo's address, for what the SDKs would not send or show."""

    async def open_session():
        return aiohttp.ClientSession(demo.url)

    session = io_loop.run_sync(open_session)
    yield session
    io_loop.run_sync(session.close)
