"""A single connection: what it sends, what it holds, and what it releases."""

import asyncio
import gc

import pytest

from tests.bridge import until
from tests.fake_upstream import CLOSE, RESET
from tests.live_objects import LiveObjects
from tests.upstream.loops import on_both_loops
from tests.upstream.reading import read_all, read_piece
from upstream.client import UpstreamClient, UpstreamTruncatedError, UpstreamUnreachableError
from upstream.connections.connection import READ_BUFFER_BYTES, STEP_BYTES, Connection
from upstream.response import Response

pytestmark = on_both_loops

OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# What either event loop reads from a socket at once.
ONE_READ = 2**18
# More than the buffers of both sockets take.
LARGE = b"x" * 12_000_000


class Scripted(asyncio.Protocol):
    """Answers as soon as the head of a request is there; reads the body if it `reads`, with pauses in seconds."""

    def __init__(self, response, *, reads, pause):
        self.response, self.reads, self.pause = response, reads, pause
        self.received, self.lost = 0, asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.received:
            self.transport.write(self.response)
            if not self.reads:
                self.transport.pause_reading()
        self.received += len(data)
        if self.pause:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self.pause, self.transport.resume_reading)

    def connection_lost(self, exc):
        self.lost.set()


@pytest.fixture
def scripted(io_loop):
    """Starts a server with one such connection; returns that, and the server's URL."""
    started = []

    async def start(response, *, reads, pause=0, kind=Scripted):
        one = kind(response, reads=reads, pause=pause)
        server = await asyncio.get_running_loop().create_server(lambda: one, "127.0.0.1", 0)
        started.append((one, server))
        return one, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    async def stop():
        for one, server in started:
            server.close()
            one.transport.abort()
            await one.lost.wait()

    yield start
    io_loop.run_sync(stop)


async def test_an_unread_answer_takes_bounded_memory_and_comes_whole(provider, client):
    block = bytes(range(256)) * 256
    provider.play(OK + b"Content-Length: %d\r\n\r\n" % (len(block) * 200), *[block] * 200)
    response = await client.open("GET", provider.url, [], b"")
    await provider.stalled()
    assert READ_BUFFER_BYTES < response._response.size <= READ_BUFFER_BYTES + ONE_READ
    assert len(await read_piece(response)) <= READ_BUFFER_BYTES + ONE_READ
    assert (await read_all(response)).endswith(block)
    assert response._connection is None
    assert await read_all(await client.open("GET", provider.url, [], b"")) == block * 200
    assert len(provider.connections) == 1


async def test_a_reset_is_no_end_of_a_body_that_the_connection_ends(provider, client):
    gate = asyncio.Event()
    for end in (CLOSE, RESET):
        provider.play(OK + b"\r\nabc", gate, end)
    gate.set()
    assert await read_all(await client.open("GET", provider.url, [], b"")) == b"abc"
    response = await client.open("GET", provider.url, [], b"")
    with pytest.raises(UpstreamTruncatedError):
        await read_all(response)
    response.close()


async def test_an_answer_complete_at_its_close_leaves_its_connection_reusable(provider, client):
    provider.play(HI)
    for _ in range(3):
        response = await client.open("POST", provider.url, [], b"{}")
        response.close()
        response.close()
        assert await read_piece(response) == b""
    assert len(provider.connections) == 1


async def test_an_unwanted_large_answer_leaves_its_connection_reusable(provider, client):
    large = b"x" * (READ_BUFFER_BYTES + 1)
    whole = OK + b"Content-Length: %d\r\n\r\n" % len(large) + large
    provider.scripts = [[whole], [whole], [HI]]
    for _ in range(2):
        response = await client.open("POST", provider.url, [], b"{}")
        await until(lambda: response._response.whole)  # noqa: B023 - called before the next turn
        response.close()
    assert await read_all(await client.open("POST", provider.url, [], b"{}")) == b"hi"
    assert len(provider.connections) == 1


async def test_an_upstream_with_an_unreadable_body_is_closed_at_once(provider, client):
    provider.play(CHUNKED + b"3\r\nabc\r\nno size\r\n", asyncio.Event())
    response = await client.open("POST", provider.url, [], b"{}")
    await provider.requests[0].closed.wait()
    assert await read_piece(response) == b"abc"
    with pytest.raises(UpstreamTruncatedError, match=r"^the provider's response is not HTTP, or "):
        await read_piece(response)
    response.close()


