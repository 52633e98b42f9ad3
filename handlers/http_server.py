"""Tornado's HTTP server with its bounds set on purpose."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import suppress
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate
from tornado.iostream import IOStream
from tornado.web import Application

logger = logging.getLogger(__name__)

# The head of a request has to arrive within this time, and a kept connection without one is closed after it.
HEAD_SECONDS = 120.0
MAX_HEADER_BYTES = 64 * 1024
# A client whose machine vanished is noticed after about two minutes, also while its upstream is silent (tcp(7)).
KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
# How long a server that retires waits for the next request of a kept connection: one that its client is about to use
# must not be closed under it.
LAST_REQUEST_SECONDS = 5.0
# Kept back from the open files that are allowed: for database, journal and log.
RESERVED_FILES = 256


def most_connections() -> int:
    """Raise the number of open files to what the system allows; how many clients that is enough for.

    A relayed stream takes two: the client's connection and the upstream's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, (hard - RESERVED_FILES) // 2)


class BridgeServer(HTTPServer):
    """Accepts up to `max_connections` clients at a time; one more is closed at once.

    Bodies are bounded by the handlers, which can say why.
    """

    def initialize(  # type: ignore[override]
        self, application: Application, *, max_connections: int, head_seconds: float = HEAD_SECONDS
    ) -> None:
        """Set the bounds; Tornado calls this instead of a constructor."""
        super().initialize(application, max_header_size=MAX_HEADER_BYTES, idle_connection_timeout=head_seconds)
        self._max_connections = max_connections
        self._full = False
        self._requests: dict[HTTP1ServerConnection, HTTP1Connection] = {}
        self._unused = asyncio.Event()
        self._unused.set()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a new connection, unless there are too many."""
        full = len(self._connections) >= self._max_connections
        if full and not self._full:
            logger.warning(
                "%d connections are open, as many as allowed: further ones are closed", self._max_connections
            )
        self._full = full
        if full:
            stream.close()
            return
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            stream.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._unused.clear()
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """Note that a connection waits for its next request."""
        self._requests[server_conn] = request_conn  # type: ignore[index]
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is gone."""
        super().on_close(server_conn)
        self._requests.pop(server_conn, None)  # type: ignore[call-overload]
        if not self._connections:
            self._unused.set()

    async def retire(self, timeout_s: float) -> int:
        """Take no new connection, serve one more request on each open one, and wait until all are closed.

        That request is answered with `Connection: close`. A connection on which none begins is closed after
        `LAST_REQUEST_SECONDS`.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Returns:
            How many connections are still open.
        """
        self.stop()
        self.conn_params.no_keep_alive = True
        self.conn_params.header_timeout = LAST_REQUEST_SECONDS
        waiting = self._waiting()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._unused.wait(), LAST_REQUEST_SECONDS)
                for connection, _ in waiting & self._waiting():
                    await connection.close()
                await self._unused.wait()
        return len(self._connections)

    def _waiting(self) -> set[tuple[HTTP1ServerConnection, HTTP1Connection]]:
        """The connections without a request, each with what would become of the next one."""
        return {one for one in self._requests.items() if one[1]._request_start_line is None}  # noqa: SLF001 - Tornado says it nowhere else
