"""Accepts the connections of clients, and closes them in good order."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tornado.netutil import add_accept_handler
from tornado.web import Application

from http1.connection import ClientConnection, Options
from http1.requests import MalformedRequestError

logger = logging.getLogger(__name__)

# The head of a request has to arrive within this time. A kept connection without a request is closed after it.
HEAD_SECONDS = 120.0
# How long TLS may take: its handshake, and the client's end when the server ends it.
TLS_BOUNDS = {"ssl_handshake_timeout": 10.0, "ssl_shutdown_timeout": 5.0}
# The body of a request has to arrive within this time, unless its handler or the setting says otherwise.
BODY_SECONDS = 30.0
# If the machine of a client vanishes, this is noticed after about two minutes, even while the provider sends nothing
# (tcp(7)). What is written is sent at once.
OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 0) or getattr(socket, "TCP_KEEPALIVE"), 60),  # noqa: B009 - macOS
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
# How long a server that retires waits for the next request on a kept connection, which its client may be about to use.
LAST_REQUEST_SECONDS = 5.0
# How many open files are reserved for the database, the spool and the log.
RESERVED_FILES = 256
# As many open files as a process of macOS may have, where no limit is told (`OPEN_MAX`).
MANY_FILES = 10_240


def default_max_connections() -> int:
    """Raise the limit of open files as far as the system allows, and return for how many clients that is enough.

    A relayed stream takes two: the connection of the client and the one to the provider.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in (hard, MANY_FILES):
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (soft - RESERVED_FILES) // 2)


class BridgeServer:
    """Serves a Tornado application to up to `max_connections` clients at a time. Further ones are closed at once.

    Args:
        application: Finds the handler of each request.
        max_connections: How many may be open.
        idle_seconds: How long a connection may wait for the complete head of a request.
        body_seconds: How long a body may take to arrive, unless its handler says otherwise.
        on_refusal: Called for each request that a connection refuses by itself, with the reason and the client's address.
        tls: The certificate to show; None speaks without TLS.

    Attributes:
        connections: Those that are open.
        options: What they share.
    """

    def __init__(
        self,
        application: Application,
        *,
        max_connections: int,
        idle_seconds: float = HEAD_SECONDS,
        body_seconds: float = BODY_SECONDS,
        on_refusal: Callable[[MalformedRequestError, str], None] = lambda _error, _remote_ip: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections: set[ClientConnection] = set()
        self.options = Options(
            find_handler=application.find_handler,
            on_refusal=on_refusal,
            idle_seconds=idle_seconds,
            body_seconds=body_seconds,
        )
        self._max_connections = max_connections
        self._tls = tls
        self._full = False
        self._closing = False
        self._stops: list[Callable[[], None]] = []
        self._arrivals: set[asyncio.Task[None]] = set()
        self._arriving = 0  # how many of them are not in `connections` yet
        self._unused = asyncio.Event()
        self._unused.set()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on them. `stop` closes them."""
        for one in sockets:
            self._stops += [add_accept_handler(one, self._accept), one.close]

    def stop(self) -> None:
        """Accept no more connections."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    async def close_all_connections(self) -> None:
        """Close all, even if requests are active on them. Return when they are closed."""
        self._closing = True
        for connection in tuple(self.connections):
            connection.abort()
        await self._unused.wait()

    async def retire(self, timeout_s: float) -> None:
        """Accept no new connection, serve one more request on each open one, and wait until all are closed.

        The response to that request says `Connection: close`. A connection without one is closed after
        `LAST_REQUEST_SECONDS`.

        Args:
            timeout_s: How long to wait at most, in seconds.
        """
        self.stop()
        self.options.retiring = True
        self.options.idle_seconds = LAST_REQUEST_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._unused.wait(), LAST_REQUEST_SECONDS)
                for connection in tuple(self.connections):
                    connection.check_idle()
                await self._unused.wait()

    def _opened(self, connection: ClientConnection) -> None:
        self._arriving -= 1
        self.connections.add(connection)
        if self._closing:
            connection.abort()

    def _closed(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        self._check_unused()

    def _accept(self, raw: socket.socket, address: Any) -> None:
        full = len(self.connections) + self._arriving >= self._max_connections
        if full and not self._full:
            logger.warning(
                "%d connections are open, as many as allowed: further ones are closed", self._max_connections
            )
        self._full = full
        if full:
            raw.close()
            return
        self._unused.clear()
        self._arriving += 1
        arrival = asyncio.create_task(self._serve(raw, address[0]))  # noqa: TID251 - kept until it ends, which is soon
        self._arrivals.add(arrival)
        arrival.add_done_callback(self._arrived)

    async def _serve(self, raw: socket.socket, remote_ip: str) -> None:
        connection = ClientConnection(self.options, raw, remote_ip, on_open=self._opened, on_close=self._closed)
        try:
            for level, option, value in OPTIONS:
                raw.setsockopt(level, option, value)
            bounds = {} if self._tls is None else TLS_BOUNDS
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, raw, ssl=self._tls, **bounds)
        except OSError:  # the client has already left
            raw.close()
        finally:
            if not connection.opened:
                self._arriving -= 1

    def _arrived(self, arrival: asyncio.Task[None]) -> None:
        self._arrivals.discard(arrival)
        if not arrival.cancelled() and (error := arrival.exception()) is not None:
            logger.error("unforeseen error while a connection arrived", exc_info=error)
        self._check_unused()

    def _check_unused(self) -> None:
        if not self.connections and not self._arrivals:
            self._unused.set()
