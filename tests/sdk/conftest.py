"""The official SDKs, pointed at a running bridge as a user of it would point them."""

import pytest

from tests.sdk.wiring import Wiring
from tests.upstream.throwaway_ca import authority, server_tls  # noqa: F401 - fixtures
from upstream.demo import DemoProvider
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider


@pytest.fixture
def wiring(io_loop, running):
    """Makes SDK clients of the bridge, and closes them."""
    wiring = Wiring(running)
    yield wiring
    io_loop.run_sync(wiring.close)


@pytest.fixture
def openai(wiring):
    return wiring.openai()


@pytest.fixture
def anthropic(wiring):
    return wiring.anthropic()


@pytest.fixture
def demo(io_loop, running):
    """The demo provider behind the bridge, which knows it as `demo`."""
    demo = io_loop.run_sync(lambda: DemoProvider(pace=0).start())
    running.bridge.providers["demo"] = Provider("demo", ProviderType.DEMO, demo.url, keyless=True)
    yield demo
    io_loop.run_sync(demo.stop)
