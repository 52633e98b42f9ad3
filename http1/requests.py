"""What the bytes of a client mean in HTTP/1.1: requests, one behind the other. No I/O.

Source: RFC 9112. Heads are parsed by llhttp, the parser of Node.js, which `httptools` brings. It is strict where leniency
would let two servers see different requests in the same bytes; what it lets through of that kind is refused here.

One request is kept as objects, what comes behind it as bytes: llhttp cannot be paused, so it gets one head and nothing
that follows. Where a body ends is counted here.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPHeaders, RequestStartLine

from http1.chunks import Chunks
from http1.errors import InvalidRequestError
from http1.headers import put
from http1.targets import origin_form
from intercept.refusals import Rule

MAX_HEAD_BYTES = 64 * 1024
"""The most that the head of a request may have."""

MAX_HEADERS = 128
"""The most headers that a request may have."""

TOO_LARGE = f"its head has more than {MAX_HEAD_BYTES} bytes"
TOO_MANY_HEADERS = f"it has more than {MAX_HEADERS} headers"
UNKNOWN_CODING = "the only transfer coding that is understood is chunked"
_VERSIONS = {"1.0", "1.1"}
_HEAD_END = b"\r\n\r\n"


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

    @property
    def declared_bytes(self) -> int:
        """The length of its body by `Content-Length`; 0 where it does not say."""
        return int(self.headers.get("Content-Length", "0"))

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
        request: The one under way, whose head is whole; None while there is none.
        head_bytes: What has come of a head that is not whole yet.
        unread: What came behind the request under way.
    """

    def __init__(self) -> None:
        self.request: Request | None = None
        self.head_bytes = 0
        self.unread = bytearray()
        self._head: _Head | None = None
        self._tail = b""
        self._left = 0
        self._chunks: Chunks | None = None

    def feed(self, data: bytes) -> None:
        """Read what came. What is behind the last request of the connection is thrown away.

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

    def next(self) -> Request | None:
        """Forget the request under way, and go on with what came behind it.

        Raises:
            InvalidRequestError: That is not HTTP. Nothing more may be fed.
        """
        self.request = None
        if self.unread:
            position = self._read(self.unread)
            del self.unread[:position]
        return self.request

    def _read(self, data: bytes | bytearray) -> int:
        """Read a head, or what is missing of it, and its body; return what position that comes to."""
        position = 0
        if self.request is None:
            position = self._read_head(data)
            if self.request is None:
                return position
        if self._chunks is not None:
            position = self._chunks.read(data, position)
            self.request.whole = self._chunks.over
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
            if data.startswith((b"\r", b"\n")):  # line ends before a request are passed over (RFC 9112 section 2.2)
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
            if whole:  # llhttp takes no other end of a head than this one, or two would not see the same request
                raise InvalidRequestError("its head does not end with an empty line")
            self._tail = (self._tail + part)[1 - len(_HEAD_END) :]
            return len(data)
        if not whole:
            raise InvalidRequestError("its head ends too early")
        self._begin_body(self._head.request)
        self._head, self._tail, self.head_bytes = None, b"", 0
        return end

    def _find_end(self, data: bytes | bytearray, start: int) -> int | None:
        """Find where the head ends; it may have begun to end in what came before."""
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
    """Fed with one head and nothing behind it."""

    __slots__ = ("_headers", "_number", "_parser", "_target", "_whole", "request")
    request: Request

    def __init__(self) -> None:
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._headers = HTTPHeaders()
        self._number = 0
        self._whole = False

    def feed(self, part: bytes) -> bool:
        """Parse on; return whether the head is whole.

        Raises:
            InvalidRequestError: It is not HTTP.
        """
        parser = self._parser
        assert parser is not None  # noqa: S101 - nothing is fed behind a head
        try:
            parser.feed_data(part)
        except HttpParserUpgrade:
            pass  # an offer to speak another protocol, which a server may pass over (RFC 9110 section 7.8)
        except HttpParserError as error:
            raise InvalidRequestError.of(error) from error
        if self._whole:
            self._parser = None  # which refers back
        return self._whole

    def on_url(self, part: bytes) -> None:
        """Collect the target."""
        self._refuse_more()
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._refuse_more()
        self._number += 1
        if self._number > MAX_HEADERS:
            raise InvalidRequestError(TOO_MANY_HEADERS, Rule.HEAD_TOO_LARGE)
        put(self._headers, name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Make a request of what was collected."""
        self._refuse_more()
        self._whole = True
        parser, headers = self._parser, self._headers
        assert parser is not None  # noqa: S101 - it is what calls
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise InvalidRequestError("its version is neither HTTP/1.1 nor HTTP/1.0", Rule.UNSUPPORTED_VERSION)
        if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            raise InvalidRequestError(UNKNOWN_CODING, Rule.UNSUPPORTED_CODING)
        if version == "1.0" and "Transfer-Encoding" in headers:
            raise InvalidRequestError("HTTP/1.0 has no transfer codings")
        method = parser.get_method().decode()
        target = origin_form(method, self._target.decode("latin-1"), headers)
        # Behind CONNECT a client sends what is meant for a tunnel, and there is none.
        keeps_connection = parser.should_keep_alive() and method != "CONNECT"
        self.request = Request(RequestStartLine(method, target, f"HTTP/{version}"), headers, keeps_connection)

    def _refuse_more(self) -> None:
        if self._whole:
            raise InvalidRequestError("its head ends before its empty line")
