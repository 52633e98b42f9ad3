"""A client's connection that changes to another protocol, over real sockets."""

from __future__ import annotations

import asyncio

import pytest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from http1.server import BridgeServer


class EchoHandler(RequestHandler):
    """Changes to a protocol in which everything comes back in capitals, until somebody says bye."""

    left = False

    async def get(self):
        self.received = received = asyncio.Queue()
        cycle = self.request.connection
        cycle.receiver = received.put_nowait
        self.set_status(101)
        self.set_header("Connection", "Upgrade")
        self.set_header("Upgrade", "echo")
        await self.flush()
        while b"bye" not in (piece := await received.get()):
            cycle.pause_reading()
            cycle.pause_reading()
            await cycle.write(piece.upper())
            cycle.resume_reading()

    def on_connection_close(self):
        type(self).left = True
        self.received.put_nowait(b"bye")


@pytest.fixture
def port(io_loop):
    async def start():
        server = BridgeServer(Application([("/x", EchoHandler)]), max_connections=9)
        listening, port = bind_unused_port()
        server.add_sockets([listening])
        return server, port

    server, port = io_loop.run_sync(start)
    yield port
    server.stop()
    io_loop.run_sync(server.close_all_connections)


async def connect(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


@pytest.mark.gen_test
async def test_after_the_change_bytes_go_both_ways_until_the_handler_ends(port):
    reader, writer, head = await connect(port)
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert {"Upgrade: echo", "Connection: Upgrade"} <= set(lines)
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff", b"x" * 200_000):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent.upper()
    writer.write(b"bye")
    assert await reader.read() == b""
    writer.close()


@pytest.mark.gen_test
async def test_a_client_that_leaves_after_the_change_is_noticed(port):
    EchoHandler.left = False
    _, writer, _ = await connect(port)
    writer.close()
    while not EchoHandler.left:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
