from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bridge import until
from tests.cases import for_each
from tests.examples import examples
from tests.fake_upstream import CLOSE, RESET
from tests.upstream.loops import on_both_loops
from tests.upstream.reading import read_all, read_piece
from tests.upstream.test_response import damaged, responses
from upstream.client import (
    UpstreamClient,
    UpstreamError,
    UpstreamNotReachedError,
    UpstreamTimeoutError,
    UpstreamTruncatedError,
    UpstreamUnreachableError,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def impatient(io_loop):
    """A client for those who are silent; with it, whoever speaks could be too slow."""

    async def make() -> UpstreamClient:
        return UpstreamClient(connect_timeout=5, idle_timeout=0.2)

    client = io_loop.run_sync(make)
    yield client
    io_loop.run_sync(client.close)


async def failure(asked: Awaitable[object]) -> Exception | None:
    """What a request, or reading a response, ends with."""
    try:
        await asked
    except UpstreamError as error:
        return error
    return None


async def test_only_a_new_connection_says_how_long_it_took_to_make(provider, client):
    provider.play(HEAD + b"Content-Length: 2\r\n\r\nhi")
    made = []
    for _ in range(2):
        response = await client.open("GET", provider.url, [], b"")
        made.append(response.connecting)
        await read_all(response)
    new, kept = made
    assert (kept, new.tls) == (None, None)
    assert 0 <= new.dns < 2
    assert 0 < new.connect < 2


async def test_a_connection_that_is_not_accepted_in_time_is_not_asked(io_loop):
    client = UpstreamClient(connect_timeout=0.1, idle_timeout=60)
    # Nobody accepts, and the queue for those who might is full: the system answers no further one.
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
        pytest.raises(UpstreamNotReachedError, match=r"^the provider did not accept a connection in time$"),
    ):
        await client.open("POST", f"http://127.0.0.1:{full.getsockname()[1]}/", [], b"{}")
    await client.close()


@on_both_loops
async def test_what_reached_an_upstream_that_hangs_up_is_not_sent_again(provider, client):
    for method, body in {"GET": b"", "DELETE": b"", "PUT": b"", "POST": b"{}"}.items():
        for end in (RESET, CLOSE):
            provider.forget()
            provider.scripts = [[HEAD + b"Content-Length: 2\r\n\r\nhi"], [end]]
            connections = len(provider.connections)
            response = await client.open(method, provider.url, [], b"")
            assert await read_all(response) == b"hi"
            error = await failure(client.open(method, provider.url, [], body))
            assert (type(error), str(error)) == (
                UpstreamUnreachableError,
                "the provider closed the connection before its response was complete",
            ), (method, end)
            assert (len(provider.requests), len(provider.connections) - connections) == (2, 1), (method, end)


@on_both_loops
@pytest.mark.parametrize("body", [b"{}", b"x" * 200_000, b""], ids=["small", "large", "none"])
async def test_a_request_on_a_closing_connection_is_sent_once_or_not_at_all(provider, body):
    provider.play(HEAD + b"Content-Length: 2\r\n\r\nhi")
    outcomes = Counter()
    for turns in range(8):
        client = UpstreamClient(connect_timeout=30, idle_timeout=30)
        await read_all(await client.open("POST", provider.url, [], body))
        before = len(provider.requests)
        provider.connections[-1].transport.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            outcome = (await client.open("POST", provider.url, [], body)).status
        except UpstreamUnreachableError as error:
            outcome = type(error)
        outcomes[outcome] += 1
        assert len(provider.requests) == before + (outcome == 200)
        await client.close()
    # Whether the connection is there is looked at in the turn in which the request is written.
    assert outcomes.keys() <= {200, UpstreamUnreachableError}
    assert outcomes[200]


@for_each("body", b"", b"{}")
async def test_an_upstream_that_announces_an_answer_without_end_is_a_timeout(provider, body):
    stopped = False

    def announcements():
        while not stopped:
            yield b"HTTP/1.1 103 Early Hints\r\n\r\n"

    provider.scripts = [announcements()]
    client = UpstreamClient(connect_timeout=5, idle_timeout=0.02)
    with pytest.raises(UpstreamTimeoutError):
        await client.open("GET", provider.url, [], body)
    stopped = True
    await client.close()


@on_both_loops
async def test_a_body_that_is_cut_is_truncated_after_its_bytes(provider, client):
    for framed in (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        for end in (CLOSE, RESET):
            gate = asyncio.Event()
            provider.scripts = [[HEAD + framed, gate, end]]
            response = await client.open("GET", provider.url, [], b"")
            assert await read_piece(response) == b"abc"
            gate.set()
            assert type(await failure(read_all(response))) is UpstreamTruncatedError, (framed, end)
            response.close()


class Deaf(asyncio.Protocol):
    """Accepts a connection and reads nothing of it."""

    def __init__(self, open_ones):
        self._open_ones = open_ones

    def connection_made(self, transport):
        transport.pause_reading()
        self._open_ones.append(transport)

    def connection_lost(self, exc):
        self._open_ones.pop()


@on_both_loops
async def test_an_upstream_that_stops_taking_the_body_is_a_timeout(impatient):
    open_ones = []
    server = await asyncio.get_running_loop().create_server(lambda: Deaf(open_ones), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamTimeoutError, match=r"^the provider sent nothing for longer than the idle timeout$"):
        await impatient.open("POST", f"http://127.0.0.1:{port}/", [], b"x" * 12_000_000)
    await until(lambda: not impatient._connections._open)
    server.close()
    open_ones[0].abort()
    await until(lambda: not open_ones)


async def test_a_switch_of_protocols_is_no_answer(provider, client):
    provider.play(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    with pytest.raises(UpstreamUnreachableError, match=r"^the provider did not answer in HTTP$"):
        await client.open("GET", provider.url, [], b"")


@on_both_loops
@settings(max_examples=examples(15, 250), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(responses().map(lambda made: made[0]), damaged(), st.binary(max_size=200)),
    cut=st.integers(0, 400),
    end=st.sampled_from([CLOSE, RESET]),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_whatever_an_upstream_says_is_an_answer_or_an_error_and_leaves_nothing_open(
    *, io_loop, provider, client, raw, cut, end, method
):
    async def send() -> None:
        provider.scripts = [[raw[:cut], raw[cut:], end]]
        try:
            response = await client.open(method, provider.url, [], b"")
        except UpstreamUnreachableError:
            pass
        else:
            with suppress(UpstreamTruncatedError):
                await read_all(response)
            response.close()
        await until(lambda: not client._connections._open)

    io_loop.run_sync(send)


async def test_an_answer_with_a_transfer_coding_that_was_not_asked_for_is_none(provider, client):
    for coding in "gzip, chunked", "chunked, gzip", "gzip", "x", "chunked, chunked", "identity, gzip", "chunked,":
        provider.forget()
        provider.play(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\nhi\r\n0\r\n\r\n".encode(), CLOSE)
        assert isinstance(await failure(client.open("GET", provider.url, [], b"")), UpstreamUnreachableError), coding
        await provider.requests[0].closed.wait()
