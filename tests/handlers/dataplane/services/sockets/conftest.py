from __future__ import annotations

import pytest

from tests.handlers.dataplane.services.sockets.socket_client import dial
from tests.handlers.dataplane.services.sockets.socket_provider import SocketProvider


@pytest.fixture
def provider(io_loop):
    provider = SocketProvider()
    io_loop.run_sync(provider.start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def bridge_settings(bridge_settings, provider):
    return {"openai_base_url": provider.url} | bridge_settings


@pytest.fixture
def opened(running, provider, io_loop):
    """Open a WebSocket; the client's end and the provider's, closed with the test."""
    clients = []

    async def open_one(**headers):
        client = await dial(running, **headers)
        clients.append(client)
        return client, await provider.connections.get()

    yield open_one
    for client in clients:
        io_loop.run_sync(client.close)
