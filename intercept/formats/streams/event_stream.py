"""AWS's event stream, `application/vnd.amazon.eventstream`, decoded from bytes that may be cut anywhere.

A message is its total length and the length of its headers (32 bits each), the CRC-32 of these eight bytes, the headers,
the payload, and the CRC-32 of everything before. All numbers are big endian.

Source: Smithy 2.0, "Amazon Event Stream Specification". The bounds are those of AWS's own decoders; that of the number of
headers is ours.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, TypeAlias
from zlib import crc32

from msgspec import Struct

MAX_HEADERS_BYTES: Final = 128 * 1024
"""The headers of a message, all together."""
MAX_HEADERS: Final = 256
"""How many headers a message may have. Those of Bedrock have three."""
MAX_PAYLOAD_BYTES: Final = 24 * 1024 * 1024
"""The payload of a message."""

Value: TypeAlias = bool | int | str | bytes
"""A header's value: a timestamp is a number of milliseconds since the epoch, a UUID its 16 bytes."""

_PRELUDE: Final = Layout(">III")
_CRC: Final = Layout(">I")
_NUMBERS: Final = {2: Layout(">b"), 3: Layout(">h"), 4: Layout(">i"), 5: Layout(">q"), 8: Layout(">q")}
_LENGTH: Final = Layout(">H")
_TRUE, _FALSE, _BYTES, _TEXT, _UUID = 0, 1, 6, 7, 9
_UUID_BYTES: Final = 16


class Message(Struct, frozen=True):
    """A message whose checksums are right."""

    headers: dict[str, Value]
    payload: bytes

    def text(self, name: str) -> str:
        """A header that is a text; "" where there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class _BrokenError(ValueError):
    """The stream is broken. Its text says how."""


class MessageDecoder:
    """Turns chunks into messages, the same messages wherever the chunks were cut. Holds no more than one message.

    A broken message ends the decoding: `fault` then says what is wrong with it, and what follows is passed over. It is ""
    until then.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._held = bytearray()

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished message are held."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Message]:
        """Take the next bytes; return the messages they end."""
        messages: list[Message] = []
        if self.fault:
            return messages
        self._held += chunk
        at = 0
        try:
            while len(self._held) - at >= _PRELUDE.size:
                total, headers = self._lengths(at)
                if len(self._held) - at < total:
                    break
                messages.append(_read_message(bytes(memoryview(self._held)[at : at + total]), headers))
                at += total
        except _BrokenError as error:
            self.fault = str(error)
            at = len(self._held)
        del self._held[:at]
        return messages

    def _lengths(self, at: int) -> tuple[int, int]:
        """Read the length of the message that begins there, and that of its headers."""
        total, headers, crc = _PRELUDE.unpack_from(self._held, at)
        _check(crc32(self._held[at : at + _PRELUDE.size - _CRC.size]), crc, "a message's lengths")
        payload = total - headers - _PRELUDE.size - _CRC.size
        if headers > MAX_HEADERS_BYTES:
            raise _BrokenError(f"a message has {headers} bytes of headers: at most {MAX_HEADERS_BYTES} are allowed")
        if payload > MAX_PAYLOAD_BYTES:
            raise _BrokenError(f"a message has a payload of {payload} bytes: at most {MAX_PAYLOAD_BYTES} are allowed")
        if payload < 0:
            raise _BrokenError(f"a message of {total} bytes has no room for {headers} bytes of headers")
        return total, headers


def _read_message(message: bytes, headers_bytes: int) -> Message:
    content = memoryview(message)[: -_CRC.size]
    _check(crc32(content), _CRC.unpack_from(message, len(content))[0], "a message")
    headers_end = _PRELUDE.size + headers_bytes
    return Message(_headers(message[_PRELUDE.size : headers_end]), bytes(content[headers_end:]))


def _check(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise _BrokenError(f"the checksum of {what} is {expected:08x}, but that of its bytes is {found:08x}")


def _headers(data: bytes) -> dict[str, Value]:
    headers: dict[str, Value] = {}
    at = 0
    while at < len(data):
        if len(headers) >= MAX_HEADERS:
            raise _BrokenError(f"a message has more than {MAX_HEADERS} headers")
        name, at = _text(data, at + 1, data[at])
        if name in headers:
            raise _BrokenError("a message has the same header twice")
        headers[name], at = _value(data, at)
    return headers


def _value(data: bytes, at: int) -> tuple[Value, int]:
    """Read a value, which begins with its type; return it, and where the next header begins."""
    kind = _cut(data, at, 1)[0]
    at += 1
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if (number := _NUMBERS.get(kind)) is not None:
        return number.unpack(_cut(data, at, number.size))[0], at + number.size
    if kind == _UUID:
        return _cut(data, at, _UUID_BYTES), at + _UUID_BYTES
    if kind not in (_BYTES, _TEXT):
        raise _BrokenError(f"a header has a value of the unknown type {kind}")
    length = _LENGTH.unpack(_cut(data, at, _LENGTH.size))[0]
    at += _LENGTH.size
    return _text(data, at, length) if kind == _TEXT else (_cut(data, at, length), at + length)


def _text(data: bytes, at: int, length: int) -> tuple[str, int]:
    try:
        return _cut(data, at, length).decode(), at + length
    except UnicodeDecodeError as error:
        raise _BrokenError("a header is not UTF-8") from error


def _cut(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise _BrokenError("a header is longer than all headers of its message")
    return data[at : at + length]
