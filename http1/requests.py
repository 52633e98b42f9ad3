"""Parses what a client sends: HTTP/1.1 requests, one after the other. No I/O.

Source: RFC 9112. Heads are parsed by llhttp, the parser of Node.js, from the package `httptools`. It is strict where two
servers might otherwise see different requests in the same bytes. What it still accepts of that kind is refused here.

Only the current request is kept as objects. What follows it stays bytes: llhttp cannot be paused, so it is fed one head and
nothing after it. The end of a body is found here.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPHeaders, RequestStartLine

from http1.chunks import Chunks
from http1.errors import InvalidRequestError
from http1.headers import add_checked
from intercept.refusals import Rule

MAX_HEAD_BYTES = 64 * 1024
"""How large the head of a request may be."""

MAX_HEADERS = 128
"""How many headers a request may have."""

TOO_LARGE = f"its head has more than {MAX_HEAD_BYTES} bytes"
TOO_MANY_HEADERS = f"it has more than {MAX_HEADERS} headers"
ENDS_EARLY = "its head ends before its empty line"
UNKNOWN_CODING = "the only transfer coding that is understood is chunked"
_VERSIONS = {"1.0", "1.1"}
_HEAD_END = b"\r\n\r\n"
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Request:
    """One request whose head is complete. Its body may still arrive.

    Attributes:
        start_line: Method, target and version, in Tornado's form.
        keeps_connection: Whether another request may follow this one.
        declared_bytes: The `Content-Length`; 0 if there is none.
        size: How many bytes of the body wait to be taken.
        whole: Whether these are the last ones.
    """

    __slots__ = ("_pieces", "declared_bytes", "headers", "keeps_connection", "size", "start_line", "whole")

    def __init__(self, start_line: RequestStartLine, headers: HTTPHeaders, keeps_connection: bool) -> None:
        self.start_line = start_line
        self.headers = headers
        self.keeps_connection = keeps_connection
        self.declared_bytes = int(headers.get("Content-Length", "0"))
        self.size = 0
        self.whole = False
        self._pieces: list[bytes] = []

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body. One of HTTP/1.0 knows none (RFC 9110 section 10.1.1)."""
        return self.start_line.version == "HTTP/1.1" and self.headers.get("Expect", "").lower() == "100-continue"

    def read_buffered(self) -> bytes:
        """Return what has arrived of the body since the last call."""
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
    """The requests of one connection. It is fed with what the client sends.

    Attributes:
        request: The current one, whose head is complete; None if there is none.
        head_bytes: How many bytes have arrived of a head that is not complete.
        unread: What follows the current request.
    """

    def __init__(self) -> None:
        self.request: Request | None = None
        self.head_bytes = 0
        self.unread = bytearray()
        self._head: _Head | None = None
        self._tail = b""
        self._left = 0
        self._chunks: Chunks | None = None

    @property
    def buffered_bytes(self) -> int:
        """How much has arrived that no handler has taken yet."""
        return len(self.unread) + (0 if self.request is None else self.request.size)

    def feed(self, data: bytes) -> None:
        """Parse what has arrived. What follows the last request of the connection is discarded.

        Raises:
            InvalidRequestError: It is not HTTP. Nothing more may be fed.
        """
        request = self.request
        position = 0
        if request is None or not request.whole:
            position = self._read(data)
            request = self.request
        if position < len(data) and request is not None and request.keeps_connection:
            self.unread += data[position:] if position else data

    def next(self) -> None:
        """Forget the current request, and go on with what follows it.

        Raises:
            InvalidRequestError: That is not HTTP. Nothing more may be fed.
        """
        self.request = None
        if self.unread:
            position = self._read(self.unread)
            del self.unread[:position]

    def _read(self, data: bytes | bytearray) -> int:
        """Parse a head, or the rest of one, and its body. Return the position after it."""
        position = 0
        if self.request is None:
            position = self._read_head(data)
            if self.request is None:
                return position
        if self._chunks is not None:
            position = self._chunks.read(data, position)
            self.request.whole = self._chunks.complete
        elif self._left and position < len(data):
            piece = bytes(data[position : position + self._left])
            self.request.add(piece)
            self._left -= len(piece)
            position += len(piece)
            self.request.whole = not self._left
        return position

    def _read_head(self, data: bytes | bytearray) -> int:
        start = 0
        if self._head is None:
            if data.startswith((b"\r", b"\n")):  # line ends before a request are ignored (RFC 9112 section 2.2)
                start = len(data) - len(data.lstrip(b"\r\n"))
            if start < len(data):
                self._head = _Head()
        end = self._find_end(data, start)
        part = bytes(data[start:end])
        self.head_bytes += start + len(part)
        if self.head_bytes > MAX_HEAD_BYTES:
            raise InvalidRequestError(TOO_LARGE, Rule.HEAD_TOO_LARGE)
        if self._head is None:
            return start
        whole = self._head.feed(part)
        if end is None:
            if whole:  # llhttp has to find the same end of a head as this class
                raise InvalidRequestError("its head does not end with an empty line")
            self._tail = (self._tail + part)[1 - len(_HEAD_END) :]
            return len(data)
        if not whole:
            raise InvalidRequestError("its head ends too early")
        self._begin_body(self._head.request)
        self._head, self._tail, self.head_bytes = None, b"", 0
        return end

    def _find_end(self, data: bytes | bytearray, start: int) -> int | None:
        """Find the end of the head, which may have started in earlier data."""
        tail = self._tail
        if tail:
            across = (tail + data[start : start + len(_HEAD_END) - 1]).find(_HEAD_END)
            if across >= 0:
                return start + across + len(_HEAD_END) - len(tail)
        end = data.find(_HEAD_END, start)
        return None if end < 0 else end + len(_HEAD_END)

    def _begin_body(self, request: Request) -> None:
        self.request = request
        self._chunks = Chunks(request.add) if "Transfer-Encoding" in request.headers else None
        self._left = request.declared_bytes
        request.whole = self._chunks is None and not self._left


