"""Compressed response bodies, read although the bridge requests no compression.

Source: RFC 9110, section 8.4 (Content-Encoding), RFC 1952 (gzip), RFC 1950 and 1951 (deflate).
"""

from __future__ import annotations

import zlib
from typing import Final

from msgspec import structs

from intercept.apis import Reader
from intercept.records import Reading

MAX_STEP_BYTES: Final = 64 * 1024
"""How much is inflated at a time."""
MAX_INFLATED_BYTES: Final = 16 * 1024 * 1024
"""How much of one body is inflated at most; what a bomb holds beyond that is not worth the time."""
MAX_RATIO: Final = 100
"""How many times its size a body may have when it is inflated. Streams of small events reach 40."""

_HEAD_BYTES: Final = 2


class OpaqueReader:
    """Reads nothing, of a body in an encoding it does not know."""

    def feed(self, chunk: bytes) -> None:
        """Pass the bytes on."""

    def result(self) -> Reading:
        """Return an opaque reading: whether the response is complete is the connection's word alone."""
        return Reading(open_ended=True)


class InflatingReader:
    """Inflates a body within bounds and hands it to a reader.

    Args:
        gzip: The encoding is gzip, else deflate (with a zlib header or, as some servers have it, without).
    """

    def __init__(self, reader: Reader, *, gzip: bool) -> None:
        self._reader = reader
        self._gzip = gzip
        self._room = MAX_INFLATED_BYTES
        self._allowed = MAX_STEP_BYTES
        self._head = b""
        self._is_full = False  # the inflater has more than was taken of it
        self._inflater: zlib._Decompress | None = None
        self._ended = False
        self._lost = False

    def feed(self, chunk: bytes) -> None:
        """Take the next compressed bytes. After corrupt ones, and beyond the most that is inflated, nothing is read."""
        self._allowed += MAX_RATIO * len(chunk)
        data = self._head + chunk
        self._head = b""
        try:
            while (data or self._is_full) and not self._ended:
                if self._inflater is None:
                    if len(data) < _HEAD_BYTES:
                        self._head = data
                        return
                    self._inflater = zlib.decompressobj(self._window(data))
                data = self._inflate(self._inflater, data)
        except zlib.error:
            self._ended = self._lost = True

    def _window(self, head: bytes) -> int:
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        has_zlib_header = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_zlib_header else -zlib.MAX_WBITS

    def _inflate(self, inflater: zlib._Decompress, data: bytes) -> bytes:
        """Inflate some of it and hand that on; return what follows: a gzip body may have several members."""
        piece = inflater.decompress(data, MAX_STEP_BYTES)
        most = max(min(self._room, self._allowed), 0)
        self._reader.feed(piece[:most])
        self._room -= len(piece)
        self._allowed -= len(piece)
        if len(piece) > most:
            self._ended = self._lost = True
        self._is_full = len(piece) == MAX_STEP_BYTES and not inflater.eof
        if inflater.eof:
            self._inflater = None
            self._ended = self._ended or not self._gzip
            return inflater.unused_data
        return inflater.unconsumed_tail

    def result(self) -> Reading:
        """Return the reading of the inflated bytes; opaque if some could not be inflated and the rest is incomplete."""
        reading = self._reader.result()
        return structs.replace(reading, open_ended=True) if self._lost and not reading.complete else reading


def decoded(reader: Reader, content_encoding: str) -> Reader:
    """Return a reader for the body as it is sent, given one for the body it means.

    Known are `gzip`, `deflate` and `identity`; any other `Content-Encoding`, or more than one, makes a reader that
    reads nothing and whose reading is opaque.
    """
    match content_encoding.strip().lower():
        case "" | "identity":
            return reader
        case "gzip" | "x-gzip":
            return InflatingReader(reader, gzip=True)
        case "deflate":
            return InflatingReader(reader, gzip=False)
        case _:
            return OpaqueReader()
