"""One request and its response, as Tornado's request handlers see them.

Two sides act on a request at the same time. The client sends its body, and the handler sends the response. Neither waits for
the other: a handler may respond before the body is there, and a client may leave at any moment. So four facts are kept:

- `awaits_body`: the handler still waits for more of the body. It does until it is told that nothing more comes, because the
  client has sent all of it, because it wants none, or because it has finished the response.
- `begun` and `finished`: how far the response is.
- `ended`: the exchange is over, in one of four ways. The client has taken the whole response; or the connection was lost after
  the response was finished; or, before that, the connection was lost or the server itself responded, as the body was too large,
  too slow or not HTTP. The server can do so only until the response has begun.

The handler is told of an end before it has finished the response, in the same way whatever the reason. It has to know whether
it had all of the body (`incomplete`), because Tornado calls no method of a handler whose request is incomplete, and does not
finish it. A handler that was told may not have noticed yet: what it writes then goes nowhere, and is no error. Once it has
finished the response, writing is an error: the next request of the connection may have begun, and its response must not get
foreign bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from http1.requests import BODY_TOO_LARGE, MalformedRequestError, Request, http_date
from intercept.refusals import Rule

if TYPE_CHECKING:
    from http1.connection import ClientConnection

MAX_BODY_BYTES = 1024 * 1024
"""How large the body of a request may be, unless its handler says otherwise."""

MAX_UNWANTED_BYTES = 4096
"""How large it may be if the handler does not want it."""

OUT_OF_ORDER = "the response has not begun, has begun before, or is finished"
SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED, FIRST_FINAL = 101, 204, 304, 200
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

logger = logging.getLogger(__name__)


class RequestCycle(HTTPConnection):
    """Gives the body of a request to its handler, frames the response (RFC 9112 section 6) and writes it.

    Args:
        keeps_connection: Whether the connection may stay open after the response.
        body_timeout: How long the body may take to arrive, in seconds, unless the handler says otherwise.

    Attributes:
        delegate: The handler, for Tornado: it is given the body, and told when the client leaves.
        max_body_size: How large the body of the request may be, in bytes.
        body_timeout: How long it may take to arrive, in seconds.
        wants_body: Whether the handler wants it.
        on_refusal: Called in place of the server's callback if the connection refuses the request. The handler sets it.
        receiver: Called with what the client sends after a 101. The handler sets it before it writes the head.
        awaits_body: Whether the handler is given what arrives of the body.
        begun: Whether the handler has begun the response.
        finished: Whether it has finished it. The client may not have taken all of it yet.
        ended: Whether the exchange is over, also where the client left or the connection was cut: nothing more can be sent.
        incomplete: Whether the request stopped before the handler had all of it. Tornado does not finish such a request.
    """

    __slots__ = (
        "_chunked",
        "_left",
        "_received_bytes",
        "_step",
        "awaits_body",
        "begun",
        "body_timeout",
        "context",
        "delegate",
        "ended",
        "finished",
        "incomplete",
        "keeps_connection",
        "max_body_size",
        "on_close",
        "on_refusal",
        "receiver",
        "request",
        "wants_body",
    )
    delegate: HTTPMessageDelegate

    def __init__(
        self, context: ClientConnection, request: Request, *, keeps_connection: bool, body_timeout: float
    ) -> None:
        self.context = context
        self.request = request
        self.keeps_connection = keeps_connection
        self.max_body_size = MAX_BODY_BYTES
        self.body_timeout = body_timeout
        self.wants_body = True
        self.awaits_body = True
        self.begun = self.finished = self.ended = self.incomplete = False
        self.on_close: Callable[[], None] | None = None
        self.on_refusal: Callable[[MalformedRequestError], None] | None = None
        self.receiver: Callable[[bytes], None] | None = None
        self._chunked = False
        self._left: int | None = None
        self._received_bytes = 0
        self._step: Future[None] | None = None
        """What the handler does before it can be given more."""

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set what is called if the client leaves before the response is finished."""
        self.on_close = callback

    def set_max_body_size(self, size: int) -> None:
        """Limit the body of the request, in bytes."""
        self.max_body_size = size

    def set_body_timeout(self, seconds: float) -> None:
        """Limit the time until all of it has arrived, from now on."""
        self.body_timeout = seconds
        self.context.restart_body_deadline(self)

    def refuse_body(self) -> None:
        """Do not wait for a body. A small one is discarded, a larger one is refused."""
        self.wants_body = False
        self.max_body_size = MAX_UNWANTED_BYTES

    @property
    def closed(self) -> bool:
        """Whether no response can be sent any more: the client has left, or the server has closed the connection."""
        return self.context.closed

    @property
    def started(self) -> bool:
        """Whether a response can no longer be started: one has begun, or the exchange is over."""
        return self.begun or self.ended

    def pause_reading(self) -> None:
        """Let the client wait with what it sends after a 101."""
        self.context.pause_reading()

    def resume_reading(self) -> None:
        """Let it send on."""
        self.context.resume_reading()

    def begin(self) -> None:
        """Give the handler the head, then what has arrived of the body."""
        request = self.request
        self._go_on_after(self.delegate.headers_received(request.start_line, request.headers), self._begin_body)

    def go_on(self) -> None:
        """Give the handler what has arrived since, unless it is busy: then it gets it later."""
        if self._step is None:
            self._deliver()

    def end(self) -> None:
        """End the exchange. The handler is told that the client has left, unless it has finished the response."""
        self.ended = True
        if self.awaits_body:
            self.awaits_body, self.incomplete = False, True
            self.delegate.on_connection_close()
        elif not self.finished and self.on_close is not None:
            self.on_close()
        self.on_refusal = None
        del self.delegate  # it refers back

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Future[None]:
        """Write the head of the response, and a first piece of its body.

        After a 101 everything is sent as it is, until the response is finished (RFC 9110 section 15.2.2); then the connection
        is closed. Else a body of unknown length is sent in chunks. For an HTTP/1.0 client it ends with the connection.
        The connection is also closed after the response if there is a header `Connection: close`, or if the request has
        not arrived yet. A missing `Date` is added (RFC 9110 section 6.6.1).

        Raises:
            ValueError: A header contains a line end, NUL or a character that is not Latin-1.
            HTTPOutputError: The piece is longer than `Content-Length` says, or the response has begun before.
        """
        assert isinstance(start_line, ResponseStartLine)  # noqa: S101 - a server sends responses
        if start_line.code == SWITCHING_PROTOCOLS:
            self.keeps_connection = False
            self._begin_response()
            return self.context.writer.write(_encode_head(start_line, headers) + (chunk or b""))
        code, request_line = start_line.code, self.request.start_line
        has_body = code >= FIRST_FINAL and code not in {NO_CONTENT, NOT_MODIFIED} and request_line.method != "HEAD"
        length = headers.get("Content-Length")
        if has_body and length is None:
            self._chunked = request_line.version == "HTTP/1.1"
            self.keeps_connection &= self._chunked
        self._left = (None if length is None else int(length)) if has_body else 0
        may_keep = self.request.whole and self.request.keeps_connection
        self.keeps_connection &= may_keep and headers.get("Connection", "").lower() != "close"
        if self._chunked:
            headers["Transfer-Encoding"] = "chunked"
        if not self.keeps_connection:
            headers["Connection"] = "close"
        elif request_line.version == "HTTP/1.0":
            headers["Connection"] = "Keep-Alive"
        if "Date" not in headers:
            headers["Date"] = http_date(int(time.time()))
        head = _encode_head(start_line, headers)
        self._begin_response()
        return self.context.writer.write(head + self._frame(chunk) if chunk else head)

    def write(self, chunk: bytes) -> Future[None]:
        """Write a piece of the body.

        Returns:
            A future that is done when the client has taken it, which may be at once.

        Raises:
            HTTPOutputError: It is longer than `Content-Length` says, or the response has not begun, or is finished.
        """
        if self.finished or not (self.begun or self.ended):
            raise HTTPOutputError(OUT_OF_ORDER)
        return self.context.writer.write(self._frame(chunk) if chunk else chunk)

    def finish(self) -> None:
        """Finish the response. If the body of the request has not arrived, the handler does not wait for it any more.

        Raises:
            HTTPOutputError: The body is shorter than `Content-Length` says, or has not begun, or is finished.
        """
        if self.finished or not self.started:
            raise HTTPOutputError(OUT_OF_ORDER)
        if self.ended:
            return
        if self._left and not self.closed:
            self.context.abort()
            raise HTTPOutputError(f"{self._left} bytes less than Content-Length says")
        self.finished = True
        if self._chunked:
            self.context.writer.write(b"0\r\n\r\n")
        self.on_close = self.on_refusal = None
        self._end_body()
        self.context.response_finished(self)

    def abort(self, *, reset: bool = False) -> None:
        """Close the connection at once, in the middle of the response; see `Connection.abort`."""
        if not self.closed:
            self.context.abort(reset=reset)

    def _begin_response(self) -> None:
        if self.finished or (self.begun and not self.ended):
            raise HTTPOutputError(OUT_OF_ORDER)
        self.begun = True

    def _begin_body(self) -> None:
        """Begin with the body, now that the handler has said whether it wants one and how large it may be."""
        request = self.request
        if request.declared_bytes > self.max_body_size:
            self._refuse_large_body()
            return
        if not self.wants_body:
            self._end_body()
        elif not request.whole and not self.started and request.expects_continue:
            self.context.writer.write(_CONTINUE)
        self._deliver()

    def _deliver(self) -> None:
        """Pass on what has arrived, or discard it if the handler does not want it."""
        request, connection = self.request, self.context
        if request.size:
            piece = request.read_buffered()
            self._received_bytes += len(piece)
            if self._received_bytes > self.max_body_size:
                self._refuse_large_body()
                return
            connection.resume_with_room()
            if self.awaits_body and (delivered := self.delegate.data_received(piece)) is not None:
                self._go_on_after(delivered, self._deliver)
                return
        if not self.awaits_body:
            return
        if request.whole:
            self._end_body()
        elif connection.parse_error is not None:
            connection.refuse(connection.parse_error)

    def _end_body(self) -> None:
        """Tell the handler that no more of the body comes, unless it knows."""
        if self.awaits_body:
            self.awaits_body = False
            self.context.body_ended()
            self.delegate.finish()

    def _refuse_large_body(self) -> None:
        self.context.refuse(MalformedRequestError(BODY_TOO_LARGE.format(self.max_body_size), Rule.BODY_TOO_LARGE))

    def _go_on_after(self, step: Awaitable[None] | None, then: Callable[[], None]) -> None:
        """Deliver no more until the handler has finished a step."""
        if step is None:
            then()
            return
        self._step = asyncio.ensure_future(step)  # noqa: TID251 - its callback sees what it raised
        self._step.add_done_callback(lambda done: self._continue(done, then))

    def _continue(self, done: Future[Any], then: Callable[[], None]) -> None:
        self._step = None
        try:
            done.result()
            if not self.ended and not self.closed:
                then()
        except (Exception, asyncio.CancelledError):
            logger.exception("unforeseen error")
            self.context.abort()

    def _frame(self, piece: bytes) -> bytes:
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                self.context.abort()
                raise HTTPOutputError("more than Content-Length says")
        return piece


