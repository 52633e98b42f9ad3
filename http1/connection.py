"""One connection of a client. Its requests are answered one after the other."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tornado.httputil import HTTPInputError, HTTPMessageDelegate, HTTPServerRequest

from deadline import Deadline
from http1.request_cycle import RequestCycle, ResponseWriter
from http1.requests import BODY_TOO_SLOW, HEAD_TOO_SLOW, MalformedRequestError, Request, Requests
from intercept.refusals import Rule

READ_AHEAD_BYTES = 64 * 1024
"""How much is buffered of a body that the handler does not take yet, and of the requests after the current one."""
LINGER_BYTES = 256 * 1024 * 1024
"""How much is read and discarded after a response that was finished before its request had arrived."""
LINGER_SECONDS = 30.0
"""For how long that is done."""

_RESET = struct.pack("ii", 1, 0)


@dataclass(kw_only=True, slots=True)
class Options:
    """What the connections of a server share. They read it at each use, so it may change while connections are open.

    Attributes:
        find_handler: Returns the handler of a request.
        on_refusal: Called for each request that a connection refuses by itself, with the reason and the client's address.
        idle_seconds: How long a connection may wait for the complete head of a request.
        body_seconds: How long a body may take to arrive, unless its handler says otherwise.
        retiring: Whether the next response on each connection is its last one.
    """

    find_handler: Callable[[HTTPServerRequest], HTTPMessageDelegate]
    on_refusal: Callable[[MalformedRequestError, str], None]
    idle_seconds: float
    body_seconds: float
    retiring: bool = False


class ClientConnection(asyncio.Protocol):
    """Reads requests and passes them to their handlers. Each has a `RequestCycle`, through which its handler responds.

    When a response is finished before its request has arrived, or the client did not wait for it, it is the last one. The
    connection is then closed for writing only, and for a while what the client still sends is discarded. Closing it with
    unread bytes would reset it, and the client would lose the response (RFC 9112 section 9.6).

    Attributes:
        protocol: The scheme, for Tornado.
        writer: Takes what is written to the client.
        opened: Whether the connection was ever open.
        parse_error: What is wrong with the bytes that arrived last.
    """

    protocol = "http"
    writer: ResponseWriter
    _transport: asyncio.Transport

    def __init__(
        self,
        options: Options,
        raw: socket.socket,
        remote_ip: str,
        *,
        on_open: Callable[[ClientConnection], None],
        on_close: Callable[[ClientConnection], None],
    ) -> None:
        self.socket = raw
        self.remote_ip = remote_ip
        self.opened = False
        self._options = options
        self._on_open = on_open
        self._on_close = on_close
        self._loop = loop = asyncio.get_running_loop()
        self._requests = Requests()
        self.parse_error: MalformedRequestError | None = None
        self._cycle: RequestCycle | None = None
        self._reading_paused = False
        self._linger_bytes = 0
        self._idle_since = 0.0
        self._idle_deadline = Deadline(loop, self.check_idle)
        self._body_deadline = Deadline(loop, self._refuse_late_body)

    @property
    def closed(self) -> bool:
        """Whether no response can be sent any more: the connection is closed by either side, or about to be."""
        return self.writer.ended or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self.opened = True
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self.writer = ResponseWriter(self._transport)
        if transport.get_extra_info("ssl_object") is not None:
            self.protocol = "https"
            # TLS pauses at this many bytes already, others above it: at 0 it would pause with nothing to wait for.
            self._transport.set_write_buffer_limits(1, 0)
        else:
            self._transport.set_write_buffer_limits(0)
        self._restart_idle_deadline()
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self.writer.ended:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self._transport.abort()
            return
        if self._cycle is not None and self._cycle.receiver is not None:
            self._cycle.receiver(data)
            return
        if self.parse_error is not None:
            return
        try:
            self._requests.feed(data)
        except MalformedRequestError as error:
            self.parse_error = error
        if self._cycle is None:
            self._start_next()
        else:
            self._cycle.go_on()
        if self._requests.buffered_bytes > READ_AHEAD_BYTES:
            self.pause_reading()

    def eof_received(self) -> None:
        """Close: a client that sends no more has left. What was written before is still sent."""
        if not self.writer.ended:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason makes no difference
        """Tell the handler, and all that wait for the client."""
        self._idle_deadline.close()
        self._body_deadline.close()
        self._requests.release()
        self._on_close(self)
        self.writer.wake_waiters()
        if (cycle := self._release_cycle()) is not None:
            cycle.end()

    def pause_writing(self) -> None:
        """Note that the client has not taken all that was written."""
        self.writer.drained = False

    def resume_writing(self) -> None:
        """Note that it has."""
        self.writer.drained = True
        self.writer.wake_waiters()
        if self._cycle is not None and self._cycle.finished:
            self._end_cycle()

    def response_finished(self, cycle: RequestCycle) -> None:
        """Go on to the next request as soon as the client has taken the response."""
        if cycle is not self._cycle:
            return
        self._body_deadline.lift()
        if self.writer.drained:
            self._end_cycle()
        else:
            self._restart_idle_deadline()

    def pause_reading(self) -> None:
        """Read nothing more for now."""
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def resume_with_room(self) -> None:
        """Read on, unless as much is buffered as may be."""
        if self._reading_paused and self._requests.buffered_bytes <= READ_AHEAD_BYTES:
            self.resume_reading()

    def body_ended(self) -> None:
        """Wait no longer for the body."""
        self._body_deadline.lift()

    def abort(self, *, reset: bool = False) -> None:
        """Close at once. With a reset the client cannot take it for an orderly end."""
        if reset and not self._transport.is_closing():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def check_idle(self) -> None:
        """Close if the client has been waited for too long: for the head of a request, or to take a finished response.

        A client that has sent a part of a head is told so.
        """
        if self._cycle is not None and not self._cycle.finished:
            return
        until = self._idle_since + self._options.idle_seconds
        if self._loop.time() < until and not self.writer.ended:
            self._idle_deadline.move(until)
        elif self._requests.head_bytes and not self.closed:
            self.refuse(MalformedRequestError(HEAD_TOO_SLOW.format(self._options.idle_seconds), Rule.LATE_HEAD))
            self._transport.close()
        else:
            self.abort()

    def restart_body_deadline(self, cycle: RequestCycle) -> None:
        """Give the body its full time to arrive, from now on."""
        if not cycle.request.whole and cycle.awaits_body:
            self._body_deadline.move(self._loop.time() + cycle.body_timeout)

    def _refuse_late_body(self) -> None:
        cycle = self._cycle
        if cycle is not None and cycle.awaits_body and not cycle.request.whole:
            self.refuse(MalformedRequestError(BODY_TOO_SLOW.format(cycle.body_timeout), Rule.LATE_BODY))

    def _restart_idle_deadline(self) -> None:
        self._idle_since = self._loop.time()
        self._idle_deadline.move(self._idle_since + self._options.idle_seconds)

    def _start_next(self) -> None:
        """Start with the next request, if its head has arrived."""
        if self._cycle is not None or self.closed:
            return
        if self._requests.request is not None:
            self._start(self._requests.request)
        elif self.parse_error is not None:
            self.refuse(self.parse_error)

    def _start(self, request: Request) -> None:
        cycle = RequestCycle(
            self,
            request,
            keeps_connection=request.keeps_connection and not self._options.retiring,
            body_timeout=self._options.body_seconds,
        )
        try:
            http_request = HTTPServerRequest(connection=cycle, start_line=request.start_line, headers=request.headers)
            cycle.delegate = self._options.find_handler(http_request)
        except HTTPInputError as error:
            self.refuse(MalformedRequestError(str(error)))
            return
        self._cycle = cycle
        self.restart_body_deadline(cycle)
        cycle.begin()

    def _release_cycle(self) -> RequestCycle | None:
        cycle, self._cycle = self._cycle, None
        return cycle

    def _end_cycle(self) -> None:
        """Go on to the next request, or close: the client has taken the whole response."""
        if (cycle := self._release_cycle()) is None:
            return
        cycle.end()
        if self.closed:
            return
        if cycle.request.followed or not cycle.request.whole:
            self._linger()
            return
        if not cycle.keeps_connection:
            self._transport.close()
            return
        try:
            self._requests.next()
        except MalformedRequestError as error:
            self.parse_error = error
        self.resume_with_room()
        self._restart_idle_deadline()
        if self._requests.request is not None or self.parse_error is not None:
            self._loop.call_soon(self._start_next)

    def refuse(self, error: MalformedRequestError) -> None:
        """Respond in the place of a handler, and close. If a response has started, there is no room for another one."""
        cycle = self._cycle
        if cycle is not None and cycle.started:
            self.abort(reset=cycle.request.start_line.version == "HTTP/1.0")
            return
        if cycle is not None and cycle.on_refusal is not None:
            cycle.on_refusal(error)
        else:
            self._options.on_refusal(error, self.remote_ip)
        self.writer.write(error.response(int(time.time())))
        self._release_cycle()
        self._linger()
        if cycle is not None:
            cycle.end()

    def _linger(self) -> None:
        """Close for writing, and discard what arrives until the client closes too."""
        self._body_deadline.lift()
        self._requests.release()
        self._requests = Requests()
        self._linger_bytes = LINGER_BYTES
        self.writer.end()
        self._idle_deadline.move(self._loop.time() + LINGER_SECONDS)
        self.resume_with_room()
