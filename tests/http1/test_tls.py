"""Responses over TLS, on each event loop that the server may run on."""

import asyncio
import ssl

import pytest
import uvloop
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from http1.server import BridgeServer
from tests.bridge import until

PIECES = [b"piece %d;" % number for number in range(20)]
LARGE, LARGE_PIECES = 64 * 1024, 200


class Stream(RequestHandler):
    """Writes in pieces, the next one when the one before was taken."""

    def initialize(self, noted, pieces):
        self.noted = noted
        self.pieces = pieces

    async def get(self):
        for piece in self.pieces:
            self.write(piece)
            await self.flush()
            self.noted.append(len(piece))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_event_loop(request):
    return request.param


@pytest.fixture
def taken():
    """The sizes of the pieces that were written and taken."""
    return []


@pytest.fixture
def port(io_loop, server_tls, taken):
    routes = [
        ("/small", Stream, {"noted": taken, "pieces": PIECES}),
        ("/large", Stream, {"noted": taken, "pieces": [bytes(LARGE)] * LARGE_PIECES}),
    ]
    listening, port = bind_unused_port()

    async def start():
        server = BridgeServer(Application(routes), max_connections=9, tls=server_tls)
        server.add_sockets([listening])
        return server

    server = io_loop.run_sync(start)
    yield port
    server.stop()
    io_loop.run_sync(server.close_all_connections)


async def connect(port, authority, path, **options):
    tls = ssl.create_default_context(cafile=authority / "ca.pem")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, **options)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: bridge\r\n\r\n".encode())
    return reader, writer


async def test_every_piece_of_a_stream_arrives_and_the_next_request_too(port, authority, taken):
    reader, writer = await connect(port, authority, "/small")
    for _ in range(2):
        body = await reader.readuntil(b"0\r\n\r\n")
        assert [piece in body for piece in PIECES] == [True] * len(PIECES)
        writer.write(b"GET /small HTTP/1.1\r\nHost: bridge\r\n\r\n")
    await reader.readuntil(b"0\r\n\r\n")
    assert taken == 3 * [len(piece) for piece in PIECES]
    writer.close()


async def test_a_client_that_does_not_read_holds_the_writer_back_until_it_does(port, authority, taken):
    reader, writer = await connect(port, authority, "/large", limit=1024)
    before = -1

    def stands_still():
        nonlocal before
        before, last = len(taken), before
        return 0 < before == last

    await until(stands_still)
    assert before < LARGE_PIECES // 2
    received = 0
    while received < LARGE * LARGE_PIECES:
        received += len(await reader.read(65536))
    await until(lambda: len(taken) == LARGE_PIECES)
    writer.close()
