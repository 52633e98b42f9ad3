from __future__ import annotations

import pytest

from tests.fake_upstream import FakeUpstream
from upstream.client import UpstreamClient


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(FakeUpstream().start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def client(io_loop):
    """A patient one, which has no connection left once it was closed."""

    async def make() -> UpstreamClient:
        return UpstreamClient(connect_timeout=5, idle_timeout=5)

    client = io_loop.run_sync(make)
    yield client
    io_loop.run_sync(client.close)
    assert not client._connections._open


@pytest.fixture
def tls_provider(io_loop, server_tls):
    provider = io_loop.run_sync(lambda: FakeUpstream().start(server_tls))
    yield provider
    io_loop.run_sync(provider.stop)
