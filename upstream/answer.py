"""What the bytes of an answer mean in HTTP/1.1: its head, its body, and whether it has ended. No I/O.

Source: RFC 9112. The parser is llhttp, that of Node.js, which `httptools` brings.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from upstream.headers import Headers

# Providers answer with cookies-and-policy headers of several KB.
MAX_HEADER_LINE_BYTES = 32 * 1024
MAX_HEADERS = 128
# Beyond these a server says nothing and keeps everybody busy with it.
MAX_INTERIM_ANSWERS = 16
SWITCHING_PROTOCOLS = 101
_SPENT = HttpResponseParser(object())
_INTERIM_STATUSES = frozenset(range(100, 200)) - {SWITCHING_PROTOCOLS}


class Answer:
    """One answer, fed with what comes. Interim answers (100, 103) that come first are passed over; 101 is an answer.

    `status`, `reason` and `headers` are there with `has_head`, `size` is how many bytes of the body wait to be taken, and
    `whole` tells that none come after these. `keeps_connection` is whether another answer may come behind this one.

    Args:
        method: That of the request: an answer to HEAD has no body whatever its head says.
        upgrades: Whether the request asked for another protocol. What follows a 101 is then the body, up to the end.
    """

    __slots__ = (
        "_header_count",
        "_interim_count",
        "_method",
        "_parser",
        "_pieces",
        "_reason",
        "_switched",
        "_told",
        "_untold_bytes",
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
        self._told = False
        self._untold_bytes = 0
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
        """Read what came.

        Raises:
            HttpParserError: it is not HTTP, or goes beyond the bounds above. Nothing more may be fed, as behind the end.
        """
        # In parts, as the time that a folded header takes grows with the square of what is read of it at once.
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
            self.whole = not any(_tells_the_end(name.lower(), value.lower()) for name, value in self.headers)

    def let_go(self) -> None:
        """Let go of the parser, which refers back: nothing more will be fed."""
        self._parser = _SPENT

    def take(self) -> bytes:
        """What waits of the body, in one piece."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        return body

    def on_message_begin(self) -> None:
        """Refuse a second answer: nobody asked for it."""
        if self.whole:
            raise HttpParserError("a second response after the response")

    def on_status(self, part: bytes) -> None:
        """Collect the reason phrase."""
        self._reason += part
        if len(self._reason) > MAX_HEADER_LINE_BYTES:
            raise HttpParserError("a long reason phrase")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of the head, and count one of the trailers."""
        self._told = True
        self._header_count += 1
        if self._header_count > MAX_HEADERS or len(name) + len(value) > MAX_HEADER_LINE_BYTES or b"\0" in value:
            raise HttpParserError("too many headers, a large one, or NUL in one")
        if not self.has_head:
            self.headers.append((name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Note the head of the answer itself."""
        self._told = True
        self._header_count = 0
        self.status = self._parser.get_status_code()
        self.has_head = self.status not in _INTERIM_STATUSES
        self.keeps_connection = self._parser.should_keep_alive()
        if self._method == "HEAD" and self.has_head:
            self.whole = True
            raise HttpParserError("the parser cannot be told that no body follows, so it goes no further")

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        self._told = True
        self._pieces.append(piece)
        self.size += len(piece)

    def on_message_complete(self) -> None:
        """Note the end; forget an interim answer."""
        if self._upgrades and self.status == SWITCHING_PROTOCOLS:
            self._switched = True
        elif self.has_head:
            self.whole = True
        else:
            self._interim_count += 1
            if self._interim_count > MAX_INTERIM_ANSWERS:
                raise HttpParserError("too many interim responses")
            self._reason = b""
            self.headers.clear()

    def _feed(self, part: bytes) -> None:
        self._told = False
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
            self.let_go()
            return
        self._untold_bytes = 0 if self._told else self._untold_bytes + len(part)
        if self._untold_bytes > MAX_HEADER_LINE_BYTES:
            raise HttpParserError("a line, folded header or chunk size that is too long")


def _tells_the_end(name: str, value: str) -> bool:
    return name == "content-length" or (name == "transfer-encoding" and "chunked" in value)
