"""Connections that are made, kept and closed, over real sockets and TLS."""

import asyncio
import socket

import pytest
from aiohappyeyeballs import start_connection

import upstream.connections.pool
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.upstream.loops import on_both_loops
from tests.upstream.reading import read_all, read_piece
from upstream.client import UpstreamClient, UpstreamNotReachedError, UpstreamTruncatedError
from upstream.connections.network import locate
from upstream.connections.pool import Connections

pytestmark = on_both_loops

OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"Content-Length: 2\r\n\r\nhi"


async def send(client, url, body=b"{}"):
    """The body of a response."""
    return await read_all(await client.open("POST", url, [], body))


async def test_of_kept_connections_the_one_used_last_is_used_first(provider, client):
    gates = [asyncio.Event(), asyncio.Event()]
    provider.scripts = [[gates[0], HI], [gates[1], HI], [HI]]
    asking = []
    for number in range(2):
        asking.append(asyncio.create_task(send(client, provider.url)))
        await provider.request(number)
    for number in (1, 0):
        gates[number].set()
        await asking[number]
    for _ in range(3):
        await send(client, provider.url, b"again")
    assert [connection._current.body for connection in provider.connections] == [b"again", b"{}"]


async def test_a_connection_that_is_not_needed_again_is_closed(provider, client):
    client._connections._keepalive = 0.05
    provider.play(HI)
    for round_ in (1, 2):
        await send(client, provider.url)
        await provider.requests[-1].closed.wait()
        await until(lambda: not client._connections._open)
        assert (len(provider.connections), client._connections._sweeping) == (round_, None)


async def test_a_connection_that_was_kept_for_too_long_is_not_used(provider, client):
    provider.play(HI)
    await send(client, provider.url)
    client._connections._keepalive = 0
    await send(client, provider.url)
    await provider.requests[0].closed.wait()
    assert len(provider.connections) == 2


@pytest.fixture
def accepting(io_loop):
    """A socket that accepts, and what reads a request of it and answers without the event loop between."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


async def answered(listening, client, url):
    """Ask, answer by hand; the provider's side of the connection that is kept now."""
    asking = asyncio.create_task(send(client, url))
    accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
    await asyncio.get_running_loop().sock_recv(accepted, 2**16)
    accepted.send(HI)
    assert await asking == b"hi"
    return accepted


@pytest.mark.parametrize("stale", [None, HI], ids=["closed", "answered unasked"])
async def test_a_kept_connection_with_unread_input_is_not_used(accepting, client, stale):
    url = f"http://127.0.0.1:{accepting.getsockname()[1]}/"
    first = await answered(accepting, client, url)
    first.send(stale) if stale else first.close()
    second = await answered(accepting, client, url)
    assert second.send(b"") == 0
    first.close()
    second.close()


@pytest.mark.parametrize("stale", [None, HI], ids=["closed", "answered unasked"])
async def test_a_kept_connection_on_which_something_happened_is_closed(accepting, client, stale):
    first = await answered(accepting, client, f"http://127.0.0.1:{accepting.getsockname()[1]}/")
    first.send(stale) if stale else first.shutdown(socket.SHUT_WR)
    await until(lambda: not client._connections._open)
    assert not any(client._connections._idle.values())
    first.close()


async def test_where_the_first_address_does_not_answer_the_next_one_is_tried_soon(provider, client, monkeypatch):
    monkeypatch.setattr(upstream.connections.pool, "NEXT_ADDRESS_SECONDS", 0.05)
    provider.play(HI)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        silent = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", full.getsockname())

        def start(addresses, **options):
            return start_connection([silent, *addresses], **options)

        monkeypatch.setattr(upstream.connections.pool, "start_connection", start)
        assert await send(client, provider.url) == b"hi"


async def test_tls_is_http_as_any_other(tls_provider, trusted):
    client = UpstreamClient(connect_timeout=5, idle_timeout=5)
    tls_provider.play(HI)
    body = bytes(range(256)) * 4_000
    response = await client.open("POST", tls_provider.url, [], body)
    assert 0 < response.connecting.tls < 2
    assert await read_all(response) == b"hi"
    assert await send(client, tls_provider.url, body) == b"hi"
    assert [request.body == body for request in tls_provider.requests] == [True] * 2
    assert len(tls_provider.connections) == 1
    await client.close()
    await tls_provider.requests[-1].closed.wait()


async def test_http_1_1_is_asked_for_in_tls(tls_provider, trusted, server_tls):
    server_tls.set_alpn_protocols(["h2", "http/1.1"])
    client = UpstreamClient(connect_timeout=5, idle_timeout=5)
    tls_provider.play(HI)
    await send(client, tls_provider.url)
    negotiated = tls_provider.connections[0].transport.get_extra_info("ssl_object").selected_alpn_protocol()
    assert negotiated == "http/1.1"
    await client.close()


async def test_a_large_answer_over_tls_waits_for_who_reads_it_and_may_be_cut(tls_provider, trusted):
    client = UpstreamClient(connect_timeout=5, idle_timeout=5)
    block, number = b"x" * 65536, 256
    tls_provider.play(OK + b"Content-Length: %d\r\n\r\n" % (len(block) * (number + 1)), *[block] * number, CLOSE)
    response = await client.open("GET", tls_provider.url, [], b"")
    assert await tls_provider.stalled() < len(block) * number
    length = 0
    while length < len(block) * number:
        length += len(await read_piece(response))
    with pytest.raises(UpstreamTruncatedError):
        await read_piece(response)
    response.close()
    await client.close()


async def test_who_is_not_trusted_is_not_asked(tls_provider, client):
    with pytest.raises(
        UpstreamNotReachedError,
        match=r"^no connection to the provider: its certificate is not trusted \(.*(issuer|chain).*\)$",
    ) as caught:
        await client.open("POST", tls_provider.url, [], b"{}")
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)
    assert tls_provider.requests == []


async def test_who_has_another_name_is_not_asked(tls_provider, client, trusted):
    with pytest.raises(
        UpstreamNotReachedError, match=r"^no connection to the provider: its certificate is for another name$"
    ) as caught:
        await client.open("POST", tls_provider.url.replace("127.0.0.1", "localhost"), [], b"{}")
    assert "mismatch" in str(caught.value.__cause__)
    assert tls_provider.requests == []


async def test_tls_that_does_not_come_about_in_time_is_not_asked(accepting):
    client = UpstreamClient(connect_timeout=0.1, idle_timeout=5)
    with pytest.raises(UpstreamNotReachedError, match=r"^the provider did not accept a connection in time$"):
        await client.open("POST", f"https://127.0.0.1:{accepting.getsockname()[1]}/", [], b"{}")
    await client.close()


async def test_who_leaves_while_a_connection_is_made_leaves_none_behind(provider):
    connections, (origin, _) = Connections(5, 5), locate(provider.url)
    for turns in range(12):
        making = asyncio.create_task(connections.connect(origin))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not making.cancel():
            (await making)[0].abort()
        await asyncio.wait({making})
    async with asyncio.timeout(5):
        await connections.close()
