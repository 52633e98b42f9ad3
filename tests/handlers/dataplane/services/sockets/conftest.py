from __future__ import annotations

import pytest

from tests.bridge import until
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
def clients(io_loop):
    """The ends of the clients, closed with the test."""
    clients = []
    yield clients
    for client in clients:
        io_loop.run_sync(client.close)


@pytest.fixture
def opened(running, provider, clients):
    """Open a WebSocket; the client's end and the provider's."""

    async def open_one(**headers):
        clients.append(await dial(running, **headers))
        return clients[-1], await provider.connections.get()

    return open_one


@pytest.fixture
def again(running, provider, clients):
    """Begin another case with this bridge and provider: all that was open is closed and forgotten."""

    async def again():
        for client in clients:
            await client.close()
        clients.clear()
        await until(lambda: running.bridge.lifecycle.in_flight == 0)
        await running.afresh()
        provider.forget()

    return again
