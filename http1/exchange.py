"""One request and its answer, as Tornado's request handlers see them."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from http1.connection import ClientConnection

MAX_BODY_BYTES = 1024 * 1024
"""The most that a request's body may have, unless its handler says otherwise."""

MAX_UNWANTED_BYTES = 4096
"""The most that the body of a request may have whose handler wants none."""

NO_CONTENT, NOT_MODIFIED, FIRST_FINAL = 204, 304, 200


class Exchange(HTTPConnection):
    """Frames an answer (RFC 9112 section 6) and writes it. What waits for the client to take it is a future.

    Args:
        context: The connection.
        request: What is answered.
        keeps_connection: Whether the connection may stay open behind the answer.
        body_timeout: How long the body may take to arrive, in seconds, unless the handler says otherwise.

    Attributes:
        delegate: Who is told of the body and of the client's leaving.
        max_body_size: The most that the body of the request may have, in bytes.
        body_timeout: How long it may take to arrive, in seconds.
        takes_body: Whether the handler is given the body, and waits for it.
        prepared: Whether the handler wants the body.
        step: What it does before it can be told more; None when nothing.
        received: How much of it has arrived.
        told: Whether the delegate knows that nothing more of it comes.
        begun: Whether some of the answer was sent.
        finished: Whether the answer is complete; what of it is not sent yet is under way.
        on_refusal: What is called in place of the server's when the connection refuses the request; the handler may say.
    """

    __slots__ = (
        "_chunked",
        "_left",
        "begun",
        "body_timeout",
        "context",
        "delegate",
        "finished",
        "keeps_connection",
        "max_body_size",
        "on_close",
        "on_refusal",
        "prepared",
        "received",
        "request",
        "step",
        "takes_body",
        "told",
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
        self.takes_body = True
        self.prepared = False
        self.step: Future[None] | None = None
        self.received = 0
        self.told = False
        self.begun = False
        self.finished = False
        self.on_close: Callable[[], None] | None = None
        self.on_refusal: Callable[[InvalidRequestError], None] | None = None
        self._chunked = False
        self._left: int | None = None

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Say what is called when the client leaves before the answer is complete."""
        self.on_close = callback

    def set_max_body_size(self, size: int) -> None:
        """Bound the body of the request, in bytes."""
        self.max_body_size = size

    def set_body_timeout(self, seconds: float) -> None:
        """Bound the time until it is whole."""
        self.body_timeout = seconds
        self.context.wait_for_body(self)

    def refuse_body(self) -> None:
        """Do not wait for a body. What comes of one is thrown away, and a larger one is refused."""
        self.takes_body = False
        self.max_body_size = MAX_UNWANTED_BYTES

    @property
    def closed(self) -> bool:
        """Whether the client has left or was left."""
        return self.context.closed

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Future[None]:
        """Write the head of the answer, with a first piece of its body.

        A body of unknown length is sent in chunks; an HTTP/1.0 client has no other end for it than that of the connection.
        `Connection: close` among the headers means that, and so does a request that is not whole yet. An answer without a date gets one (RFC 9110 section 6.6.1).

        Raises:
            ValueError: A header has a line end or NUL in it, or is no Latin-1.
            HTTPOutputError: The piece is longer than `Content-Length` says.
        """
        assert isinstance(start_line, ResponseStartLine)  # noqa: S101 - a server answers
        code, asked = start_line.code, self.request.start_line
        has_body = code >= FIRST_FINAL and code not in {NO_CONTENT, NOT_MODIFIED} and asked.method != "HEAD"
        length = headers.get("Content-Length")
        if has_body and length is None:
            self._chunked = asked.version == "HTTP/1.1"
            self.keeps_connection &= self._chunked
        self._left = (None if length is None else int(length)) if has_body else 0
        self.keeps_connection &= self.request.whole and headers.get("Connection", "").lower() != "close"
        if self._chunked:
            headers["Transfer-Encoding"] = "chunked"
        if not self.keeps_connection:
            headers["Connection"] = "close"
        elif asked.version == "HTTP/1.0":
            headers["Connection"] = "Keep-Alive"
        if "Date" not in headers:
            headers["Date"] = http_date(int(time.time()))
        head = _head(start_line, headers)
        self.begun = True
        return self.context.outlet.write(head + self._framed(chunk) if chunk else head)

    def write(self, chunk: bytes) -> Future[None]:
        """Write a piece of the body; the future is done when the client has taken it, which it may have by now.

        Raises:
            HTTPOutputError: It is longer than `Content-Length` says.
        """
        return self.context.outlet.write(self._framed(chunk) if chunk else chunk)

    def finish(self) -> None:
        """The answer is complete.

        Raises:
            HTTPOutputError: It is shorter than `Content-Length` says.
        """
        if self._left and not self.closed:
            self.context.abort()
            raise HTTPOutputError(f"{self._left} bytes less than Content-Length says")
        if self._chunked:
            self.context.outlet.write(b"0\r\n\r\n")
        self.finished = True
        self.on_close = self.on_refusal = None
        self.context.answered(self)

    def abort(self, *, reset: bool = False) -> None:
        """Close at once, in the middle of the answer; see `ClientConnection.abort`."""
        if not self.closed:
            self.context.abort(reset=reset)

    def break_off(self) -> None:
        """Tell the handler that the client has left, unless its answer is complete."""
        if self.finished:
            return
        if not self.told:
            self.delegate.on_connection_close()
        elif self.on_close is not None:
            self.on_close()
        self.on_refusal = None
        del self.delegate  # which refers back

    def _framed(self, piece: bytes) -> bytes:
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                self.context.abort()
                raise HTTPOutputError("more than Content-Length says")
        return piece


def _head(start_line: ResponseStartLine, headers: HTTPHeaders) -> bytes:
    lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.get_all()]
    head = "\r\n".join([*lines, "", ""])
    if not head.count("\r") == head.count("\n") == len(lines) + 1 or "\0" in head:
        raise ValueError("a line end or NUL within a line of an answer's head")
    return head.encode("latin-1")
