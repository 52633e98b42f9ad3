"""Compressed bodies, inflated for the record within bounds: of responses (the bridge requests no compression) and requests.

Source: RFC 9110, section 8.3.2 (charset) and 8.4 (Content-Encoding), RFC 1952 (gzip), RFC 1950 and 1951 (deflate), RFC 8878
and 9659 (zstd and its window).
"""

from __future__ import annotations

import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from gzip import GzipFile
from io import BytesIO
from typing import Final

from msgspec import structs
from zstandard import ZstdDecompressor, ZstdError

from intercept.apis import InvalidRequestError, Reader
from intercept.records import Reading
from intercept.refusals import Rule

MAX_STEP_BYTES: Final = 64 * 1024
"""How much is inflated at a time."""
MAX_INFLATED_BYTES: Final = 16 * 1024 * 1024
"""How much of one body is inflated at most; what a bomb holds beyond that is not worth the time."""
MAX_RATIO: Final = 100
"""How many times its size a body may have when it is inflated. Streams of small events reach 40."""


class OpaqueReader:
    """Reads nothing, of a body in an encoding it does not know."""

    def feed(self, chunk: bytes) -> None:
        """Pass the bytes on."""

    def result(self) -> Reading:
        """Return an opaque reading: whether the response is complete is the connection's word alone."""
        return Reading(open_ended=True)


class InflatingReader:
    """Inflates a body of gzip or zlib within bounds and hands it to a reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)  # it tells by the header which of them it is
        self._room = MAX_INFLATED_BYTES
        self._allowed = MAX_STEP_BYTES
        self._lost = False

    def feed(self, chunk: bytes) -> None:
        """Take the next compressed bytes. After corrupt ones, and beyond the most that is inflated, nothing is read."""
        self._allowed += MAX_RATIO * len(chunk)
        is_full = False  # the inflater has more than was taken of it
        try:
            while (chunk or is_full) and not (self._lost or self._inflater.eof):
                piece = self._inflater.decompress(chunk, MAX_STEP_BYTES)
                most = max(min(self._room, self._allowed), 0)
                self._reader.feed(piece[:most])
                self._room -= len(piece)
                self._allowed -= len(piece)
                self._lost = len(piece) > most
                is_full = len(piece) == MAX_STEP_BYTES
                chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
        except zlib.error:
            self._lost = True
        self._lost = self._lost or bool(chunk)  # what is behind the end is not read

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
        case "gzip" | "x-gzip" | "deflate":
            return InflatingReader(reader)
        case _:
            return OpaqueReader()


IDENTITY: Final = "identity"
"""The encoding of a body that is not compressed."""
ENCODINGS: Final = ("gzip", "x-gzip", "zstd")
"""The encodings of compressed bodies that can be read."""

_WINDOW_BYTES: Final = 8 * 1024 * 1024
_UTF8_BYTES: Final = 1024 * 1024
_CHARSET: Final = re.compile("charset", re.IGNORECASE)
_WITH_ASCII: Final = re.compile(
    r";\s*charset\s*=\s*(\"?)(?:utf-?8|(?:us-)?ascii|iso-8859-1|latin-?1|windows-1252)\1\s*(?=[;,]|$)", re.IGNORECASE
)


def has_ascii(content_type: str) -> bool:
    """Whether what looks like ASCII in a body is that to everybody: where a charset is named, it is one that contains ASCII.

    Some servers decode JSON and the fields of forms by it, and another model is named then (`gpt+AC0-5` in UTF-7).
    """
    return len(_CHARSET.findall(content_type)) == len(_WITH_ASCII.findall(content_type))


def check_utf8(body: bytes) -> None:
    """Check the encoding of JSON, a part at a time, as its text may take four times as much memory.

    Raises:
        InvalidRequestError: It is not UTF-8.
    """
    if body.isascii():
        return
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _UTF8_BYTES):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(body[start : start + _UTF8_BYTES], final=start + _UTF8_BYTES >= len(body))
        except UnicodeDecodeError as error:
            place = start - held + error.start
            raise InvalidRequestError(f"request body is not valid UTF-8 (byte {place})") from error


class InflatedTooLargeError(InvalidRequestError):
    """The body is larger than allowed when it is inflated, or many times its size."""

    def __init__(self, most: int) -> None:
        message = f"The inflated request body is larger than the allowed {most} bytes."
        super().__init__(message, 413, rule=Rule.BODY_TOO_LARGE)


def inflated(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Inflate a request body that has one of `ENCODINGS`.

    Raises:
        InflatedTooLargeError: It is larger, or more than `MAX_RATIO` times its size.
        InvalidRequestError: It is not compressed as it says.
    """
    most = min(max_bytes, MAX_RATIO * len(body) + MAX_STEP_BYTES)
    whole = bytearray()
    try:
        for piece in _unzstd(body) if encoding == "zstd" else _gunzip(body):
            whole += piece
            if len(whole) > most:
                raise InflatedTooLargeError(most)
    except (zlib.error, OSError, EOFError, ZstdError) as error:
        raise InvalidRequestError(f"request body is not valid {encoding}: {error}") from error
    return bytes(whole)


def _gunzip(body: bytes) -> Iterator[bytes]:
    with GzipFile(fileobj=BytesIO(body)) as source:
        while piece := source.read(MAX_STEP_BYTES):
            yield piece


def _unzstd(body: bytes) -> Iterator[bytes]:
    source = ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(body, read_across_frames=True)
    while piece := source.read(MAX_STEP_BYTES):
        yield piece
