import asyncio

import pytest

from handlers.base import UNRECOGNISED
from handlers.dataplane.admission import check_again
from handlers.dataplane.services.sockets import call, session
from handlers.problems import Problem
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


class Checking:
    """A token that is found wrong by the next ping, while a response begins."""

    def __init__(self, monkeypatch):
        self._begun, self._is_over, self._checking, self._admitting = (asyncio.Event() for _ in range(4))
        monkeypatch.setattr(session, "PING_SECONDS", 0.01)
        monkeypatch.setattr(session, "check_again", self._for_ping)
        monkeypatch.setattr(call, "check_again", self._for_response)

    async def _for_ping(self, *_):
        self._checking.set()
        await self._begun.wait()
        self._is_over.set()
        raise Problem(401, UNRECOGNISED)

    async def _for_response(self, *who):
        self._begun.set()
        await self._admitting.wait()
        await check_again(*who)

    async def while_it_is_checked(self, begin):
        """Let a response begin while the token is checked, and be admitted after it was found wrong."""
        await self._checking.wait()
        await begin
        await self._is_over.wait()
        self._admitting.set()


@pytest.fixture
def checking(monkeypatch, io_loop):
    return Checking(monkeypatch)
