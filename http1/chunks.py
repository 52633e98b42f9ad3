"""The chunked transfer coding of one body (RFC 9112 section 7.1). No I/O.

llhttp parses it, strictly. But llhttp does not stop after a body, and does not say where the body ended. So it is fed up to
each position where the body may end, and then asked whether it does. Trailers are refused: nobody here reads them, and some
servers take them for headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from httptools import HttpParserError, HttpRequestParser

from http1.errors import InvalidRequestError
from intercept.refusals import Rule

MAX_CHUNK_LINE_BYTES = 4096
"""About how long the line before a chunk may be: its size and extensions."""

LINE_TOO_LARGE = f"what stands before a chunk of its body has more than {MAX_CHUNK_LINE_BYTES} bytes"
TRAILERS = "trailers are not accepted"

_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"\r\n\r\n"
# The last chunk: it has no bytes, follows the line end of another chunk, and is followed by the empty line that ends the body.
_LAST_CHUNK = re.compile(rb"(?<=\n)0+(?:;[^\r\n]*)?\r\n\r\n")


class Chunks:
    """Extracts the body of a request from its chunks.

    Args:
        add: Called with each piece of the body.

    Attributes:
        complete: Whether the last chunk was read.
    """

    __slots__ = ("_add", "_bytes_without_progress", "_in_body", "_parser", "_progressed", "_tail", "complete")

    def __init__(self, add: Callable[[bytes], None]) -> None:
        self.complete = False
        self._add = add
        self._in_body = False
        self._tail = b""
        self._progressed = False
        self._bytes_without_progress = 0
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def read(self, data: bytes | bytearray, position: int) -> int:
        """Extract what `data` has of the body from `position` on.

        Returns:
            The position in `data` where the body ends, or the length of `data`.

        Raises:
            InvalidRequestError: The body is not chunked, or has trailers.
        """
        for end in self._possible_ends(data, position):
            if end <= position:
                continue
            part = bytes(data[position:end])
            self._feed(part)
            position = end
            if self.complete:
                self._parser = None  # it refers back
                break
            self._tail = (self._tail + part)[1 - len(_END) :]
        return position

    def _possible_ends(self, data: bytes | bytearray, start: int) -> Iterator[int]:
        """Yield every position where the body may end, and the end of the data."""
        across = (self._tail + data[start : start + len(_END) - 1]).find(_END)
        if across >= 0:
            yield start + across + len(_END) - len(self._tail)
        begun = data.find(_END, start)
        if begun >= 0 and data.find(b"\n", start, begun) < 0:  # the last chunk began in earlier data
            yield begun + len(_END)
        for last in _LAST_CHUNK.finditer(data, start):
            yield last.end()
        yield len(data)

    def _feed(self, part: bytes) -> None:
        assert self._parser is not None  # noqa: S101 - the body is not complete
        self._progressed = False
        try:
            self._parser.feed_data(part)
        except HttpParserError as error:
            raise InvalidRequestError.of(error) from error
        self._bytes_without_progress = 0 if self._progressed else self._bytes_without_progress + len(part)
        if self._bytes_without_progress > MAX_CHUNK_LINE_BYTES:
            raise InvalidRequestError(LINE_TOO_LARGE, Rule.HEAD_TOO_LARGE)

    def on_body(self, piece: bytes) -> None:
        """Add to the body."""
        self._progressed = True
        self._add(piece)

    def on_header(self, _name: bytes, _value: bytes) -> None:
        """Refuse a trailer. The header that the parser was given first is not one.

        Raises:
            InvalidRequestError: Always, after that header.
        """
        if self._in_body:
            raise InvalidRequestError(TRAILERS)

    def on_headers_complete(self) -> None:
        """Note that the body starts."""
        self._in_body = True

    def on_message_complete(self) -> None:
        """Note the end."""
        self.complete = True

    def on_url(self, part: bytes) -> None:
        """Refuse data after the end of the body; none should be fed."""
        if self.complete:
            raise InvalidRequestError(f"{part!r} comes behind its body")
