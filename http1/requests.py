"""Parses what a client sends: HTTP/1.1 requests, one after the other. No I/O.

Source: RFC 9112. Heads are parsed by llhttp, the parser of Node.js, from the package `httptools`. It is strict where two
servers might otherwise see different requests in the same bytes. What it still accepts of that kind is refused here.

A client waits for a response before it sends the next request. What arrives behind a request in the same read is parsed by
llhttp, which cannot be paused, and thrown away: the connection closes after the response (RFC 9112 section 9.3.2). What
arrives in a later read may be the next request, so it stays bytes until the current one is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http.client import responses
from types import MappingProxyType
from typing import Self

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPHeaders, RequestStartLine

from intercept.refusals import Rule
from intercept.secrets import scrub_quoted

MAX_HEAD_BYTES = 64 * 1024
"""How large the head of a request may be."""

MAX_HEADERS = 128
"""How many headers a request may have."""

MAX_CHUNK_LINE_BYTES = 4096
"""About how long the line before a chunk may be: its size and extensions."""

TOO_LARGE = f"its head has more than {MAX_HEAD_BYTES} bytes"
TOO_MANY_HEADERS = f"it has more than {MAX_HEADERS} headers"
LINE_TOO_LARGE = f"what stands before a chunk of its body has more than {MAX_CHUNK_LINE_BYTES} bytes"
TRAILERS = "trailers are not accepted"
UNKNOWN_CODING = "the only transfer coding that is understood is chunked"
_VERSIONS = {"1.0", "1.1"}
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Request:
    """One request whose head is complete. Its body may still arrive.

    Attributes:
        start_line: Method, target and version, in Tornado's form.
        keeps_connection: Whether another request may follow this one.
        declared_bytes: The `Content-Length`; 0 if there is none.
        size: How many bytes of the body wait to be taken.
        whole: Whether these are the last ones.
        followed: Whether the client has sent more that is thrown away.
    """

    __slots__ = ("_pieces", "declared_bytes", "followed", "headers", "keeps_connection", "size", "start_line", "whole")

    def __init__(self, start_line: RequestStartLine, headers: HTTPHeaders, keeps_connection: bool) -> None:
        self.start_line = start_line
        self.headers = headers
        self.keeps_connection = keeps_connection
        self.declared_bytes = int(headers.get("Content-Length", "0"))
        self.size = 0
        self.whole = self.followed = False
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
    """The requests of one connection. It is fed with what the client sends. `release` it at the end.

    Attributes:
        request: The current one, whose head is complete; None if there is none.
        head_bytes: How many bytes have arrived of a head that is not complete.
        unread: What has arrived since the current request was whole.
    """

    def __init__(self) -> None:
        self.request: Request | None = None
        self.head_bytes = 0
        self.unread = bytearray()
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._headers = HTTPHeaders()
        self._number = 0
        self._size = 0
        self._bytes_without_progress = 0

    @property
    def buffered_bytes(self) -> int:
        """How much has arrived that no handler has taken yet."""
        return len(self.unread) + (0 if self.request is None else self.request.size)

    def feed(self, data: bytes) -> None:
        """Parse what has arrived. What follows the last request of the connection is discarded.

        Raises:
            MalformedRequestError: It is not HTTP. Nothing more may be fed.
        """
        request = self.request
        if request is None or not request.whole:
            self._parse(data)
        elif request.keeps_connection:
            self.unread += data
        else:
            request.followed = True

    def next(self) -> None:
        """Forget the current request, and go on with what follows it.

        Raises:
            MalformedRequestError: That is not HTTP. Nothing more may be fed.
        """
        self.request = None
        self._bytes_without_progress = 0
        if self.unread:
            data = bytes(self.unread)
            self.unread.clear()
            self._parse(data)

    def release(self) -> None:
        """Forget the parser, which refers back."""
        self._parser = None

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None  # noqa: S101 - nothing is fed after the end
        self._bytes_without_progress += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if self.request is not None and not self.request.followed:  # else it is one of those thrown away
                self._ignore_offer(data[offer.args[0] :])
            return
        except HttpParserError as error:
            if self.request is None or not self.request.whole:
                raise MalformedRequestError.of(error) from error
            self._throw_away(self.request)
        request = self.request
        if request is None:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                raise MalformedRequestError(TOO_LARGE, Rule.HEAD_TOO_LARGE)
        elif not request.whole and self._bytes_without_progress > MAX_CHUNK_LINE_BYTES:
            raise MalformedRequestError(LINE_TOO_LARGE, Rule.HEAD_TOO_LARGE)

    def _ignore_offer(self, behind: bytes) -> None:
        """Read on behind the offer to switch protocols, which a server may ignore (RFC 9110 section 7.8).

        llhttp reads no body behind one, so another parser is told of the same framing without the offer.
        """
        request = self.request
        assert request is not None  # noqa: S101 - its head has the offer
        chunked = "Transfer-Encoding" in request.headers
        if not chunked and not request.declared_bytes:
            if request.keeps_connection:
                self.unread += behind
            return
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {request.declared_bytes}"
        keeps_connection = request.keeps_connection
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())
        request.keeps_connection, request.followed, request.whole = keeps_connection, False, False
        self._parse(behind)

    def on_message_begin(self) -> None:
        """Begin a head, unless there is one."""
        if self.request is not None:
            self._throw_away(self.request)
            return
        self._target = b""
        self._headers = HTTPHeaders()
        self._number = self._size = 0

    def on_url(self, part: bytes) -> None:
        """Collect a part of the target."""
        if self.request is None:
            self._target += part
            self._count(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header. Trailers are refused: nobody here reads them, and some servers take them for headers."""
        if self.request is not None:
            if not self.request.whole:
                raise MalformedRequestError(TRAILERS)
            return
        self._number += 1
        if self._number > MAX_HEADERS:
            raise MalformedRequestError(TOO_MANY_HEADERS, Rule.HEAD_TOO_LARGE)
        self._count(len(name) + len(value) + len(": \r\n"))
        add_checked(self._headers, name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Make the request."""
        if self.request is not None:
            return
        parser, headers = self._parser, self._headers
        assert parser is not None  # noqa: S101 - it calls this
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise MalformedRequestError("its version is neither HTTP/1.1 nor HTTP/1.0", Rule.UNSUPPORTED_VERSION)
        if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            raise MalformedRequestError(UNKNOWN_CODING, Rule.UNSUPPORTED_CODING)
        if version == "1.0" and "Transfer-Encoding" in headers:
            raise MalformedRequestError("HTTP/1.0 has no transfer codings")
        method = parser.get_method().decode()
        target = _origin_form(method, self._target.decode("latin-1"), headers)
        # After CONNECT a client sends data for a tunnel, and there is none.
        keeps_connection = parser.should_keep_alive() and method != "CONNECT"
        self.request = Request(RequestStartLine(method, target, f"HTTP/{version}"), headers, keeps_connection)
        self.head_bytes = 0
        self._bytes_without_progress -= self._size

    def on_body(self, piece: bytes) -> None:
        """Add to the body."""
        self._bytes_without_progress = 0
        if self.request is not None and not self.request.whole:
            self.request.add(piece)

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        if self.request is not None:
            self.request.whole = True

    def _throw_away(self, request: Request) -> None:
        """Note that the client sends more without waiting for the response."""
        request.keeps_connection, request.followed = False, True

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD_BYTES:
            raise MalformedRequestError(TOO_LARGE, Rule.HEAD_TOO_LARGE)


def _origin_form(method: str, target: str, headers: HTTPHeaders) -> str:
    """Return the path and query of a target (section 3.2). If it is an absolute URL, `Host` is set to its host (section 3.2.2).

    `*` and the target of CONNECT are returned unchanged. A request without `Host`, or with several, is refused later.

    Raises:
        MalformedRequestError: The target is a URL that is not http or https, has no host, or has a user name.
    """
    if target[:1] == "/" or target == "*" or method == "CONNECT":
        return target
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None:
        raise MalformedRequestError("its target is neither a path nor an address that begins with http:// or https://")
    authority, rest = parts.groups()
    if not authority or "@" in authority:
        raise MalformedRequestError("its target has no host, or a user's name before it")
    if len(headers.get_list("Host")) == 1:
        headers["Host"] = authority
    return rest if rest.startswith("/") else "/" + rest


def add_checked(headers: HTTPHeaders, name: str, value: str) -> None:
    """Add a header whose name and value a parser, or the caller, has already checked for invalid characters.

    `HTTPHeaders.add` matches both against a grammar, character by character. For the 23 headers of Claude Code it takes
    14 us, this 5.
    """
    if name in headers:
        headers.add(name, value)
    else:
        headers[name] = value


@lru_cache(1)
def http_date(second: int) -> str:
    """Return the value of `Date` (RFC 9110 section 6.6.1) for a time in seconds since 1970."""
    return formatdate(second, usegmt=True)


UNREADABLE = "The request cannot be read: {}."
BODY_TOO_LARGE = "its body is larger than {} bytes"
HEAD_TOO_SLOW = "its head did not come whole within {:g} seconds"
BODY_TOO_SLOW = "its body did not come whole within {:g} seconds"

STATUSES: Mapping[Rule, int] = MappingProxyType(
    {
        Rule.MALFORMED_REQUEST: 400,
        Rule.LATE_HEAD: 408,
        Rule.LATE_BODY: 408,
        Rule.BODY_TOO_LARGE: 413,
        Rule.HEAD_TOO_LARGE: 431,
        Rule.UNSUPPORTED_CODING: 501,
        Rule.UNSUPPORTED_VERSION: 505,
    }
)
"""The rules by which a connection refuses a request, each with its HTTP status."""


class MalformedRequestError(Exception):
    """The bytes are not a request, or not one that is served. The text is a phrase for the client, `rule` the kind."""

    def __init__(self, reason: str, rule: Rule = Rule.MALFORMED_REQUEST) -> None:
        super().__init__(reason)
        self.rule = rule

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return STATUSES[self.rule]

    @property
    def message(self) -> str:
        """What the client is told."""
        return scrub_quoted(UNREADABLE.format(self))

    @classmethod
    def of(cls, error: HttpParserError) -> Self:
        """Convert an error of a parser. If one of its callbacks raised this error, return that."""
        cause = error.__context__
        return cause if isinstance(cause, cls) else cls(str(error))

    def response(self, second: int) -> bytes:
        """Encode the whole response, which says that the connection is closed.

        Args:
            second: The time, in seconds since 1970.
        """
        body = msgspec.json.encode({"message": self.message})
        head = (
            f"HTTP/1.1 {self.status} {responses[self.status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\nDate: {http_date(second)}\r\n\r\n"
        )
        return head.encode() + body
