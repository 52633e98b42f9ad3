"""One connection of a client: its requests are answered one behind the other."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from asyncio import Future
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import responses
from typing import Any, cast

import msgspec
from tornado.httputil import HTTPInputError, HTTPMessageDelegate, HTTPServerRequest

from http1.deadline import Deadline
from http1.errors import InvalidRequestError
from http1.exchange import Exchange
from http1.headers import http_date
from http1.heads import UnfinishedHeads
from http1.outlet import Outlet
from http1.requests import Request, Requests
from http1.states import Event
from intercept.refusals import Rule
from intercept.scrub import scrub_quoted

READ_AHEAD_BYTES = 64 * 1024
"""What is read of a body that nobody has taken yet, or of requests behind the one that is answered."""
LINGER_BYTES = 256 * 1024 * 1024
"""What is read and thrown away behind an answer that came before its request was whole."""
LINGER_SECONDS = 30.0
"""For how long."""

UNREADABLE = "The request cannot be read: {}."
BODY_TOO_LARGE = "its body is larger than {} bytes"
HEAD_TOO_SLOW = "its head did not come whole within {:g} seconds"
BODY_TOO_SLOW = "its body did not come whole within {:g} seconds"
HEADS_TOO_LARGE = "too many requests are begun and not whole"

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Options:
    """What a server has for all of its connections. Each reads it anew every time, so it may change while they are open.

    Attributes:
        find_handler: Who is told of a request, and answers it.
        on_open: What is called when a connection is there.
        on_close: What is called when it is gone.
        on_refusal: What is called for each request that a connection refuses by itself, with the reason and the address
            of who is at the other end.
        heads: What all of them hold of heads that are not whole.
        idle_seconds: How long a connection may be without a whole head of a request.
        body_seconds: How long a body may take to arrive, unless its handler says otherwise.
        retiring: Whether the next answer on each connection is its last.
    """

    find_handler: Callable[[HTTPServerRequest], HTTPMessageDelegate]
    on_open: Callable[[ClientConnection], None]
    on_close: Callable[[ClientConnection], None]
    on_refusal: Callable[[InvalidRequestError, str], None]
    heads: UnfinishedHeads
    idle_seconds: float
    body_seconds: float
    retiring: bool = False


class ClientConnection(asyncio.Protocol):
    """Reads requests and hands them to the application, which answers through an `Exchange` for each.

    An answer that comes before its request is whole is the last one: the connection is closed for writing, and what the
    client still sends is thrown away for a while. Closing it on unread bytes would reset it, and the client would lose the
    answer (RFC 9112 section 9.6).

    Args:
        options: What it has in common with others.
        raw: The socket.
        remote_ip: Where the client is.

    Attributes:
        protocol: The scheme, for Tornado.
        outlet: Takes what is answered.
        made: Whether the connection was ever there.
    """

    protocol = "http"
    outlet: Outlet
    _transport: asyncio.Transport

    def __init__(self, options: Options, raw: socket.socket, remote_ip: str) -> None:
        self.socket = raw
        self.remote_ip = remote_ip
        self.made = False
        self._options = options
        self._loop = loop = asyncio.get_running_loop()
        self._requests = Requests()
        self._invalid: InvalidRequestError | None = None
        self._exchange: Exchange | None = None
        self._held_back = False
        self._head_bytes = 0
        self._linger_bytes = 0
        self._idle_since = 0.0
        self._idle_deadline = Deadline(loop, self.look)
        self._body_deadline = Deadline(loop, self._refuse_late_body)

    @property
    def closed(self) -> bool:
        """Whether nothing more can be answered on it: it is closed, by whichever side, or about to be."""
        return self.outlet.ended or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self.made = True
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._transport.set_write_buffer_limits(0)
        self.outlet = Outlet(self._transport)
        self._rest()
        self._options.on_open(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.outlet.ended:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self._transport.abort()
            return
        if self._invalid is not None:
            return
        try:
            self._requests.feed(data)
        except InvalidRequestError as error:
            self._invalid = error
        if self._exchange is None:
            self._note_head()
            self._begin_next()
        elif self._exchange.step is None:
            self._deliver(self._exchange)
        if not self._held_back and self._ahead > READ_AHEAD_BYTES:
            self._held_back = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Close: who says that nothing more comes has left. What it was answered is sent before."""
        if not self.outlet.ended:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why makes no difference
        """Tell who writes and who reads."""
        self._idle_deadline.close()
        self._body_deadline.close()
        self._options.heads.note(self, 0)
        self._options.on_close(self)
        self.outlet.settle()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end(Event.CONNECTION_LOST)

    def pause_writing(self) -> None:
        """The client does not take what it was sent."""
        self.outlet.free = False

    def resume_writing(self) -> None:
        """It has taken all."""
        self.outlet.free = True
        self.outlet.settle()
        if self._exchange is not None and self._exchange.finished:
            self._end()

    def answered(self, exchange: Exchange) -> None:
        """The answer to the request under way is complete."""
        if exchange is not self._exchange:
            return
        self._body_deadline.cancel()
        if self.outlet.free:
            self._end()
        else:
            self._rest()

    def abort(self, *, reset: bool = False) -> None:
        """Close at once; with a reset, so that the client cannot take it for an orderly end."""
        if reset and not self._transport.is_closing():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def look(self) -> None:
        """Close if there is still no whole head of a request, or an answer is still not taken; else look again later.

        Who has sent a part of a head is told; it is waited for no longer.
        """
        if self._exchange is not None and not self._exchange.finished:
            return
        until = self._idle_since + self._options.idle_seconds
        if self._loop.time() < until and not self.outlet.ended:
            self._idle_deadline.move(until)
        elif self._head_bytes and not self.closed:
            self._refuse(InvalidRequestError(HEAD_TOO_SLOW.format(self._options.idle_seconds), Rule.LATE_HEAD))
            self._transport.close()
        else:
            self.abort()

    def refuse_head(self) -> None:
        """Give up the head that is on its way."""
        self._refuse(InvalidRequestError(HEADS_TOO_LARGE, Rule.TOO_MANY_HEADS))

    def wait_for_body(self, exchange: Exchange) -> None:
        """Bound the wait for a body anew."""
        if not exchange.awaits_body or exchange.request.whole:
            return
        self._body_deadline.move(self._loop.time() + exchange.body_timeout)

    def _refuse_late_body(self) -> None:
        """Refuse the request whose body is still not whole."""
        exchange = self._exchange
        if exchange is not None and exchange.awaits_body and not exchange.request.whole:
            self._refuse(InvalidRequestError(BODY_TOO_SLOW.format(exchange.body_timeout), Rule.LATE_BODY))

    @property
    def _ahead(self) -> int:
        """Bytes that were read and that nobody has taken yet."""
        request = self._requests.request
        return len(self._requests.unread) + (0 if request is None else request.size)

    def _note_head(self) -> None:
        size = self._requests.head_bytes
        if size != self._head_bytes:
            self._head_bytes = size
            self._options.heads.note(self, size)

    def _rest(self) -> None:
        self._idle_since = self._loop.time()
        self._idle_deadline.move(self._idle_since + self._options.idle_seconds)

    def _begin_next(self) -> None:
        """Begin with the request that came next, if there is one."""
        if self._exchange is not None or self.closed:
            return
        if self._requests.request is not None:
            self._begin(self._requests.request)
        elif self._invalid is not None:
            self._refuse(self._invalid)

    def _begin(self, request: Request) -> None:
        exchange = Exchange(
            self,
            request,
            keeps_connection=request.keeps_connection and not self._options.retiring,
            body_timeout=self._options.body_seconds,
        )
        try:
            asked = HTTPServerRequest(connection=exchange, start_line=request.start_line, headers=request.headers)
            exchange.delegate = self._options.find_handler(asked)
        except HTTPInputError as error:
            self._refuse(InvalidRequestError(str(error)))
            return
        self._exchange = exchange
        self.wait_for_body(exchange)
        prepared = exchange.delegate.headers_received(request.start_line, request.headers)
        if prepared is None:
            self._prepared(exchange)
        else:
            self._go_on_after(prepared, exchange, self._prepared)

    def _prepared(self, exchange: Exchange) -> None:
        """Bring the body to the handler, if it is known by now to want it."""
        request = exchange.request
        if request.declared_bytes > exchange.max_body_size:
            self._refuse_body(exchange)
            return
        if not exchange.takes_body:
            self._end_request(exchange)
        elif not request.whole and exchange.unanswered and request.headers.get("Expect", "").lower() == "100-continue":
            self.outlet.write(_CONTINUE)
        self._deliver(exchange)

    def _deliver(self, exchange: Exchange) -> None:
        """Hand over what has come of the body; throw away what nobody wants."""
        request = exchange.request
        if request.size:
            piece = request.take()
            exchange.received += len(piece)
            if exchange.received > exchange.max_body_size:
                self._refuse_body(exchange)
                return
            self._read_on()
            if exchange.awaits_body and (delivered := exchange.delegate.data_received(piece)) is not None:
                self._go_on_after(delivered, exchange, self._deliver)
                return
        if not exchange.awaits_body:
            return
        if request.whole:
            self._end_request(exchange)
        elif self._invalid is not None:
            self._refuse(self._invalid)

    def _end_request(self, exchange: Exchange) -> None:
        """Tell the handler that nothing more of the body comes, unless it knows."""
        if exchange.awaits_body:
            self._body_deadline.cancel()
            exchange.end_request()

    def _go_on_after(self, step: Awaitable[None], exchange: Exchange, then: Callable[[Exchange], None]) -> None:
        """Deliver nothing until the handler has taken a step."""
        exchange.step = asyncio.ensure_future(step)  # noqa: TID251 - its callback sees what it raised
        exchange.step.add_done_callback(lambda done: self._go_on(done, exchange, then))

    def _go_on(self, done: Future[Any], exchange: Exchange, then: Callable[[Exchange], None]) -> None:
        exchange.step = None
        try:
            done.result()
            if self._exchange is exchange and not self.closed:
                then(exchange)
        except (Exception, asyncio.CancelledError):
            logger.exception("unforeseen error")
            self.abort()

    def _end(self) -> None:
        """The client has all of the answer: on to the next request, or close."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.end(Event.CONNECTION_LOST if self.closed else Event.RESPONSE_TAKEN)
        if self.closed:
            return
        if not exchange.request.whole:
            self._linger()
            return
        if not exchange.keeps_connection:
            self._transport.close()
            return
        try:
            self._requests.next()
        except InvalidRequestError as error:
            self._invalid = error
        self._note_head()
        self._read_on()
        self._rest()
        if self._requests.request is not None or self._invalid is not None:
            self._loop.call_soon(self._begin_next)

    def _read_on(self) -> None:
        if self._held_back and self._ahead <= READ_AHEAD_BYTES:
            self._held_back = False
            self._transport.resume_reading()

    def _refuse_body(self, exchange: Exchange) -> None:
        self._refuse(InvalidRequestError(BODY_TOO_LARGE.format(exchange.max_body_size), Rule.BODY_TOO_LARGE))

    def _refuse(self, error: InvalidRequestError) -> None:
        """Answer what no handler was asked, and close. Where an answer has begun there is no room for another."""
        exchange = self._exchange
        if exchange is not None and not exchange.unanswered:
            self.abort(reset=exchange.request.start_line.version == "HTTP/1.0")
            return
        if exchange is not None and exchange.on_refusal is not None:
            exchange.on_refusal(error)
        else:
            self._options.on_refusal(error, self.remote_ip)
        body = msgspec.json.encode({"message": scrub_quoted(UNREADABLE.format(error))})
        head = (
            f"HTTP/1.1 {error.status} {responses[error.status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\nDate: {http_date(int(time.time()))}\r\n\r\n"
        )
        self.outlet.write(head.encode() + body)
        self._exchange = None
        self._linger()
        if exchange is not None:
            exchange.end(Event.SERVER_REFUSES)

    def _linger(self) -> None:
        """Close for writing, and throw away what comes until the client closes too."""
        self._body_deadline.cancel()
        self._requests = Requests()
        self._note_head()
        self._linger_bytes = LINGER_BYTES
        self.outlet.end()
        self._idle_deadline.move(self._loop.time() + LINGER_SECONDS)
        self._read_on()
