from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httputil import HTTPHeaders, HTTPServerConnectionDelegate, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from handlers.delivery import Delivery
from tests.storage.conditions import until

LARGE = b"x" * 4_000_000


class Requests(HTTPServerConnectionDelegate):
    """Hands the connection of a request over as soon as its head has come."""

    def __init__(self):
        self.connection = asyncio.get_running_loop().create_future()

    def start_request(self, server_conn, request_conn):
        requests = self

        class Message:
            def headers_received(self, start_line, headers):
                requests.connection.set_result(request_conn)

            data_received = finish = on_connection_close = lambda *_: None

        return Message()


@asynccontextmanager
async def asked(**headers):
    """A client, and the connection on which it has asked and was sent the head of an answer."""

    ours, client = socket.socketpair()
    for end in (ours, client):
        end.setblocking(False)
    requests = Requests()
    server = HTTP1ServerConnection(IOStream(ours))
    server.start_serving(requests)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection: HTTP1Connection = await requests.connection
    sent = HTTPHeaders(headers)
    await connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), sent)
    await asyncio.get_running_loop().sock_recv(client, 1000)
    try:
        yield client, connection, Delivery(connection, chunked="Transfer-Encoding" in sent)
    finally:
        connection.stream.close()
        client.close()


async def received(client, size):
    data = b""
    while len(data) < size:
        data += await asyncio.get_running_loop().sock_recv(client, 1 << 20)
    return data


@pytest.mark.gen_test
async def test_a_piece_that_the_client_takes_is_a_chunk_and_nothing_is_waited_for():
    async with asked() as (client, _, delivery):
        assert delivery.write(b"data: 1\n\n") is None
        assert delivery.write(b"x" * 17) is None
        assert client.recv(1000) == b"9\r\ndata: 1\n\n\r\n11\r\n" + b"x" * 17 + b"\r\n"


@pytest.mark.gen_test
async def test_a_body_of_a_stated_length_is_written_as_it_is():
    async with asked(**{"Content-Length": "5"}) as (client, _, delivery):
        assert delivery.write(b"12345") is None
        assert client.recv(1000) == b"12345"


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.gen_test
async def test_what_the_client_does_not_take_at_once_is_waited_for_and_comes_in_order(chunked):
    pieces = (LARGE, b"second", b"third")
    headers = {} if chunked else {"Content-Length": str(sum(map(len, pieces)))}
    wanted = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece for piece in pieces)
    async with asked(**headers) as (client, connection, delivery):
        waiting = [asyncio.ensure_future(delivery.write(piece)) for piece in pieces]
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        assert await received(client, len(wanted)) == wanted
        await asyncio.gather(*waiting)
        assert not connection.stream.writing()


@pytest.mark.gen_test
async def test_who_stops_waiting_cancels_nothing():
    async with asked() as (client, connection, delivery):
        waiting = asyncio.ensure_future(delivery.write(LARGE))
        await asyncio.sleep(0)
        waiting.cancel()
        await received(client, len(LARGE))
        await until(lambda: not connection.stream.writing())
        assert delivery.write(b"more") is None


@pytest.mark.gen_test
async def test_a_client_that_has_left_is_an_error():
    async with asked() as (client, connection, delivery):
        client.close()
        with pytest.raises(StreamClosedError):
            delivery.write(b"piece")
        assert connection.stream.closed()


@pytest.mark.gen_test
async def test_a_client_that_leaves_while_it_is_waited_for_is_an_error():
    async with asked() as (client, _, delivery):
        waiting = delivery.write(LARGE)
        client.close()
        with pytest.raises(StreamClosedError):
            await waiting