@pytest.mark.parametrize("size", [0, 1, STEP_BYTES, STEP_BYTES + 1, 10 * STEP_BYTES + 7])
async def test_a_body_of_any_size_arrives_whole(provider, client, size):
    provider.play(HI)
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    for _ in range(2):
        assert await read_all(await client.open("POST", provider.url, [], body)) == b"hi"
    assert [request.body == body for request in provider.requests] == [True, True]
    assert len(provider.connections) == 1


async def test_an_answer_before_the_end_of_the_body_stops_the_upload(client, scripted):
    one, url = await scripted(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", reads=False)
    response = await client.open("POST", url, [], LARGE)
    assert (response.status, await read_all(response)) == (413, b"no")
    response.close()
    assert client._connections._idle == {}
    await until(lambda: not client._connections._open)
    one.transport.resume_reading()
    await one.lost.wait()
    assert one.received < len(LARGE)


async def test_an_upstream_that_says_no_more_before_the_body_was_taken_is_left_at_once(client, scripted):
    one, url = await scripted(b"HTTP/1.1 413 Too", reads=False)
    asking = asyncio.create_task(client.open("POST", url, [], LARGE))
    await until(lambda: one.received)
    one.transport.write_eof()
    with pytest.raises(UpstreamUnreachableError):
        await asking
    await until(lambda: not client._connections._open)


async def test_an_upstream_that_goes_on_behind_its_answer_is_left_at_once(provider, client):
    gate = asyncio.Event()
    provider.play(HI, gate, b"HTTP/1.1 200 OK\r\n")
    response = await client.open("POST", provider.url, [], b"{}")
    gate.set()
    await provider.requests[0].closed.wait()
    assert await read_all(response) == b"hi"


async def test_a_body_goes_on_being_sent_while_its_answer_comes(client, scripted):
    one, url = await scripted(CHUNKED + b"3\r\nabc\r\n", reads=True)
    response = await client.open("POST", url, [], LARGE)
    assert await read_piece(response) == b"abc"
    await until(lambda: one.received > len(LARGE))
    one.transport.write(b"0\r\n\r\n")
    assert await read_piece(response) == b""
    assert len(client._connections._open) == 1


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_body_is_let_go_when_it_was_sent_or_is_not_wanted(client, scripted, wanted):
    body = bytearray(LARGE)
    _, url = await scripted(HI, reads=wanted)
    response = await client.open("POST", url, [], body)
    if not wanted:
        response.close()
    await until(lambda: is_free(body))
    response.close()


def is_free(body):
    """Whether nobody looks at it any more: then its size may change."""
    try:
        body.append(0)
    except BufferError:
        return False
    return True


async def test_cancelling_while_the_body_is_not_taken_closes_the_connection(client, scripted):
    one, url = await scripted(b"", reads=False)
    asking = asyncio.create_task(client.open("POST", url, [], LARGE))
    await until(lambda: one.received)
    asking.cancel()
    await asyncio.wait({asking})
    await until(lambda: not client._connections._open)
    one.transport.resume_reading()
    await one.lost.wait()
    assert one.received < len(LARGE)


async def test_a_body_that_is_taken_slowly_may_take_longer_than_the_idle_timeout(scripted):
    client = UpstreamClient(connect_timeout=5, idle_timeout=0.3)
    one, url = await scripted(b"", reads=True, pause=0.01)
    loop = asyncio.get_running_loop()
    began = loop.time()
    asking = asyncio.create_task(client.open("POST", url, [], LARGE))
    await until(lambda: one.received > len(LARGE) or asking.done())
    one.transport.write(HI)
    assert await read_all(await asking) == b"hi"
    assert loop.time() - began > 0.3
    await client.close()


async def test_what_was_answered_or_closed_is_let_go_without_a_search_for_garbage(provider, client):
    gc.collect()
    gc.disable()
    held = LiveObjects(Response, Connection)
    try:
        provider.scripts = [[HI], [CHUNKED + b"3\r\nabc\r\n", asyncio.Event()]]
        assert await read_all(await client.open("POST", provider.url, [], b"{}")) == b"hi"
        response = await client.open("POST", provider.url, [], b"{}")
        assert await read_piece(response) == b"abc"
        response.close()
        del response
        await until(lambda: not client._connections._open)
        await until(lambda: not held())
    finally:
        gc.enable()
