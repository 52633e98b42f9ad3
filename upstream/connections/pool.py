"""Connections to providers: made, through a proxy if need be, kept while they may be needed again, and closed.

Why there is none is said in words for clients, without addresses.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from functools import cached_property
from time import monotonic
from typing import Final

from aiohappyeyeballs import start_connection

from intercept.records import Connecting
from upstream.connections.connection import Connection
from upstream.connections.network import Origin, Proxy, is_named, make_tls

# How long a connection is kept for a next request, in seconds, unless it is set. An agent thinks and runs tools between two
# calls. That the server has closed the connection is noticed; a longer time risks a request that meets its closing.
KEEPALIVE_SECONDS = 60.0
# Seconds until the next address is tried in parallel to one that does not respond (RFC 8305 section 8).
NEXT_ADDRESS_SECONDS = 0.25


class Connections:
    """All connections of a client, on one event loop. Of those that are kept, the one used last is used first.

    Args:
        connect_timeout: For finding the address, connecting and TLS together, in seconds.
        idle_timeout: That of each connection, in seconds.
        egress_hosts: Names and domains of the only hosts to connect to, with commas between; empty is all.
        keepalive: How long a connection is kept for a next request, in seconds.
    """

    def __init__(
        self,
        connect_timeout: float,
        idle_timeout: float,
        egress_hosts: str = "",
        keepalive: float = KEEPALIVE_SECONDS,
    ) -> None:
        self._egress_hosts = egress_hosts
        self._keepalive = keepalive
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: dict[Origin, dict[Connection, float]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._none_open = asyncio.Event()

    def reuse(self, origin: Origin) -> Connection | None:
        """A kept connection that is usable, if there is one."""
        idle = self._idle.get(origin)
        while idle:
            connection, since = idle.popitem()
            if connection.usable and self._loop.time() < since + self._keepalive and not connection.has_unread_input:
                return connection
            connection.abort()
        return None

    async def connect(self, origin: Origin) -> tuple[Connection, Connecting]:
        """Connect through the origin's network. Return the connection, and how long that took.

        If the network has no authorities of its own, those of the system or of `SSL_CERT_FILE` are trusted. A proxy is
        used for TLS only: it sees the destination, but no content.

        Raises:
            TimeoutError: it took too long.
            EgressError: the host is none of those to connect to.
            OSError: the name does not exist, or no trusted server answers.
            UnicodeError: it is not a valid name.
        """
        if self._egress_hosts and not is_named(origin.host, self._egress_hosts):
            raise EgressError("its host is not in egress-hosts")
        proxy = origin.network.proxy if origin.tls else None
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        async with asyncio.timeout(self._connect_timeout):
            began = monotonic()  # an event loop's own clock may tell whole milliseconds
            addresses = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            found = monotonic()
            raw = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1)
            if proxy is not None:
                try:
                    await open_tunnel(raw, origin.host_and_port, proxy)
                except BaseException:
                    raw.close()
                    raise
            connected = monotonic()
            connection = Connection(origin, self._idle_timeout, self._open.add, self._lost)
            try:
                await self._loop.create_connection(
                    lambda: connection,
                    sock=raw,
                    ssl=(origin.network.tls or self._tls) if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
            except BaseException:
                self._lost(connection)  # uvloop does not tell it if it is cancelled
                raise
        tls = monotonic() - connected if origin.tls else None
        return connection, Connecting(dns=found - began, connect=connected - found, tls=tls)

    def release(self, connection: Connection) -> None:
        """Keep a connection where it can be used again, else close it at once."""
        connection.finish()
        if connection.usable:
            self._idle.setdefault(connection.origin, {})[connection] = self._loop.time()
            if self._sweeping is None:
                self._sweeping = self._loop.call_later(self._keepalive, self._sweep)

    async def close(self) -> None:
        """Close every connection; return when they are gone."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in self._open:
            connection.abort()
        if self._open:
            self._none_open.clear()
            await self._none_open.wait()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return make_tls()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.get(connection.origin, {}).pop(connection, None)
        if not self._open:
            self._none_open.set()

    def _sweep(self) -> None:
        """Close connections that were idle for too long; run again when the next one may be."""
        now = self._loop.time()
        left = []
        for idle in self._idle.values():
            for connection, since in idle.items():
                if since + self._keepalive > now:
                    left.append(since)
                    break
                connection.abort()
        self._sweeping = self._loop.call_at(min(left) + self._keepalive, self._sweep) if left else None


MAX_RESPONSE_BYTES: Final = 16 * 1024
"""The largest head of a proxy's response."""
_READ_BYTES: Final = 4096
_END_OF_HEAD: Final = b"\r\n\r\n"


class EgressError(OSError):
    """The host is none of those to connect to. The text is for clients: it does not name the host."""


class ProxyError(OSError):
    """A proxy refused a connection. The text is for clients: it has no address and no secret."""


async def open_tunnel(raw: socket.socket, authority: str, proxy: Proxy) -> None:
    """Have a proxy connect a socket to a server (RFC 9110, section 9.3.6).

    The socket is connected to the proxy. `authority` is host and port of the server.

    Raises:
        ProxyError: It does not do that.
        OSError: The connection to it broke.
    """
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(raw, "\r\n".join([*lines, "", ""]).encode())
    response = b""
    while _END_OF_HEAD not in response:
        piece = await loop.sock_recv(raw, _READ_BYTES)
        response += piece
        if not piece or len(response) > MAX_RESPONSE_BYTES:
            raise ProxyError("the proxy did not answer in HTTP")
    status = response.split(b"\r\n", 1)[0].split(b" ")[1:2]
    if not status or not status[0].isdigit():
        raise ProxyError("the proxy did not answer in HTTP")
    if not status[0].startswith(b"2"):
        raise ProxyError(f"the proxy refused with status {status[0].decode()}")
    if response.split(_END_OF_HEAD, 1)[1]:
        raise ProxyError("the proxy sent something of its own into the connection")


# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH; its messages have the name in them.
_OTHER_NAME = frozenset({62, 64})
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


def describe(error: OSError | UnicodeError) -> str:
    """What kept a connection from being made: the name, the way, the other side, or which check of TLS."""
    if isinstance(error, ProxyError | EgressError):
        return str(error)
    if isinstance(error, UnicodeError):
        return "its name is not a valid host name"
    if isinstance(error, socket.gaierror):
        return "its name is not found" if error.errno in _NO_SUCH_NAME else "its name cannot be looked up"
    if isinstance(error, ssl.SSLError):
        return _describe_tls(error)
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, ConnectionError):
        return "it closed the connection before it was made"
    if error.errno in _NO_ROUTE:
        return "there is no route to it"
    return "none of its addresses answered"


def _describe_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "its certificate is for another name"
        return f"its certificate is not trusted ({error.verify_message})"
    if error.reason in _NO_TLS:
        return "it does not speak TLS"
    return f"TLS failed ({(error.reason or 'no reason given').lower().replace('_', ' ')})"
