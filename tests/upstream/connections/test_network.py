from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.cases import for_each
from upstream.client import UpstreamNotReachedError
from upstream.connections.network import (
    DIRECT,
    Network,
    Origin,
    Proxy,
    is_named,
    is_usable_url,
    locate,
    make_tls,
    make_tls_of_texts,
)
from upstream.connections.pool import describe

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class TunnelingProxy:
    """A proxy on a real socket. `response` stands in the place of a connection where it is set."""

    response: bytes = b""
    heads: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.response:
            writer.write(self.response)
            writer.close()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        self.writers.append(there_writer)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: here\r\n\r\n")
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))

    async def stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        await self._server.wait_closed()


async def _pump(reader, writer):
    while piece := await reader.read(65536):
        writer.write(piece)
    writer.close()


@pytest.fixture
def proxy(io_loop):
    proxy = TunnelingProxy()
    io_loop.run_sync(proxy.start)
    yield proxy
    io_loop.run_sync(proxy.stop)


async def send(client, url, network=DIRECT):
    response = await client.open("POST", f"{url}v1/x", [], b"{}", network=network)
    try:
        pieces = []
        while not await response.stream_to(lambda piece: bool(pieces.append(piece)) or True):
            pass
        return response.status, b"".join(pieces)
    finally:
        response.close()


async def test_a_tls_provider_is_reached_through_a_proxy(client, proxy, tls_provider, trusted):
    tls_provider.play(HI)
    network = Network(Proxy("127.0.0.1", proxy.port, "Basic dTpw"))
    for _ in range(2):
        assert await send(client, tls_provider.url, network) == (200, b"hi")
    (head,) = proxy.heads
    authority = tls_provider.url.removeprefix("https://").rstrip("/")
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "Proxy-Authorization: Basic dTpw"]
    assert head.decode() == "\r\n".join([*lines, "", ""])
    assert tls_provider.requests[0].header("Proxy-Authorization") == []


async def test_connections_through_a_proxy_and_without_are_kept_apart(client, proxy, tls_provider, trusted):
    tls_provider.play(HI)
    network = Network(Proxy("127.0.0.1", proxy.port))
    for one in (network, DIRECT, network, DIRECT):
        await send(client, tls_provider.url, one)
    assert (len(proxy.heads), len(tls_provider.connections)) == (1, 2)


async def test_a_provider_without_tls_is_reached_directly(client, proxy, provider):
    provider.play(HI)
    assert await send(client, provider.url, Network(Proxy("127.0.0.1", proxy.port))) == (200, b"hi")
    assert proxy.heads == []


