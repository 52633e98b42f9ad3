"""AWS's event stream, `application/vnd.amazon.eventstream`, decoded from bytes that may be cut anywhere.

A message is its total length and the length of its headers (32 bits each), the CRC-32 of these eight bytes, the headers,
the payload, and the CRC-32 of everything before. All numbers are big endian.

Source: Smithy 2.0, "Amazon Event Stream Specification". The bounds are those of AWS's own decoders; that of the number of
headers is ours.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final
from zlib import crc32

from msgspec import Struct

MAX_HEADERS_BYTES: Final = 128 * 1024
"""The headers of a message, all together."""
MAX_HEADERS: Final = 256
"""How many headers a message may have. Those of Bedrock have three."""
MAX_PAYLOAD_BYTES: Final = 24 * 1024 * 1024
"""The payload of a message."""

_PRELUDE: Final = Layout(">III")
_CRC: Final = Layout(">I")
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""How many bytes a header's value has, by its type. Before bytes and a text stands their length."""
_BYTES, _TEXT = 6, 7
_LENGTH_BYTES: Final = 2


class Message(Struct, frozen=True):
    """A message whose checksums are right: its payload, and those of its headers that are texts."""

    texts: dict[str, str]
    payload: bytes


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
    try:
        texts = _texts(message[_PRELUDE.size : headers_end])
    except UnicodeDecodeError as error:
        raise _BrokenError("a header is not UTF-8") from error
    return Message(texts, bytes(content[headers_end:]))


def _check(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise _BrokenError(f"the checksum of {what} is {expected:08x}, but that of its bytes is {found:08x}")


def _texts(headers: bytes) -> dict[str, str]:
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        begin, at = at, at + length
        if at > len(headers):
            raise _BrokenError("a header is longer than all headers of its message")
        return headers[begin:at]

    names: set[str] = set()
    texts: dict[str, str] = {}
    while at < len(headers):
        if len(names) >= MAX_HEADERS:
            raise _BrokenError(f"a message has more than {MAX_HEADERS} headers")
        name = take(take(1)[0]).decode()
        if name in names:
            raise _BrokenError("a message has the same header twice")
        names.add(name)
        kind = take(1)[0]
        size = int.from_bytes(take(_LENGTH_BYTES)) if kind in (_BYTES, _TEXT) else _SIZES.get(kind)
        if size is None:
            raise _BrokenError(f"a header has a value of the unknown type {kind}")
        value = take(size)
        if kind == _TEXT:
            texts[name] = value.decode()
    return texts
