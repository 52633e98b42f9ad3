"""One request and its response, as Tornado's request handlers see them."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable
from typing import Protocol

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)

from http1.errors import InvalidRequestError
from http1.headers import http_date
from http1.requests import Request
from http1.response_writer import ResponseWriter
from http1.states import (
    AWAITING_BODY,
    ENDS,
    FINISHED,
    INCOMPLETE,
    NOT_STARTED,
    RECEIVING,
    REQUEST_ENDS,
    RESPONDING,
    RESPONSE_CONTINUES,
    RESPONSE_ENDS,
    RESPONSE_STARTS,
    Event,
    State,
    next_state,
)

MAX_BODY_BYTES = 1024 * 1024
"""How large the body of a request may be, unless its handler says otherwise."""

MAX_UNWANTED_BYTES = 4096
"""How large it may be if the handler does not want it."""

SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED, FIRST_FINAL = 101, 204, 304, 200


class Connection(Protocol):
    """What a request needs of its connection. Tornado also reads `remote_ip` and `protocol`."""

    writer: ResponseWriter

    @property
    def closed(self) -> bool:
        """Whether no response can be sent any more."""

    def abort(self, *, reset: bool = False) -> None:
        """Close at once. With a reset the client cannot take it for an orderly end."""

    def restart_body_deadline(self, cycle: RequestCycle) -> None:
        """Give the body its full time to arrive, from now on."""

    def pause_reading(self) -> None:
        """Read nothing more from the client for now."""

    def resume_reading(self) -> None:
        """Read on."""

    def response_finished(self, cycle: RequestCycle) -> None:
        """Go on when the client has taken the response."""


class RequestCycle(HTTPConnection):
    """Frames a response (RFC 9112 section 6) and writes it. `http1/states.py` explains how a request ends.

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
        state: How far the request and its response are.
    """

    __slots__ = (
        "_chunked",
        "_left",
        "body_timeout",
        "context",
        "delegate",
        "keeps_connection",
        "max_body_size",
        "on_close",
        "on_refusal",
        "receiver",
        "request",
        "state",
        "wants_body",
    )
    delegate: HTTPMessageDelegate

    def __init__(self, context: Connection, request: Request, *, keeps_connection: bool, body_timeout: float) -> None:
        self.context = context
        self.request = request
        self.keeps_connection = keeps_connection
        self.max_body_size = MAX_BODY_BYTES
        self.body_timeout = body_timeout
        self.wants_body = True
        self.state: State = RECEIVING
        self.on_close: Callable[[], None] | None = None
        self.on_refusal: Callable[[InvalidRequestError], None] | None = None
        self.receiver: Callable[[bytes], None] | None = None
        self._chunked = False
        self._left: int | None = None

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
    def body_arrived(self) -> bool:
        """Whether all of the body has been read, though perhaps not been given to the handler."""
        return self.request.whole

    @property
    def awaits_body(self) -> bool:
        """Whether the handler is given what arrives of the body."""
        return self.state in AWAITING_BODY

    @property
    def incomplete(self) -> bool:
        """Whether the request stopped before the handler had all of it. Tornado does not finish such a request."""
        return self.state is INCOMPLETE

    @property
    def started(self) -> bool:
        """Whether the response has started."""
        return self.state not in NOT_STARTED

    @property
    def finished(self) -> bool:
        """Whether the handler has finished the response. The client may not have taken all of it yet."""
        return self.state in FINISHED

    @property
    def ended(self) -> bool:
        """Whether the exchange is over, also where the client left or the connection was cut: nothing more can be sent."""
        return self.state in ENDS

    def pause_reading(self) -> None:
        """Let the client wait with what it sends after a 101."""
        self.context.pause_reading()

    def resume_reading(self) -> None:
        """Let it send on."""
        self.context.resume_reading()

    def end_request(self) -> None:
        """Tell the handler that no more of the body comes."""
        self._move(REQUEST_ENDS)
        self.delegate.finish()

    def end(self, event: Event) -> None:
        """End the request. The handler is told that the client has left, unless it has finished the response.

        Args:
            event: `RESPONSE_READ`, `SERVER_REFUSES` or `CONNECTION_LOST`.
        """
        before = self.state
        self._move(event)
        if before in AWAITING_BODY:
            self.delegate.on_connection_close()
        elif before not in FINISHED and self.on_close is not None:
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
            HTTPOutputError: The piece is longer than `Content-Length` says.
            InvalidTransitionError: The response has started before.
        """
        assert isinstance(start_line, ResponseStartLine)  # noqa: S101 - a server sends responses
        if start_line.code == SWITCHING_PROTOCOLS:
            self.keeps_connection = False
            self._move(RESPONSE_STARTS)
            return self.context.writer.write(_encode_head(start_line, headers) + (chunk or b""))
        code, request_line = start_line.code, self.request.start_line
        has_body = code >= FIRST_FINAL and code not in {NO_CONTENT, NOT_MODIFIED} and request_line.method != "HEAD"
        length = headers.get("Content-Length")
        if has_body and length is None:
            self._chunked = request_line.version == "HTTP/1.1"
            self.keeps_connection &= self._chunked
        self._left = (None if length is None else int(length)) if has_body else 0
        self.keeps_connection &= self.request.whole and headers.get("Connection", "").lower() != "close"
        if self._chunked:
            headers["Transfer-Encoding"] = "chunked"
        if not self.keeps_connection:
            headers["Connection"] = "close"
        elif request_line.version == "HTTP/1.0":
            headers["Connection"] = "Keep-Alive"
        if "Date" not in headers:
            headers["Date"] = http_date(int(time.time()))
        head = _encode_head(start_line, headers)
        self._move(RESPONSE_STARTS)
        return self.context.writer.write(head + self._frame(chunk) if chunk else head)

    def write(self, chunk: bytes) -> Future[None]:
        """Write a piece of the body.

        Returns:
            A future that is done when the client has taken it, which may be at once.

        Raises:
            HTTPOutputError: It is longer than `Content-Length` says.
            InvalidTransitionError: The response has not started, or is finished.
        """
        if self.state is not RESPONDING:  # where it stays
            self._move(RESPONSE_CONTINUES)
        return self.context.writer.write(self._frame(chunk) if chunk else chunk)

    def finish(self) -> None:
        """Finish the response. If the body of the request has not arrived, the handler does not wait for it any more.

        Raises:
            HTTPOutputError: The body is shorter than `Content-Length` says.
            InvalidTransitionError: The response has not started, or is finished.
        """
        if self._left and not self.closed:
            self.context.abort()
            raise HTTPOutputError(f"{self._left} bytes less than Content-Length says")
        early = self.awaits_body
        self._move(RESPONSE_ENDS)
        if self._chunked:
            self.context.writer.write(b"0\r\n\r\n")
        self.on_close = self.on_refusal = None
        if early:
            self.delegate.finish()
        self.context.response_finished(self)

    def abort(self, *, reset: bool = False) -> None:
        """Close the connection at once, in the middle of the response; see `Connection.abort`."""
        if not self.closed:
            self.context.abort(reset=reset)

    def _move(self, event: Event) -> None:
        self.state = next_state(self.state, event)

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
