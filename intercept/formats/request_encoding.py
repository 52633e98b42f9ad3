"""How request bodies are encoded. Compressed ones are inflated for the record, within bounds.

Source: RFC 9110, section 8.3.2 (charset) and 8.4 (Content-Encoding), RFC 1952 (gzip), RFC 8878 and 9659 (zstd and its window).
"""

from __future__ import annotations

import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from gzip import GzipFile
from io import BytesIO
from typing import Final

from zstandard import ZstdDecompressor, ZstdError

from intercept.apis import InvalidRequestError
from intercept.formats.content_encoding import MAX_RATIO, MAX_STEP_BYTES
from intercept.refusals import Rule

IDENTITY: Final = "identity"
"""The encoding of a body that is not compressed."""
ENCODINGS: Final = ("gzip", "x-gzip", "zstd")
"""Those that are inflated."""

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
