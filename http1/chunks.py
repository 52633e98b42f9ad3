"""The chunked transfer coding of one body (RFC 9112 section 7.1). No I/O.

llhttp reads it, strictly. As it neither stops behind a body nor says where that was, it is fed up to each place where the
body may end, and asked there whether it does. Trailers are refused: nobody here reads them, and some servers take them for
headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from httptools import HttpParserError, HttpRequestParser

from http1.errors import InvalidRequestError
from intercept.refusals import Rule

MAX_CHUNK_LINE_BYTES = 4096
"""About the most that may come of what stands before a chunk, its size and extensions, without any of the chunk."""

LINE_TOO_LARGE = f"what stands before a chunk of its body has more than {MAX_CHUNK_LINE_BYTES} bytes"
TRAILERS = "trailers are not accepted"

_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"\r\n\r\n"
# The last chunk: one of no bytes behind the line end of another, with the empty line that ends the body.
_LAST_CHUNK = re.compile(rb"(?<=\n)0+(?:;[^\r\n]*)?\r\n\r\n")


class Chunks:
    """Takes the body of a request out of its chunks.

    Args:
        add: Is given each piece of it.

    Attributes:
        over: Whether the last chunk was read.
    """

    __slots__ = ("_add", "_in_body", "_parser", "_tail", "_told", "_untold_bytes", "over")

    def __init__(self, add: Callable[[bytes], None]) -> None:
        self.over = False
        self._add = add
        self._in_body = False
        self._tail = b""
        self._told = False
        self._untold_bytes = 0
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def read(self, data: bytes | bytearray, position: int) -> int:
        """Give the request what `data` has of its body from `position` on.

        Returns:
            Where the body ends in `data`, or its length.

        Raises:
            InvalidRequestError: It is not chunked, or has trailers.
        """
        for place in self._places(data, position):
            if place <= position:
                continue
            part = bytes(data[position:place])
            self._feed(part)
            position = place
            if self.over:
                self._parser = None  # which refers back
                break
            self._tail = (self._tail + part)[1 - len(_END) :]
        return position

    def _places(self, data: bytes | bytearray, start: int) -> Iterator[int]:
        """Every place where the body may end, and the end of the data."""
        across = (self._tail + data[start : start + len(_END) - 1]).find(_END)
        if across >= 0:
            yield start + across + len(_END) - len(self._tail)
        begun = data.find(_END, start)
        if begun >= 0 and data.find(b"\n", start, begun) < 0:  # of a last chunk that began in what came before
            yield begun + len(_END)
        for last in _LAST_CHUNK.finditer(data, start):
            yield last.end()
        yield len(data)

    def _feed(self, part: bytes) -> None:
        assert self._parser is not None  # noqa: S101 - it is not over
        self._told = False
        try:
            self._parser.feed_data(part)
        except HttpParserError as error:
            raise InvalidRequestError.of(error) from error
        self._untold_bytes = 0 if self._told else self._untold_bytes + len(part)
        if self._untold_bytes > MAX_CHUNK_LINE_BYTES:
            raise InvalidRequestError(LINE_TOO_LARGE, Rule.HEAD_TOO_LARGE)

    def on_body(self, piece: bytes) -> None:
        """Add to the body."""
        self._told = True
        self._add(piece)

    def on_header(self, _name: bytes, _value: bytes) -> None:
        """Refuse a trailer; the header of the head that the parser was given is none.

        Raises:
            InvalidRequestError: Always, behind that head.
        """
        if self._in_body:
            raise InvalidRequestError(TRAILERS)

    def on_headers_complete(self) -> None:
        """Note that the body begins."""
        self._in_body = True

    def on_message_complete(self) -> None:
        """Note the end."""
        self.over = True

    def on_url(self, part: bytes) -> None:
        """Refuse what comes behind the end, which is not fed."""
        if self.over:
            raise InvalidRequestError(f"{part!r} comes behind its body")
