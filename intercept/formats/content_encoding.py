"""Compressed response bodies, read although the bridge requests no compression.

Source: RFC 9110, section 8.4 (Content-Encoding), RFC 1952 (gzip), RFC 1950 and 1951 (deflate).
"""

from __future__ import annotations

import zlib
from typing import Final

from msgspec import structs

from intercept.apis import AtOnce, Reader
from intercept.records import Reading

MAX_STEP_BYTES: Final = 64 * 1024
"""How much is inflated at a time."""
MAX_COMPRESSED_BYTES: Final = 8 * 1024
"""Of how many bytes: each 20 of them may be a body of their own."""
MAX_INFLATED_BYTES: Final = 16 * 1024 * 1024
"""How much of one body is inflated at most; what a bomb holds beyond that is not worth the time."""
MAX_RATIO: Final = 100
"""How many times its size a body may have when it is inflated. Streams of small events reach 40."""

_HEAD_BYTES: Final = 2


class OpaqueReader(AtOnce):
    """Reads nothing, of a body in an encoding it does not know."""

    def feed(self, chunk: bytes) -> None:
        """Pass the bytes on."""

    def result(self) -> Reading:
        """Return an opaque reading: whether the response is complete is the connection's word alone."""
        return Reading(open_ended=True)


class InflatingReader:
    """Inflates a body in bounded steps and hands it to a reader.

    Args:
        gzip: The encoding is gzip, else deflate (with a zlib header or, as some servers have it, without).
    """

    def __init__(self, reader: Reader, *, gzip: bool) -> None:
        self._reader = reader
        self._gzip = gzip
        self._room = MAX_INFLATED_BYTES
        self._allowed = MAX_STEP_BYTES
        self._compressed = bytearray()
        self._inflater: zlib._Decompress | None = None
        self._inflater_is_full = False
        self._ended = False
        self._lost = False

    @property
    def behind(self) -> bool:
        """Whether more is held than is inflated and read at once."""
        return self._can_inflate or self._reader.behind

    def feed(self, chunk: bytes) -> None:
        """Take the next compressed bytes. After corrupt ones, and beyond the most that is inflated, nothing is read."""
        if self._ended:
            return
        self._allowed += MAX_RATIO * len(chunk)
        was_behind = self.behind
        self._compressed += chunk
        if self._can_inflate and not was_behind:
            self._inflate_some()

    def step(self) -> bool:
        """Inflate a piece, or continue with the previous one; return whether there is more."""
        if self._can_inflate and not self._reader.behind:
            self._inflate_some()
            return True
        return self._reader.step() or self._can_inflate

    def _window(self, head: bytes) -> int:
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        has_zlib_header = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_zlib_header else -zlib.MAX_WBITS

    @property
    def _can_inflate(self) -> bool:
        needed = _HEAD_BYTES if self._inflater is None else 1
        return not self._ended and (len(self._compressed) >= needed or self._inflater_is_full)

    def _inflate_some(self) -> None:
        """Inflate no more than is read at once, and pass it on."""
        data = bytes(self._compressed[:MAX_COMPRESSED_BYTES])
        del self._compressed[:MAX_COMPRESSED_BYTES]
        room = MAX_STEP_BYTES
        try:
            while room > 0 and not self._ended and (data or self._inflater_is_full):
                if self._inflater is None:
                    if len(data) < _HEAD_BYTES:
                        break
                    self._inflater = zlib.decompressobj(self._window(data))
                piece, data = self._inflate(self._inflater, data, room)
                room -= len(piece)
                self._hand_on(piece)
        except zlib.error:
            self._ended = self._lost = True
        self._compressed[:0] = data
        if self._ended:
            self._compressed.clear()

    def _inflate(self, inflater: zlib._Decompress, data: bytes, size: int) -> tuple[bytes, bytes]:
        """Inflate, and return what follows too: a gzip body may have several members, one after the other."""
        piece = inflater.decompress(data, size)
        self._inflater_is_full = len(piece) == size and not inflater.eof
        if inflater.eof:
            self._inflater = None
            self._ended = not self._gzip
            return piece, inflater.unused_data
        return piece, inflater.unconsumed_tail

    def _hand_on(self, piece: bytes) -> None:
        self._reader.feed(piece[: max(self._room, 0)])
        self._room -= len(piece)
        self._allowed -= len(piece)
        if min(self._room, self._allowed) < 0:
            self._ended = self._lost = True

    def result(self) -> Reading:
        """Return the reading of the inflated bytes; opaque if some could not be inflated and the rest is incomplete."""
        while self.step():
            pass
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
