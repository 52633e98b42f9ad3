"""What the bytes of a client mean in HTTP/1.1: requests, one behind the other. No I/O.

Source: RFC 9112. The parser is llhttp, that of Node.js, which `httptools` brings. It is strict where leniency would let
two servers see different requests in the same bytes; what it lets through of that kind is refused here.
"""

from __future__ import annotations

from collections import deque

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPHeaders, RequestStartLine

from http1.headers import put

MAX_HEAD_BYTES = 64 * 1024
"""The most that the head of a request may have, and about the most that the line before a chunk may."""

TOO_LARGE = f"its head, or what stands before a chunk of its body, has more than {MAX_HEAD_BYTES} bytes"
_NO_BODY = b"GET / HTTP/1.1\r\n\r\n"
_VERSIONS = {"1.0", "1.1"}
_AROUND_HEADER = len(": \r\n")


class InvalidRequestError(Exception):
    """The bytes are no request. The text is a phrase for the client; `status` goes with it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Request:
    """One request: its head is whole, its body is on the way.

    Attributes:
        start_line: Method, target and version, as Tornado has them.
        headers: Those of its head.
        keeps_connection: Whether another request may come behind this one.
        size: Bytes of the body that wait to be taken.
        whole: Whether no more of the body comes after these.
    """

    __slots__ = ("_pieces", "headers", "keeps_connection", "size", "start_line", "whole")

    def __init__(self, start_line: RequestStartLine, headers: HTTPHeaders, keeps_connection: bool) -> None:
        self.start_line = start_line
        self.headers = headers
        self.keeps_connection = keeps_connection
        self.size = 0
        self.whole = False
        self._pieces: list[bytes] = []

    def take(self) -> bytes:
        """Take what waits of the body, in one piece."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        return body

    def add(self, piece: bytes) -> None:
        """Add to the body."""
        self._pieces.append(piece)
        self.size += len(piece)


class Requests:
    """The requests of one connection, fed with what comes.

    Attributes:
        waiting: Those whose head is whole and that were not taken yet, the first that came first.
    """

    def __init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self._parser = HttpRequestParser(self)
        self._last: Request | None = None
        self._target = b""
        self._headers = HTTPHeaders()
        self._head_bytes = 0
        self._told = False
        self._untold_bytes = 0
        self._upgraded = False
        self._over = False

    def feed(self, data: bytes) -> None:
        """Read what came. What is behind the last request of the connection is left unread.

        Raises:
            InvalidRequestError: It is not HTTP. Nothing more may be fed.
        """
        # In parts, as the size of a head is counted by the part.
        for start in range(0, len(data), MAX_HEAD_BYTES):
            if not self._over:
                self._feed(data[start : start + MAX_HEAD_BYTES])

    def on_url(self, part: bytes) -> None:
        """Collect the target."""
        if not self._upgraded:
            self._count(len(part))
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        if self._upgraded:
            return
        if self._last is not None:
            raise InvalidRequestError("trailers are not accepted")
        self._count(len(name) + len(value) + _AROUND_HEADER)
        put(self._headers, name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Note a request."""
        self._told = True
        if self._upgraded:
            return
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise InvalidRequestError("its version is neither HTTP/1.1 nor HTTP/1.0", 505)
        if self._headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            raise InvalidRequestError("the only transfer coding that is understood is chunked", 501)
        if version == "1.0" and "Transfer-Encoding" in self._headers:
            raise InvalidRequestError("HTTP/1.0 has no transfer codings")
        start_line = RequestStartLine(
            self._parser.get_method().decode(), self._target.decode("latin-1"), f"HTTP/{version}"
        )
        self._last = Request(start_line, self._headers, self._parser.should_keep_alive())
        self.waiting.append(self._last)
        self._target, self._headers, self._head_bytes = b"", HTTPHeaders(), 0

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        self._told = True
        if self._last is not None:
            self._last.add(piece)

    def on_message_complete(self) -> None:
        """Note the end of a request, unless the parser means that the rest is another protocol's."""
        if self._last is not None and not self._parser.should_upgrade():
            self._last.whole = True
            self._over = not self._last.keeps_connection
            self._last = None

    def _feed(self, part: bytes) -> None:
        self._told = False
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            self._refuse_upgrade(part[upgrade.args[0] :])
            return
        except HttpParserError as error:
            if not self._over:
                raise _reason(error) from error
        self._untold_bytes = 0 if self._told else self._untold_bytes + len(part)
        if self._untold_bytes > MAX_HEAD_BYTES:
            raise InvalidRequestError(TOO_LARGE, 431)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise InvalidRequestError(TOO_LARGE, 431)

    def _refuse_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1, which a server may do (RFC 9110 section 7.8).

        The parser takes all behind the head for another protocol's, so a new one is told how long the body is.
        """
        assert self._last is not None  # noqa: S101 - it is whole: the parser stops behind the head
        self._parser, self._upgraded = HttpRequestParser(self), True
        headers = self._last.headers
        framing = next((name for name in ("Content-Length", "Transfer-Encoding") if name in headers), None)
        head = (
            b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % (framing.encode(), headers[framing].encode())
            if framing
            else _NO_BODY
        )
        self._parser.feed_data(head)
        self._upgraded = False
        if rest:
            self._feed(rest)


def _reason(error: HttpParserError) -> InvalidRequestError:
    """Say what a parser found: its own words, or ours where it was ours that raised."""
    cause = error.__context__
    return cause if isinstance(cause, InvalidRequestError) else InvalidRequestError(str(error))
