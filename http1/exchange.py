"""One request and its answer, as Tornado's request handlers see them."""

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
from http1.outlet import Outlet
from http1.requests import Request
from http1.states import AWAITING_BODY, BODY_INCOMPLETE, FINISHED, UNANSWERED, Event, State, next_state

MAX_BODY_BYTES = 1024 * 1024
"""The most that a request's body may have, unless its handler says otherwise."""

MAX_UNWANTED_BYTES = 4096
"""The most that the body of a request may have whose handler wants none."""

NO_CONTENT, NOT_MODIFIED, FIRST_FINAL = 204, 304, 200


class Connection(Protocol):
    """What an exchange needs of its connection; Tornado reads `remote_ip` and `protocol` of it too.

    Attributes:
        outlet: Takes what is answered.
    """

    outlet: Outlet

    @property
    def closed(self) -> bool:
        """Whether nothing more can be answered."""

    def abort(self, *, reset: bool = False) -> None:
        """Close at once; with a reset, so that the client cannot take it for an orderly end."""

    def wait_for_body(self, exchange: Exchange) -> None:
        """Bound the wait for its body anew."""

    def answered(self, exchange: Exchange) -> None:
        """Its answer is complete."""


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
        step: What it does before it can be told more; None when nothing.
        received: How much of it has arrived.
        on_refusal: What is called in place of the server's when the connection refuses the request; the handler may say.
        state: How far the request and its answer are, see `http1/states.py`.
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
        "received",
        "request",
        "state",
        "step",
        "takes_body",
    )
    delegate: HTTPMessageDelegate

    def __init__(self, context: Connection, request: Request, *, keeps_connection: bool, body_timeout: float) -> None:
        self.context = context
        self.request = request
        self.keeps_connection = keeps_connection
        self.max_body_size = MAX_BODY_BYTES
        self.body_timeout = body_timeout
        self.takes_body = True
        self.state = State.RECEIVING
        self.step: Future[None] | None = None
        self.received = 0
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

    @property
    def awaits_body(self) -> bool:
        """Whether the handler is given what comes of the body; once it was told that nothing more comes, it is not."""
        return self.state in AWAITING_BODY

    @property
    def body_complete(self) -> bool:
        """Whether the handler was told that nothing more of the body comes; false for ever where the client left before."""
        return self.state not in BODY_INCOMPLETE

    @property
    def unanswered(self) -> bool:
        """Whether there is room for an answer: nothing of one was sent."""
        return self.state in UNANSWERED

    @property
    def finished(self) -> bool:
        """Whether the answer is complete; what of it is not sent yet is under way, or lost."""
        return self.state in FINISHED

    def end_request(self) -> None:
        """Tell the handler that nothing more of the body comes, so that nobody waits for it."""
        self._move(Event.REQUEST_ENDS)
        self.delegate.finish()

    def end(self, event: Event) -> None:
        """End it. The handler is told that the client has left, unless its answer is complete.

        Args:
            event: The client has taken all of the answer, or the connection is lost, or the server itself has answered.
        """
        left, in_body = not self.finished, self.awaits_body
        self._move(event)
        if left and in_body:
            self.delegate.on_connection_close()
        elif left and self.on_close is not None:
            self.on_close()
        self.on_refusal = None
        del self.delegate  # which refers back

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Future[None]:
        """Write the head of the answer, with a first piece of its body.

        A body of unknown length is sent in chunks; an HTTP/1.0 client has no other end for it than that of the connection.
        `Connection: close` among the headers means that, and so does a request that is not whole yet. An answer without a date gets one (RFC 9110 section 6.6.1).

        Raises:
            ValueError: A header has a line end or NUL in it, or is no Latin-1.
            HTTPOutputError: The piece is longer than `Content-Length` says.
            InvalidTransitionError: There was a head before.
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
        self._move(Event.RESPONSE_STARTS)
        return self.context.outlet.write(head + self._framed(chunk) if chunk else head)

    def write(self, chunk: bytes) -> Future[None]:
        """Write a piece of the body; the future is done when the client has taken it, which it may have by now.

        Raises:
            HTTPOutputError: It is longer than `Content-Length` says.
            InvalidTransitionError: There is no head before it, or the answer is complete.
        """
        self._move(Event.RESPONSE_CONTINUES)
        return self.context.outlet.write(self._framed(chunk) if chunk else chunk)

    def finish(self) -> None:
        """The answer is complete, and with it the request for its handler: nothing more of the body comes.

        Raises:
            HTTPOutputError: It is shorter than `Content-Length` says.
            InvalidTransitionError: There is no head, or it was complete before.
        """
        if self._left and not self.closed:
            self.context.abort()
            raise HTTPOutputError(f"{self._left} bytes less than Content-Length says")
        early = self.awaits_body
        self._move(Event.RESPONSE_ENDS)
        if self._chunked:
            self.context.outlet.write(b"0\r\n\r\n")
        self.on_close = self.on_refusal = None
        if early:
            self.delegate.finish()
        self.context.answered(self)

    def abort(self, *, reset: bool = False) -> None:
        """Close at once, in the middle of the answer; see `Connection.abort`."""
        if not self.closed:
            self.context.abort(reset=reset)

    def _move(self, event: Event) -> None:
        self.state = next_state(self.state, event)

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
