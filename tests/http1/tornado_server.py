"""Tornado's own HTTP server instead of `http1/`, so that the bridge could do without that.

Handlers need more of a request than Tornado offers: to respond before the body is there, to limit its size and time, to know
whether the client has taken what was written, to cut a response. `TornadoCycle` adds that with Tornado's public methods.
The tests of `ON_BOTH` run on either server; with `--server=tornado` all tests do, but for those of `NOT_ON_TORNADO`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from asyncio import Future
from types import SimpleNamespace

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import StreamClosedError

from http1.connection import LINGER_SECONDS, READ_AHEAD_BYTES
from http1.headers import http_date
from http1.request_cycle import MAX_BODY_BYTES, MAX_UNWANTED_BYTES
from http1.server import BODY_SECONDS, HEAD_SECONDS


class TornadoCycle(HTTPConnection):
    """What handlers use of a `RequestCycle`, for one request that Tornado has read."""

    def __init__(self, connection, body_timeout):
        self.context = connection.context
        self.body_timeout = body_timeout
        self.wants_body = True
        self.body_arrived = self.body_complete = self.finished = False
        self.on_close = self.on_refusal = None
        self._connection = connection
        self._stream = connection.stream
        self._timer = None
        self._read = self._waits = self._closes = self._started = self.left = False

    def start(self, start_line, headers):
        """Begin with a head."""
        self._old_client = start_line.version == "HTTP/1.0"
        self._headers = headers
        chunked, length = "Transfer-Encoding" in headers, headers.get("Content-Length", "0")
        self.body_arrived = not chunked and length == "0"
        self._is_large = chunked or not length.isdecimal() or int(length) > READ_AHEAD_BYTES
        self._stream.set_nodelay(True)
        self._connection.set_max_body_size(MAX_BODY_BYTES)
        self.set_body_timeout(self.body_timeout)

    @property
    def closed(self):
        return self._stream.closed()

    @property
    def started(self):
        return self._started or self.closed

    def set_close_callback(self, callback):
        self.on_close = callback
        self._connection.set_close_callback(self.client_left)

    def set_max_body_size(self, size):
        self._connection.set_max_body_size(size)

    def set_body_timeout(self, seconds):
        self.body_timeout = seconds
        self._close_later(seconds)

    def refuse_body(self):
        self.wants_body = False
        self._connection.set_max_body_size(MAX_UNWANTED_BYTES)

    def write_headers(self, start_line, headers, chunk=None):
        headers.setdefault("Date", http_date(int(time.time())))
        self._waits = not self._read and "Expect" not in self._headers and "Content-Length" in headers
        keeps = self.body_arrived or (self._waits and not self._is_large)
        if not keeps or (self._old_client and "Content-Length" not in headers):
            headers["Connection"], self._closes = "close", True
            self._headers.pop("Connection", None)  # or Tornado tells an old client that the connection is kept
        self._started = True
        self._connection.write_headers(start_line, headers, chunk)
        return self._taken()

    def write(self, chunk):
        self._connection.write(chunk)
        return self._taken()

    def finish(self):
        """Finish. If Tornado has not read the whole request, it is told later: it would close the connection at once."""
        self.finished, self.on_close = True, None
        if self._waits and not self.closed:
            self._connection.set_max_body_size(sys.maxsize)
            self._close_later(LINGER_SECONDS)
        else:
            self._finish()

    def abort(self, *, reset=False):
        if reset and not self.closed:
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.close()

    @property
    def incomplete(self):
        return self.left and not self.body_complete

    def client_left(self):
        """Tell the handler, unless it has finished."""
        self.left = True
        callback, self.on_close = self.on_close, None
        if callback is not None:
            callback()

    def body_ends(self):
        """Note that all of it was read, or that the client has left."""
        self.body_arrived = self._read = True
        self._close_later(None)
        if self.finished and self._waits:
            self._finish()

    def _finish(self):
        self._waits = False
        self._connection.finish()
        if self._closes and not self.closed:
            self._taken().add_done_callback(lambda _: self._stream.close())

    def _taken(self):
        """A future that is done when all that was written has been taken, which may be at once."""
        try:
            return self._stream.write(b"")
        except StreamClosedError as error:
            gone = Future()
            gone.set_exception(error)
            gone.exception()
            return gone

    def _close_later(self, seconds):
        if self._timer is not None:
            self._timer.cancel()
        waits = seconds is not None and not self.body_arrived
        self._timer = asyncio.get_running_loop().call_later(seconds, self._stream.close) if waits else None


class Delegate(HTTPMessageDelegate):
    """Between Tornado, which reads a request, and its handler."""

    def __init__(self, cycle, handler):
        self.cycle = cycle
        self.handler = handler

    def headers_received(self, start_line, headers):
        self.cycle.start(start_line, headers)
        return self._prepared(self.handler.headers_received(start_line, headers))

    async def _prepared(self, prepared):
        if prepared is not None:
            await prepared
        if not self.cycle.wants_body:
            self._complete()

    def data_received(self, chunk):
        return None if self.cycle.body_complete or self.cycle.finished else self.handler.data_received(chunk)

    def finish(self):
        self.cycle.body_ends()
        self._complete()

    def on_connection_close(self):
        self.cycle.body_ends()
        self.cycle.left = True
        if self.cycle.body_complete or self.cycle.finished:
            self.cycle.client_left()
        else:
            self.handler.on_connection_close()

    def _complete(self):
        if not self.cycle.body_complete:
            self.cycle.body_complete = True
            self.handler.finish()


class TornadoServer(HTTPServerConnectionDelegate):
    """What tests use of a `BridgeServer`."""

    def __init__(self, application, *, max_connections):
        self.options = SimpleNamespace(body_seconds=BODY_SECONDS)
        self._application = application
        self._server = HTTPServer(self, idle_connection_timeout=HEAD_SECONDS)
        self.add_sockets, self.stop = self._server.add_sockets, self._server.stop
        self.close_all_connections = self._server.close_all_connections

    def start_request(self, server_conn, request_conn):
        cycle = TornadoCycle(request_conn, self.options.body_seconds)
        return Delegate(cycle, self._application.start_request(server_conn, cycle))


ON_BOTH = (
    *(f"tests/handlers/dataplane/test_{name}.py" for name in ("pings", "relay", "steps")),
    *(f"tests/handlers/dataplane/services/test_{name}.py" for name in ("passthrough", "recorded")),
    "tests/handlers/test_base.py",
    "tests/handlers/api/test_control.py",
    "tests/handlers/hostile/test_echoes.py",
    "tests/limits/protection/test_mixin.py",
)
"""What runs on either server: how requests are served and stopped, how responses go out, how clients leave, and
early refusals. Tests of what a slow client may make the server hold do not: Tornado holds more."""

OWN_REFUSALS = (
    "what is not HTTP, too large or too late, Tornado refuses with a bare 400, or closes the connection without a word"
)
INSIDE = "the test looks at the connections of `http1/`"
NOT_ON_TORNADO = {
    "tests/handlers/dataplane/test_relay.py::test_nagle_is_off_during_every_request_of_a_connection": INSIDE,
    "tests/handlers/dataplane/test_pings.py::test_a_ping_that_is_not_taken_is_the_last_and_changes_no_end": INSIDE,
    "tests/handlers/dataplane/bodies/test_dataplane.py::test_a_body_whose_length_is_not_clear_is_not_relayed": OWN_REFUSALS,
    "tests/handlers/dataplane/bodies/test_dataplane.py::test_a_head_that_is_none_ends_the_connection": OWN_REFUSALS,
    "tests/handlers/api/accounts/test_changes.py::test_a_body_that_is_far_too_large_is_not_read": OWN_REFUSALS,
    **dict.fromkeys(
        (
            f"tests/handlers/hostile/test_unwanted_bodies.py::{name}"
            for name in (
                "test_a_body_of_more_than_a_few_kilobytes_is_refused_where_none_is_wanted",
                "test_a_body_that_never_comes_is_not_waited_for_without_end",
                "test_a_stranger_who_signs_in_has_less_time_for_the_body",
                "test_a_stranger_who_asks_whether_a_provider_is_there_holds_no_slot",
            )
        ),
        OWN_REFUSALS,
    ),
}
"""Tests that cannot pass on Tornado's server, with the reason: all of them in the files that it names and `ON_BOTH`."""
