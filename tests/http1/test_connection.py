"""Requests and answers on real sockets, on uvloop's event loop as well as on asyncio's own."""

import asyncio
import gc
import json
import socket
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import uvloop
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler, stream_request_body

from http1.connection import READ_AHEAD_BYTES, ClientConnection
from http1.request_cycle import RequestCycle
from http1.requests import MAX_HEAD_BYTES, Request
from tests.bridge import until
from tests.live_objects import LiveObjects
from tests.raw_client import RawClient

LARGE = b"x" * 4_000_000


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_event_loop(request):
    return request.param


class Stage:
    """What a test says of the handler, and what the handler has noted."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.notes = []


class Echo(RequestHandler):
    """Responds with the request that it got, once its gate is open."""

    def initialize(self, stage):
        self.stage = stage

    async def respond(self):
        self.stage.notes.append("begun")
        await self.stage.gate.wait()
        self.finish({"method": self.request.method, "uri": self.request.uri, "body": self.request.body.decode()})

    get = post = respond

    def on_connection_close(self):
        self.stage.notes.append("left")


class Large(RequestHandler):
    """Writes more than a socket takes at once, with the length that it is told to declare."""

    async def get(self):
        self.set_header("Content-Length", self.get_argument("length"))
        self.write(LARGE)
        await self.flush()


@stream_request_body
class Early(RequestHandler):
    """Begins its response before the body is there."""

    async def prepare(self):
        self.size = 0
        await self.flush()

    def data_received(self, piece):
        self.size += len(piece)

    def post(self):
        self.write(str(self.size))


@pytest.fixture
def stage(io_loop):
    return Stage()


@pytest.fixture
def app(stage):
    routes = [("/large", Large), ("/early", Early), ("/.*", Echo, {"stage": stage})]
    return Application(routes, log_function=lambda _: None)


@pytest.fixture
def connect(http_server, http_port, io_loop):
    """Connect a client."""
    clients = []

    async def connect():
        clients.append(RawClient(*await asyncio.open_connection("127.0.0.1", http_port, limit=2**24)))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def summary(response):
    body = json.loads(response.body)
    return response.status, body["method"], body["uri"], body["body"]


TOKEN = b"0123456789-0123456789012345678901"
GET = b"GET /%d HTTP/1.1\r\nHost: b\r\n\r\n"


async def test_of_requests_sent_together_the_first_is_answered_and_is_the_last(connect, stage):
    requests = LiveObjects(HTTPServerRequest, Request)
    client = await connect()
    sending = asyncio.create_task(client.send_raw(GET % 1 * 500_000))
    await until(lambda: stage.notes)
    await sending
    gc.collect()
    assert len(requests()) == 2
    stage.gate.set()
    response = await client.rest(await client.head())
    assert (*summary(response), response.header("Connection")) == (200, "GET", "/1", "", "close")
    assert await client.at_end() == b""
    assert stage.notes == ["begun"]


async def test_of_what_follows_in_later_reads_a_bounded_part_is_read(connect, stage, http_server):
    client = await connect()
    await client.send_raw(GET % 1)
    await until(lambda: stage.notes)
    sending = asyncio.create_task(client.send_raw(GET % 2 * 500_000))
    (connection,) = http_server.connections
    await until(lambda: connection._reading_paused)
    assert connection._requests.buffered_bytes <= READ_AHEAD_BYTES + 256 * 1024
    stage.gate.set()
    for number in (1, 2):
        assert summary(await client.rest(await client.head())) == (200, "GET", f"/{number}", "")
    assert await client.at_end() == b""
    await sending


async def test_nobody_is_told_to_go_on_in_the_middle_of_an_answer_or_with_http_1_0(connect, stage, http_server):
    stage.gate.set()
    client = await connect()
    await client.send_raw(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    await until(lambda: any(one._cycle for one in http_server.connections))
    await client.send_raw(b"hi")
    assert summary(await client.rest(await client.head())) == (200, "POST", "/", "hi")
    client = await connect()
    await client.send_raw(b"POST /early HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    response = await client.head()
    await client.send_raw(b"hi")
    assert (response.status, (await client.rest(response)).body, response.whole) == (200, b"2", True)


@pytest.mark.expects_log("^ERROR tornado.application: Uncaught exception GET /large")
@pytest.mark.expects_log("^ERROR tornado.general: Cannot send error response after headers written")
@pytest.mark.parametrize("length", [len(LARGE) - 1, len(LARGE) + 1])
async def test_an_answer_that_has_not_the_length_it_declared_never_looks_complete(connect, length):
    client = await connect()
    await client.send_raw(f"GET /large?length={length} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
    if length < len(LARGE):
        assert await client.at_end() == b""
    else:
        assert not (await client.rest(await client.head())).whole


@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        ("GET / HTTP/1.1\r\nHost: b", None),
        ("GET / HTTP/1.1\r\nHost: b\r\nConnection: close", "close"),
        ("GET / HTTP/1.0", "close"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", "Keep-Alive"),
    ],
)
async def test_the_connection_stays_as_the_client_wants_and_says_so(connect, stage, requested, answered):
    stage.gate.set()
    client = await connect()
    for _ in range(1 if answered == "close" else 2):
        await client.send_raw(f"{requested}\r\n\r\n".encode())
        response = await client.rest(await client.head())
        assert (response.status, response.header("Connection")) == (200, answered)
    if answered == "close":
        assert await client.at_end() == b""


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "Invalid method encountered"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing Host header"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Invalid Host header: 'a b'"),
        (b"GET / HTTP/1.1\r\nHost: %b b\r\n\r\n" % TOKEN, 400, "Invalid Host header: '[scrubbed] b'"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, None),
    ],
)
async def test_what_is_no_request_is_told_why_and_the_requests_before_it_are_answered(
    connect, stage, data, status, reason
):
    stage.gate.set()
    client = await connect()
    await client.send_raw(GET % 1)
    assert summary(await client.rest(await client.head())) == (200, "GET", "/1", "")
    await client.send_raw(data)
    response = await client.rest(await client.head())
    assert (response.status, response.header("Connection")) == (status, "close")
    assert datetime.now(UTC) - parsedate_to_datetime(response.header("Date")) < timedelta(minutes=1)
    if reason is not None:
        assert json.loads(response.body) == {"message": f"The request cannot be read: {reason}."}
    with suppress(ConnectionError):
        assert await client.at_end() == b""


async def test_what_was_answered_or_left_is_let_go_without_a_search_for_garbage(connect, stage, http_server):
    gc.collect()
    gc.disable()
    held = LiveObjects(RequestCycle, ClientConnection, Echo)
    try:
        leaving = await connect()
        await leaving.send_raw(GET % 1)
        await until(lambda: stage.notes)
        leaving.close()
        await until(lambda: "left" in stage.notes)
        stage.gate.set()
        client = await connect()
        await client.send_raw(GET % 2)
        assert summary(await client.rest(await client.head())) == (200, "GET", "/2", "")
        client.close()
        await until(lambda: not http_server.connections)
        await until(lambda: not held())
    finally:
        gc.enable()


async def test_a_client_that_is_gone_before_it_was_accepted_leaves_nothing(http_server, http_port, connect, stage):
    stage.gate.set()
    for _ in range(20):
        gone = socket.create_connection(("127.0.0.1", http_port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    client = await connect()
    await client.send_raw(GET % 1)
    assert summary(await client.rest(await client.head())) == (200, "GET", "/1", "")
    await until(lambda: len(http_server.connections) + http_server._arriving == 1)