def _encode_head(start_line: ResponseStartLine, headers: HTTPHeaders) -> bytes:
    lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.get_all()]
    head = "\r\n".join([*lines, "", ""])
    if not head.count("\r") == head.count("\n") == len(lines) + 1 or "\0" in head:
        raise ValueError("a line end or NUL within a line of the head of a response")
    return head.encode("latin-1")


class ResponseWriter:
    """The writing half of one connection, with flow control.

    What the client does not take at once is buffered in the transport. Whoever writes has to wait for the client before
    writing more, or the buffer grows.

    Args:
        transport: Takes the bytes. It must call `pause_writing` as soon as it buffers any of them.

    Attributes:
        drained: Whether the client has taken all that was written.
        ended: Whether nothing more may be written.
    """

    __slots__ = ("_done", "_loop", "_transport", "_waiters", "drained", "ended")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self.drained = True
        self.ended = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiters: list[Future[None]] = []
        self._done: Future[None] = self._loop.create_future()
        self._done.set_result(None)

    def write(self, data: bytes) -> Future[None]:
        """Send bytes.

        Returns:
            A future that is done when the client has taken them, which may be at once. It fails with `StreamClosedError`
            if the client has left, or if nothing more may be written.
        """
        if self.ended:
            return _failed(self._loop.create_future())
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._transport.is_closing():
            return _failed(self._loop.create_future())
        if self.drained:
            return self._done
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def end(self) -> None:
        """Send what is buffered, then close the writing half of the connection. Every later write fails.

        TLS has no such half: there the whole connection is closed.
        """
        self.ended = True
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def wake_waiters(self) -> None:
        """Complete the futures of all writes: the client has taken everything, or has left."""
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if future.done():  # whoever waited for it was cancelled
                continue
            if self._transport.is_closing():
                _failed(future)
            else:
                future.set_result(None)


def _failed(future: Future[None]) -> Future[None]:
    future.set_exception(StreamClosedError())
    future.exception()  # nobody has to retrieve it
    return future