@for_each(
    ("response", "reason"),
    (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy refused with status 407"),
    (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nlong", "the proxy refused with status 502"),
    (b"SSH-2.0-x\r\n\r\n", "the proxy did not answer in HTTP"),
    (b"nothing", "the proxy did not answer in HTTP"),
    (b"x" * 20_000, "the proxy did not answer in HTTP"),
    (b"HTTP/1.1 200 OK\r\n\r\nmore", "the proxy sent something of its own into the connection"),
)
async def test_a_proxy_that_does_not_connect_is_told_as_such(client, proxy, response, reason):
    proxy.response = response
    with pytest.raises(UpstreamNotReachedError) as error:
        await send(client, "https://provider.example/", Network(Proxy("127.0.0.1", proxy.port)))
    assert str(error.value) == f"no connection to the provider: {reason}"


async def test_a_file_says_which_authority_is_trusted(client, tls_provider, authority, tmp_path):
    tls_provider.play(HI)
    with pytest.raises(UpstreamNotReachedError):
        await send(client, tls_provider.url)
    assert await send(client, tls_provider.url, Network(tls=make_tls(str(authority / "ca.pem")))) == (200, b"hi")


def test_a_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        make_tls(str(tmp_path / "ca.pem"))
    with pytest.raises(FileNotFoundError):
        make_tls(str(tmp_path / "missing.pem"))


@for_each(
    ("url", "proxy"),
    ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
    ("proxy.example:3128", Proxy("proxy.example", 3128)),
    ("http://proxy.example/", Proxy("proxy.example", 80)),
    ("http://ada:p%40ss@proxy.example:3128", Proxy("proxy.example", 3128, "Basic YWRhOnBAc3M=")),
    ("http://[::1]:3128", Proxy("::1", 3128)),
)
def test_the_address_of_a_proxy_is_read(url, proxy):
    assert Proxy.of(url) == proxy
    assert "Basic" not in repr(proxy)


@for_each("url", "https://proxy.example:3128", "socks5://x:1", "http://", "http://x:y", "http://x/path", "http://x?q")
def test_what_is_no_http_proxy_is_refused(url):
    with pytest.raises(ValueError, match=r".*"):
        Proxy.of(url)


@for_each(
    ("host", "hosts", "named"),
    ("api.openai.com", "", False),
    ("api.openai.com", "*", True),
    ("api.openai.com", "localhost, openai.com", True),
    ("api.openai.com", ".openai.com", True),
    ("API.OpenAI.com", "api.openai.com", True),
    ("notopenai.com", "openai.com", False),
    ("::1", "[::1]", True),
    ("127.0.0.1", "localhost,127.0.0.1", True),
)
def test_hosts_are_named_themselves_or_by_their_domain(host, hosts, named):
    assert is_named(host, hosts) is named


def test_texts_of_certificates_are_as_good_as_files(authority):
    ca, server = ((authority / name).read_text() for name in ("ca.pem", "server.pem"))
    assert len(make_tls_of_texts(ca, server).get_ca_certs()) == len(make_tls(str(authority / "ca.pem")).get_ca_certs())
    assert len(make_tls_of_texts("").get_ca_certs()) == len(make_tls().get_ca_certs())
    for wrong in (("nothing", ""), ("", "nothing"), ("", ca)):
        with pytest.raises((OSError, ValueError)):
            make_tls_of_texts(*wrong)


@for_each(
    ("url", "origin", "target"),
    ("http://127.0.0.1:4001/", Origin("127.0.0.1", 4001, tls=False, authority="127.0.0.1:4001"), "/"),
    ("https://API.openai.com:443/", Origin("api.openai.com", 443, tls=True, authority="api.openai.com"), "/"),
    ("http://[::1]:8080/", Origin("::1", 8080, tls=False, authority="[::1]:8080"), "/"),
    ("https://[2001:DB8::1]/", Origin("2001:db8::1", 443, tls=True, authority="[2001:db8::1]"), "/"),
    (
        "http://h/a%2Fb//c?q=%20x&&u=http://x/?y",
        Origin("h", 80, tls=False, authority="h"),
        "/a%2Fb//c?q=%20x&&u=http://x/?y",
    ),
)
def test_a_url_leads_to_a_server_and_asks_for_what_stands_behind_it(url, origin, target):
    assert locate(url) == (origin, target)


@for_each("url", "", "/v1", "host/v1", "ftp://host/", "http:///v1", "http://host:x/", "http://[::1/")
def test_a_url_that_leads_nowhere_is_refused(url):
    with pytest.raises(ValueError, match=r"."):
        locate(url)


@for_each(
    ("url", "usable"),
    ("https://id.example:8443", True),
    ("http://127.0.0.1:8080/x", True),
    ("http://localhost/x", True),
    ("http://id.example", False),
    ("http://localhost.evil.example", False),
    ("http://10.0.0.1", False),
    ("https://user:password@id.example", False),
    ("https://id.example/#x", False),
    ("https://id.example:0", False),
    ("https://", False),
    ("https://idé.example", False),
    ("https://id.example/\r\n", False),
    ("", False),
)
def test_which_urls_are_asked(url, usable):
    assert is_usable_url(url) is usable


def tls(reason):
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


def certificate(code, message):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: api.secret.example")
    error.verify_code, error.verify_message = code, message
    return error


@for_each(
    ("error", "why"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name is not found"),
    (UnicodeError("label too long"), "its name is not a valid host name"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "10.0.0.7"), "it refused the connection"),
    (ConnectionResetError(), "it closed the connection before it was made"),
    (OSError(errno.EHOSTUNREACH, "10.0.0.7"), "there is no route to it"),
    (OSError("Multiple exceptions: 10.0.0.7"), "none of its addresses answered"),
    (certificate(10, "certificate has expired"), "its certificate is not trusted (certificate has expired)"),
    (certificate(62, "Hostname mismatch, for 'secret.example'"), "its certificate is for another name"),
    (certificate(64, "IP address mismatch, for '10.0.0.7'"), "its certificate is for another name"),
    (tls("WRONG_VERSION_NUMBER"), "it does not speak TLS"),
    (tls("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS failed (tlsv1 alert protocol version)"),
    (tls(None), "TLS failed (no reason given)"),
)
def test_what_kept_a_connection_from_being_made_is_said_without_an_address(error, why):
    assert describe(error) == why
    assert "10.0.0.7" not in why
    assert "secret" not in why
