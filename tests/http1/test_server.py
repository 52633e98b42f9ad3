"""The bounds of the HTTP server, on real sockets."""

import asyncio
import json
import resource
import socket
from contextlib import suppress

import pytest
import uvloop
from tornado.testing import bind_unused_port
from tornado.web import Application

import handlers.dataplane.proxy
import http1.server
from handlers.application import BridgeApplication
from http1.requests import MAX_HEAD_BYTES
from http1.server import BridgeServer, default_max_connections
from intercept.refusals import Rule
from tests.bridge import until
from tests.handlers.conversations import CHAT


@pytest.fixture
def serve_with(running, io_loop):
    """Serve the running bridge once more, with other bounds."""
    servers = []

    def serve(**bounds):
        server = BridgeServer(BridgeApplication(running.bridge), **bounds)
        listening, running.port = bind_unused_port()
        server.add_sockets([listening])
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()
        io_loop.run_sync(server.close_all_connections)


async def test_a_head_that_does_not_come_whole_in_time_ends_the_connection(running, serve_with):
    refusals = []
    serve_with(max_connections=9, idle_seconds=0.1, on_refusal=lambda error, ip: refusals.append((error.rule, ip)))
    silent, slow = await running.client(), await running.client()
    await slow.send_raw(b"POST /api/v2/aibridge/openai/v1/chat/completions HTTP/1.1\r\nHost: b\r\nX-Slow")
    assert await silent.at_end() == b""
    response = await slow.rest(await slow.head())
    message = "The request cannot be read: its head did not come whole within 0.1 seconds."
    assert (response.status, response.header("Connection"), json.loads(response.body)) == (
        408,
        "close",
        {"message": message},
    )
    assert (await slow.at_end(), refusals) == (b"", [(Rule.LATE_HEAD, "127.0.0.1")])


@pytest.mark.parametrize("line", [b"X: " + b"y" * 1000 + b"\r\n", b"y" * 1000], ids=["many lines", "one line"])
async def test_a_head_without_end_ends_the_connection_and_costs_no_slot(running, line):
    client = await running.client()
    with suppress(ConnectionError):
        await client.send_raw(b"POST /api/v2/aibridge/openai/v1/chat/completions HTTP/1.1\r\nHost: b\r\n")
        for _ in range(2 * MAX_HEAD_BYTES // len(line)):
            await client.send_raw(line)
        assert (await client.at_end()).startswith(b"HTTP/1.1 431 ")
    assert (running.bridge.overload.holding, running.bridge.lifecycle.in_flight) == (0, 0)
    assert running.upstream.requests == []


async def test_a_body_that_drips_is_no_longer_waited_for_than_one_that_does_not_come(running, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.proxy, "BODY_SECONDS", 0.1)
    client = await running.client()
    head = f"POST {running.path(CHAT)} HTTP/1.1\r\nHost: b\r\nX-Api-Key: {running.token}\r\nContent-Length: 9999999\r\n\r\n"
    await client.send_raw(head.encode())
    answering = asyncio.ensure_future(client.head())
    while not answering.done():
        await client.send_raw(b"{")
        await asyncio.sleep(0)
    assert answering.result().status == 408
    assert running.bridge.overload.holding == 0
    assert running.bridge.lifecycle.in_flight == 0


@pytest.mark.expects_log(r"WARNING http1.server: 2 connections are open, as many as allowed")
async def test_a_connection_too_many_is_closed_and_the_others_go_on(running, serve_with):
    server = serve_with(max_connections=2)
    first, second = await running.client(), await running.client()
    for client in (first, second):
        assert (await client.request("GET", "/healthz", {})).status == 200
    for _ in range(3):
        assert await (await running.client()).at_end() == b""
    assert (await first.request("GET", "/healthz", {})).status == 200
    second.close()
    await until(lambda: len(server.connections) == 1)
    assert (await (await running.client()).request("GET", "/healthz", {})).status == 200


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_burst_of_as_many_connections_as_are_allowed_is_served(loop):
    async def burst():
        server = BridgeServer(Application(), max_connections=20)
        listening, port = bind_unused_port()
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        server.add_sockets([listening])  # all of them are accepted in one iteration of the event loop
        async with asyncio.timeout(10):
            await until(lambda: len(server.connections) == 20)
        assert server._arriving == 0
        for client in clients:
            client.close()
        server.stop()
        await server.close_all_connections()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(burst())


async def test_a_client_whose_machine_vanished_is_noticed_by_the_system(running, serve_with):
    server = serve_with(max_connections=9)
    client = await running.client()
    await client.request("GET", "/healthz", {})
    (connection,) = server.connections
    raw = connection.socket
    assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_the_number_of_clients_follows_from_the_open_files_allowed():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert default_max_connections() == (hard - 256) // 2
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


async def test_a_server_that_retires_answers_one_more_request_on_each_connection(running, serve_with):
    server = serve_with(max_connections=9)
    first, second = await running.client(), await running.client()
    for client in (first, second):
        response = await client.request("GET", "/healthz", {})
        assert (response.status, response.header("Connection")) == (200, None)
    retiring = asyncio.create_task(server.retire(60))
    for client in (first, second):
        response = await client.request("GET", "/healthz", {})
        assert (response.status, response.header("Connection"), await client.at_end()) == (200, "close", b"")
    await retiring
    assert not server.connections
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", running.port)


async def test_a_request_under_way_outlasts_the_connections_that_only_wait(running, serve_with, monkeypatch):
    monkeypatch.setattr(http1.server, "LAST_REQUEST_SECONDS", 0.2)
    gate = asyncio.Event()
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", gate, b"{}")
    server = serve_with(max_connections=9)
    waiting, new, busy = [await running.client() for _ in range(3)]
    await waiting.request("GET", "/healthz", {})
    await busy.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    response = await busy.head()
    retiring = asyncio.create_task(server.retire(60))
    for client in (waiting, new):
        assert await client.at_end() == b""
    assert not retiring.done()
    gate.set()
    assert (await busy.rest(response)).whole
    # Its client was not told that it will be closed, so it is given the same time for one more request.
    assert await busy.at_end() == b""
    await retiring
    assert not server.connections


async def test_a_server_retires_no_longer_than_it_may(running, serve_with):
    gate = asyncio.Event()
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", gate, b"{}")
    server = serve_with(max_connections=9)
    busy = await running.client()
    await busy.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    response = await busy.head()
    await server.retire(0.05)
    assert len(server.connections) == 1
    gate.set()
    assert (await busy.rest(response)).whole
