"""A connection to a provider that changes to another protocol, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from upstream.client import UpstreamTruncatedError, UpstreamUnreachableError

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
HEADERS = [("Connection", "Upgrade"), ("Upgrade", "echo")]


class EchoServer:
    """Changes to a protocol in which everything comes back in capitals; reads when its gate is open."""

    def __init__(self, first=b""):
        self.first = first
        self.gate = asyncio.Event()
        self.writers = []
        self.served = asyncio.Semaphore(0)

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1024)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/x"

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + self.first)
        await self.gate.wait()
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data.upper())
                await writer.drain()
        writer.close()
        self.served.release()

    async def stop(self):
        self._server.close()
        self.gate.set()
        for writer in self.writers:
            writer.transport.abort()
        for _ in self.writers:
            await self.served.acquire()
        await self._server.wait_closed()


@pytest.fixture
def echo(io_loop):
    async def make():
        return EchoServer(b"hello ")

    server = io_loop.run_sync(make)
    server.url = io_loop.run_sync(server.start)
    yield server
    io_loop.run_sync(server.stop)


async def read(response, size):
    """That many bytes of what comes."""
    pieces = []

    def take(piece):
        pieces.append(piece)
        return sum(map(len, pieces)) < size

    while sum(map(len, pieces)) < size and not await response.stream_to(take):
        pass
    return b"".join(pieces)


@pytest.mark.gen_test
async def test_after_the_change_bytes_go_both_ways_as_they_are(client, echo):
    echo.gate.set()
    response = await client.open("GET", echo.url, HEADERS, b"", upgrades=True)
    assert (response.status, response.header("Upgrade"), await read(response, 6)) == (101, "echo", b"hello ")
    await response.send(b"one\r\n\r\n")
    assert await read(response, 7) == b"ONE\r\n\r\n"
    echo.writers[0].write_eof()
    assert await response.stream_to(lambda _: True)
    response.close()
    await response.send(b"nobody reads this")


@pytest.mark.gen_test
async def test_what_the_other_side_does_not_read_is_waited_for(client, echo):
    response = await client.open("GET", echo.url, HEADERS, b"", upgrades=True)
    assert await read(response, 6) == b"hello "
    data = b"x" * 16 * 1024 * 1024
    sending = asyncio.create_task(response.send(data))
    await asyncio.sleep(0)
    assert not sending.done()
    echo.gate.set()
    assert await read(response, len(data)) == data.upper()
    await sending
    response.close()


@pytest.mark.gen_test
async def test_a_connection_that_breaks_while_something_is_sent_is_told(client, echo):
    response = await client.open("GET", echo.url, HEADERS, b"", upgrades=True)
    sending = asyncio.create_task(response.send(b"x" * 16 * 1024 * 1024))
    await asyncio.sleep(0)
    echo.writers[0].transport.abort()
    with pytest.raises(UpstreamTruncatedError):
        await sending
    response.close()


@pytest.mark.gen_test
async def test_a_change_that_nobody_asked_for_is_no_answer(client, echo):
    with pytest.raises(UpstreamUnreachableError, match="did not answer in HTTP"):
        await client.open("GET", echo.url, [], b"")


@pytest.mark.gen_test
async def test_the_beginning_of_a_body_can_be_looked_at_before_it_is_taken(client, provider):
    provider.play(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\r\n", b"all of", b" this")
    response = await client.open("POST", provider.url, [], b"{}")
    assert (await response.peek(100), response.buffered()) == (b"all of this", b"all of this")
    assert await response.stream_to(lambda _: True)
    response.close()
