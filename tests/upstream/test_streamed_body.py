from __future__ import annotations

import asyncio

import pytest

from tests.upstream.loops import on_both_loops
from tests.upstream.reading import read_all
from upstream.body_stream import BodyStream
from upstream.client import UpstreamClient, UpstreamTimeoutError

pytestmark = on_both_loops

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class LeftError(Exception):
    """The client left."""


class Provider:
    """Keeps what comes on its connections. It answers each time that the bytes end as they should, if it answers at all."""

    def __init__(self):
        self.received = [b""]
        self.connections = []
        self.begun = asyncio.Event()
        self.end = b""
        self.server: asyncio.Server

    @classmethod
    async def start(cls):
        provider = cls()
        provider.server = await asyncio.start_server(provider._serve, "127.0.0.1", 0)
        return provider

    @property
    def url(self):
        return "http://{}:{}/".format(*self.server.sockets[0].getsockname())

    async def stop(self):
        self.server.close()
        for writer in self.connections:
            writer.transport.abort()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections.append(writer)
        while piece := await reader.read(1000):
            self.received[-1] += piece
            self.begun.set()
            if self.end and self.received[-1].endswith(self.end):
                self.received.append(b"")
                writer.write(OK)

    def bodies(self):
        """What came after the head of each request that was answered."""
        return [one.partition(b"\r\n\r\n")[2] for one in self.received[:-1]]


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(Provider.start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.mark.parametrize(("length", "arrived"), [(6, b"abcdef"), (None, b"2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n")])
async def test_a_body_arrives_as_it_comes_and_the_connection_is_used_again(provider, client, length, arrived):
    provider.end = arrived[-6:]
    for _ in range(2):
        body = BodyStream(length)
        body.feed(b"ab")
        task = asyncio.create_task(client.open("POST", provider.url, [], body))
        await provider.begun.wait()
        provider.begun.clear()
        for piece in (b"", b"cd", b"ef"):
            body.feed(piece)
        body.end()
        response = await task
        assert (response.status, await read_all(response)) == (200, b"hi")
        response.close()
    assert (provider.bodies(), len(provider.connections)) == ([arrived] * 2, 1)


async def test_a_request_whose_client_gives_up_ends_with_the_reason(provider, client):
    body, late = BodyStream(None), BodyStream(None)
    task = asyncio.create_task(client.open("POST", provider.url, [], body))
    await provider.begun.wait()
    body.fail(LeftError())
    with pytest.raises(LeftError):
        await task
    late.fail(LeftError())
    with pytest.raises(LeftError):
        await client.open("POST", provider.url, [], late)
    assert provider.bodies() == []


async def test_a_provider_that_has_the_whole_body_and_says_nothing_is_given_up(provider):
    client, body = UpstreamClient(connect_timeout=5, idle_timeout=0.1), BodyStream(2)
    body.feed(b"ab")
    body.end()
    with pytest.raises(UpstreamTimeoutError):
        await client.open("POST", provider.url, [], body)
    await client.close()