class _Head:
    """The parser of one head. It is fed nothing that follows."""

    __slots__ = ("_headers", "_number", "_parser", "_target", "_whole", "request")
    request: Request

    def __init__(self) -> None:
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._headers = HTTPHeaders()
        self._number = 0
        self._whole = False

    def feed(self, part: bytes) -> bool:
        """Parse a part. Return whether the head is complete.

        Raises:
            InvalidRequestError: It is not HTTP.
        """
        parser = self._parser
        assert parser is not None  # noqa: S101 - nothing is fed after the head
        try:
            parser.feed_data(part)
        except HttpParserUpgrade:
            pass  # an offer to switch protocols, which a server may ignore (RFC 9110 section 7.8)
        except HttpParserError as error:
            raise InvalidRequestError.of(error) from error
        if self._whole:
            self._parser = None  # it refers back
        return self._whole

    def on_url(self, part: bytes) -> None:
        """Collect a part of the target."""
        if self._whole:
            raise InvalidRequestError(ENDS_EARLY)
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        if self._whole:
            raise InvalidRequestError(ENDS_EARLY)
        self._number += 1
        if self._number > MAX_HEADERS:
            raise InvalidRequestError(TOO_MANY_HEADERS, Rule.HEAD_TOO_LARGE)
        add_checked(self._headers, name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Make the request."""
        if self._whole:
            raise InvalidRequestError(ENDS_EARLY)
        self._whole = True
        parser, headers = self._parser, self._headers
        assert parser is not None  # noqa: S101 - it calls this
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise InvalidRequestError("its version is neither HTTP/1.1 nor HTTP/1.0", Rule.UNSUPPORTED_VERSION)
        if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            raise InvalidRequestError(UNKNOWN_CODING, Rule.UNSUPPORTED_CODING)
        if version == "1.0" and "Transfer-Encoding" in headers:
            raise InvalidRequestError("HTTP/1.0 has no transfer codings")
        method = parser.get_method().decode()
        target = _origin_form(method, self._target.decode("latin-1"), headers)
        # After CONNECT a client sends data for a tunnel, and there is none.
        keeps_connection = parser.should_keep_alive() and method != "CONNECT"
        self.request = Request(RequestStartLine(method, target, f"HTTP/{version}"), headers, keeps_connection)


def _origin_form(method: str, target: str, headers: HTTPHeaders) -> str:
    """Return the path and query of a target (section 3.2). If it is an absolute URL, `Host` is set to its host (section 3.2.2).

    `*` and the target of CONNECT are returned unchanged. A request without `Host`, or with several, is refused later.

    Raises:
        InvalidRequestError: The target is a URL that is not http or https, has no host, or has a user name.
    """
    if target[:1] == "/" or target == "*" or method == "CONNECT":
        return target
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None:
        raise InvalidRequestError("its target is neither a path nor an address that begins with http:// or https://")
    authority, rest = parts.groups()
    if not authority or "@" in authority:
        raise InvalidRequestError("its target has no host, or a user's name before it")
    if len(headers.get_list("Host")) == 1:
        headers["Host"] = authority
    return rest if rest.startswith("/") else "/" + rest
