"""An HTTP/1.1 response, parsed from its bytes: its head, its body, and whether it has ended. No I/O.

Source: RFC 9112. The parser is llhttp, that of Node.js, which `httptools` brings.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from upstream.headers import Headers

# Providers respond with cookies-and-policy headers of several KB.
MAX_HEADER_LINE_BYTES = 32 * 1024
MAX_HEADERS = 128
# More of these are no use to anybody and keep the bridge busy.
MAX_INTERIM_RESPONSES = 16
SWITCHING_PROTOCOLS = 101
_SPENT = HttpResponseParser(object())
_INTERIM_STATUSES = frozenset(range(100, 200)) - {SWITCHING_PROTOCOLS}


class Response:
    """One response, fed with bytes as they arrive. Interim responses (100, 103) are skipped; 101 is a response.

    `status`, `reason` and `headers` are there with `has_head`, `size` is how many bytes of the body are buffered.
    With `whole` no more follow. `keeps_connection` is whether another response may follow this one.

    Args:
        method: That of the request: a response to HEAD has no body whatever its head says.
        upgrades: Whether the request wants another protocol. Everything after a 101 is then the body.
    """

    __slots__ = (
        "_bytes_without_progress",
        "_header_count",
        "_interim_count",
        "_method",
        "_parser",
        "_pieces",
        "_progressed",
        "_reason",
        "_switched",
        "_upgrades",
        "has_head",
        "headers",
        "keeps_connection",
        "size",
        "status",
        "whole",
    )

    def __init__(self, method: str, *, upgrades: bool = False) -> None:
        self.status = 0
        self.headers: Headers = []
        self.has_head = False
        self.size = 0
        self.whole = False
        self.keeps_connection = False
        self._method = method
        self._upgrades = upgrades
        self._switched = False
        self._reason = b""
        self._pieces: list[bytes] = []
        self._header_count = 0
        self._interim_count = 0
        self._progressed = False
        self._bytes_without_progress = 0
        self._parser = HttpResponseParser(self)
        # Servers that fold headers, end lines with LF alone or pad the size of a chunk do exist, and mean one thing only.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    @property
    def reason(self) -> str:
        """The reason phrase; may be empty."""
        return self._reason.decode("utf-8", "surrogateescape")

    def feed(self, data: bytes) -> None:
        """Parse more bytes.

        Raises:
            HttpParserError: it is not HTTP, or goes beyond the bounds above. Nothing more may be fed, as behind the end.
        """
        # In parts: the time for a folded header grows with the square of its bytes that are parsed at once.
        for start in range(0, len(data), MAX_HEADER_LINE_BYTES):
            if self.whole:
                self.keeps_connection = False
            elif self._switched:
                self.on_body(data[start : start + MAX_HEADER_LINE_BYTES])
            else:
                self._feed(data[start : start + MAX_HEADER_LINE_BYTES])

    def end(self) -> None:
        """Note that nothing more comes, which is how a body ends that neither has a length nor is chunked."""
        if self.has_head and not self.whole:
            self.keeps_connection = False
            self.whole = not any(_delimits_body(name.lower(), value.lower()) for name, value in self.headers)

    def release_parser(self) -> None:
        """Drop the parser, which refers back to this object: nothing more will be fed."""
        self._parser = _SPENT

    def read_buffered(self) -> bytes:
        """Remove and return the buffered bytes of the body, in one piece."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        return body

    def on_message_begin(self) -> None:
        """Refuse a second response: there was no request for it."""
        if self.whole:
            raise HttpParserError("a second response after the response")

    def on_status(self, part: bytes) -> None:
        """Collect the reason phrase."""
        self._reason += part
        if len(self._reason) > MAX_HEADER_LINE_BYTES:
            raise HttpParserError("a long reason phrase")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of the head, and count one of the trailers."""
        self._progressed = True
        self._header_count += 1
        if self._header_count > MAX_HEADERS or len(name) + len(value) > MAX_HEADER_LINE_BYTES or b"\0" in value:
            raise HttpParserError("too many headers, a large one, or NUL in one")
        if not self.has_head:
            # Spaces before the colon are let through by the parser after a few names, and a proxy has to remove them (5.1).
            self.headers.append((name.rstrip(b" ").decode("latin-1"), value.rstrip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Note the head, unless it is an interim one."""
        self._progressed = True
        self._header_count = 0
        self.status = self._parser.get_status_code()
        self.has_head = self.status not in _INTERIM_STATUSES
        self.keeps_connection = self._parser.should_keep_alive()
        if self._method == "HEAD" and self.has_head:
            self.whole = True
            raise HttpParserError("the parser cannot be told that no body follows, so it goes no further")

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        self._progressed = True
        self._pieces.append(piece)
        self.size += len(piece)

    def on_message_complete(self) -> None:
        """Note the end; forget an interim response."""
        if self._upgrades and self.status == SWITCHING_PROTOCOLS:
            self._switched = True
        elif self.has_head:
            self.whole = True
        else:
            self._interim_count += 1
            if self._interim_count > MAX_INTERIM_RESPONSES:
                raise HttpParserError("too many interim responses")
            self._reason = b""
            self.headers.clear()

    def _feed(self, part: bytes) -> None:
        self._progressed = False
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            if not (self.whole or self._switched):
                raise
            self.keeps_connection = False
            if self._switched and (rest := part[upgrade.args[0] :]):
                self.on_body(rest)
        except HttpParserError:
            if not self.whole:
                raise
            self.keeps_connection = False
        if self.whole or self._switched:
            self.release_parser()
            return
        self._bytes_without_progress = 0 if self._progressed else self._bytes_without_progress + len(part)
        if self._bytes_without_progress > MAX_HEADER_LINE_BYTES:
            raise HttpParserError("a line, folded header or chunk size that is too long")


def _delimits_body(name: str, value: str) -> bool:
    return name == "content-length" or (name == "transfer-encoding" and "chunked" in value)
