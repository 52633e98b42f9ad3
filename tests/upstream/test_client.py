from __future__ import annotations

import asyncio

import pytest

from tests.bridge import until
from tests.fake_upstream import CLOSE, RESET, FakeUpstream
from upstream.client import UpstreamClient, UpstreamTimeoutError, UpstreamTruncatedError, UpstreamUnreachableError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def upstream(io_loop):
    upstream = io_loop.run_sync(FakeUpstream.start)
    yield upstream
    io_loop.run_sync(upstream.stop)


@pytest.fixture
def client(io_loop):
    async def make() -> UpstreamClient:
        return UpstreamClient(connect_timeout=2, idle_timeout=0.2)

    client = io_loop.run_sync(make)
    yield client
    io_loop.run_sync(client.close)


async def read_all(response):
    chunks = []
    while chunk := await response.read():
        chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.gen_test
async def test_a_request_arrives_as_it_was_given_and_nothing_is_added(upstream, client):
    upstream.play(HEAD + b"Content-Length: 2\r\nX-Multi: a\r\nX-Multi: b\r\n\r\nhi")
    headers = [("X-One", "1"), ("X-One", "2"), ("X-Text", "caf\xc3\xa9")]
    response = await client.open("POST", upstream.url + "v1/a%2Fb?q=%20x&&y=1", headers, b'{ "b":1 }')
    assert (response.status, response.reason, await read_all(response)) == (200, "OK", b"hi")
    assert [value for name, value in response.headers if name == "X-Multi"] == ["a", "b"]
    request = upstream.requests[0]
    assert (request.method, request.target, request.body) == ("POST", "/v1/a%2Fb?q=%20x&&y=1", b'{ "b":1 }')
    assert [pair for pair in request.headers if pair[0] != "Host"] == [*headers, ("Content-Length", "9")]


@pytest.mark.gen_test
async def test_a_connection_is_used_again(upstream, client):
    upstream.play(HEAD + b"Content-Length: 2\r\n\r\nhi")
    for _ in range(3):
        response = await client.open("GET", upstream.url, [], b"")
        assert await read_all(response) == b"hi"
        response.close()
    assert len(upstream.connections) == 1


@pytest.mark.gen_test
async def test_bytes_are_handed_over_as_they_come_and_are_not_decompressed(upstream, client):
    gate = asyncio.Event()
    upstream.play(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nabc", gate, b"def")
    response = await client.open("GET", upstream.url, [], b"")
    assert await response.read() == b"abc"
    gate.set()
    assert await response.read() == b"def"
    assert await response.read() == b""


@pytest.mark.gen_test
async def test_a_redirect_is_an_answer_like_any_other(upstream, client):
    upstream.play(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n")
    response = await client.open("GET", upstream.url, [], b"")
    assert (response.status, response.header("location")) == (302, "http://elsewhere/")
    response.close()


@pytest.mark.gen_test
async def test_a_closed_port_is_unreachable(client):
    with pytest.raises(UpstreamUnreachableError, match=r"^no connection to the provider$"):
        await client.open("GET", "http://127.0.0.1:1/", [], b"")


@pytest.mark.parametrize("end", [RESET, CLOSE])
@pytest.mark.gen_test
async def test_an_upstream_that_hangs_up_before_its_answer_is_unreachable(upstream, client, end):
    upstream.play(end)
    with pytest.raises(
        UpstreamUnreachableError, match=r"^the provider closed the connection before its answer was whole$"
    ):
        await client.open("POST", upstream.url, [], b"{}")


@pytest.mark.gen_test
async def test_what_is_not_http_is_unreachable(upstream, client):
    upstream.play(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE)
    with pytest.raises(UpstreamUnreachableError):
        await client.open("GET", upstream.url, [], b"")


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\nabc", CLOSE),
        (HEAD + b"Content-Length: 10\r\n\r\nabc", RESET),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", CLOSE),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", RESET),
    ],
    ids=["length-closed", "length-reset", "chunked-closed", "chunked-reset"],
)
@pytest.mark.gen_test
async def test_a_body_that_is_cut_is_truncated_after_its_bytes(upstream, client, head, end):
    gate = asyncio.Event()
    upstream.play(head, gate, end)
    response = await client.open("GET", upstream.url, [], b"")
    assert await response.read() == b"abc"
    gate.set()
    with pytest.raises(UpstreamTruncatedError):
        await read_all(response)
    response.close()


@pytest.mark.gen_test
async def test_silence_before_the_head_and_in_the_body_is_a_timeout(upstream, client):
    upstream.play(asyncio.Event())
    with pytest.raises(UpstreamTimeoutError, match=r"^the provider sent nothing for longer than the idle timeout$"):
        await client.open("GET", upstream.url, [], b"")
    upstream.scripts.clear()
    upstream.play(HEAD + b"Content-Length: 10\r\n\r\nabc", asyncio.Event())
    response = await client.open("GET", upstream.url, [], b"")
    assert await response.read() == b"abc"
    with pytest.raises(UpstreamTimeoutError):
        await response.read()
    response.close()


@pytest.mark.gen_test
async def test_a_cancelled_request_closes_its_connection(upstream, client):
    upstream.play(asyncio.Event())
    task = asyncio.create_task(client.open("GET", upstream.url, [], b""))
    request = await upstream.request()
    task.cancel()
    await request.closed.wait()


@pytest.mark.gen_test
async def test_closing_an_unfinished_answer_closes_its_connection(upstream, client):
    upstream.play(HEAD + b"Content-Length: 10\r\n\r\nabc", asyncio.Event())
    response = await client.open("GET", upstream.url, [], b"")
    response.close()
    await upstream.requests[0].closed.wait()


class Deaf(asyncio.Protocol):
    """Accepts a connection and reads nothing of it."""

    def __init__(self, open_ones):
        self._open_ones = open_ones

    def connection_made(self, transport):
        transport.pause_reading()
        self._open_ones.append(transport)

    def connection_lost(self, exc):
        self._open_ones.pop()


@pytest.mark.gen_test
async def test_an_upstream_that_stops_taking_the_body_is_a_timeout(client):
    open_ones = []
    server = await asyncio.get_running_loop().create_server(lambda: Deaf(open_ones), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamTimeoutError, match=r"^the provider sent nothing for longer than the idle timeout$"):
        await client.open("POST", f"http://127.0.0.1:{port}/", [], b"x" * 30_000_000)
    server.close()
    open_ones[0].abort()
    await until(lambda: not open_ones)
    await asyncio.sleep(0)  # the other side hears of it
    await asyncio.sleep(0)


@pytest.mark.gen_test
async def test_a_large_body_that_is_taken_arrives_whole(upstream, client):
    upstream.play(HEAD + b"Content-Length: 2\r\n\r\nhi")
    body = bytes(range(256)) * 20_000
    response = await client.open("POST", upstream.url, [], body)
    assert await read_all(response) == b"hi"
    assert upstream.requests[0].body == body


@pytest.mark.gen_test
async def test_a_switch_of_protocols_is_no_answer(upstream, client):
    upstream.play(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    with pytest.raises(UpstreamUnreachableError, match=r"^the provider did not answer in HTTP$"):
        await client.open("GET", upstream.url, [], b"")
