"""Formats of streams, decoded from bytes that may be cut anywhere: server-sent events, JSON arrays, AWS's event stream.

- Server-sent events: WHATWG HTML Living Standard, section 9.2 (parsing and interpreting an event stream). Two differences:
  `id` and `retry` are not kept, since nothing here reconnects, and an event has a largest size.
- JSON arrays (RFC 8259, section 5): Google streams one in which each element is a response. Where an element begins and ends
  is all that is looked at; whether it is JSON is for its reader.
- AWS's event stream, `application/vnd.amazon.eventstream` (Smithy 2.0, "Amazon Event Stream Specification"). A message is its
  total length and the length of its headers (32 bits each), the CRC-32 of these eight bytes, the headers, the payload, and the
  CRC-32 of everything before. All numbers are big endian. The bounds are those of AWS's own decoders; that of the number of
  headers is ours.
"""

from __future__ import annotations

import re
from struct import Struct as Layout
from typing import Final
from zlib import crc32

from msgspec import Struct

from intercept.formats.json_text import MAX_TAIL_BYTES

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""The most one event may hold. Events that repeat a whole response, generated images included, stay well below."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data"
_EVENT: Final = b"event"
_LINE_FEED: Final = 10  # to look for a byte takes a fifth of the time that bytes take


class Event(Struct, frozen=True):
    """One dispatched event. An `oversized` one has kept its name, and of its data at most the end."""

    data: bytes
    name: str = "message"
    oversized: bool = False


class Decoder:
    """Turns chunks into events, the same events wherever the chunks were cut.

    Every byte is looked at a fixed number of times, and no more than a line, the data and the name of one event are held.

    Args:
        max_event_bytes: The most one line, and all data of one event together, may hold; what is larger is dropped.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._tail = b""  # of the last line that was dropped
        self._max_event_bytes = max_event_bytes
        self._tail_bytes = min(MAX_TAIL_BYTES, max_event_bytes)
        self._is_rest = False  # what is held of the line is the end of what was dropped
        self._first_line = True
        self._after_cr = False
        self._line = bytearray()
        self._data = bytearray()
        self._name = b""
        self._oversized = False
        self._unfinished = False

    @property
    def held_bytes(self) -> int:
        """How many bytes of the unfinished event are held."""
        return len(self._line) + len(self._data)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events they end. What a stream leaves unfinished at its end is no event."""
        events: list[Event] = []
        if len(chunk) <= self._max_event_bytes and b"\r" not in chunk:
            if self._unfinished:
                chunk = self._decode_rest_of_event(chunk, events)
            if not self._unfinished:
                chunk = self._decode_usual_events(chunk, events)
        if chunk:
            self._decode_lines(chunk, events)
            self._unfinished = bool(self.held_bytes or self._name or self._oversized)
        return events

    def _decode_rest_of_event(self, chunk: bytes, events: list[Event]) -> bytes:
        """Decode the rest of the event that began before; return what follows it, all if its end is not there."""
        end = chunk.find(b"\n\n") + 2
        if end > 1:
            self._decode_lines(chunk[:end], events)
            self._unfinished = False
            return chunk[end:]
        return chunk

    def _decode_usual_events(self, chunk: bytes, events: list[Event]) -> bytes:
        """Decode events as providers send them, at once, in a quarter of the time that lines take; return the rest."""
        *blocks, rest = chunk.split(b"\n\n")
        for number, block in enumerate(blocks):
            name, line = b"", block
            if line.startswith(b"event: "):
                name, _, line = line[7:].partition(b"\n")
            if not line.startswith(b"data:") or _LINE_FEED in line:
                return b"\n\n".join([*blocks[number:], rest])
            data = line[6:] if line.startswith(b"data: ") else line[5:]
            events.append(Event(data, name.decode("utf-8", "replace")) if name else Event(data))
            self._first_line = False
        return rest

    def _decode_lines(self, chunk: bytes, events: list[Event]) -> None:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        unfinished = b"" if chunk.endswith((b"\r", b"\n")) else lines.pop()
        events += [event for line in lines if (event := self._end_line(line))]
        self._hold(unfinished)

    def _hold(self, piece: bytes) -> None:
        self._line += piece
        if len(self._line) > self._max_event_bytes:
            self._drop_data()
            del self._line[: -self._tail_bytes]
            self._is_rest = True

    def _end_line(self, line: bytes | bytearray) -> Event | None:
        if self._line:
            self._line += line
            line, self._line = self._line, bytearray()
        if self._is_rest or len(line) > self._max_event_bytes:
            self._drop_data()
            self._tail, self._is_rest = bytes(line[-self._tail_bytes :]), False
            line = b":"
        if self._first_line:
            self._first_line = False
            if line.startswith(_BYTE_ORDER_MARK):  # noqa: FURB188 - which copies a bytearray that has none
                line = line[len(_BYTE_ORDER_MARK) :]
        if not line:
            return self._dispatch()
        colon = line.find(b":")
        end = len(line) if colon < 0 else colon
        start = end + 1 + line.startswith(b" ", end + 1)
        if end == len(_DATA) and line.startswith(_DATA) and not self._oversized:
            self._add_data(memoryview(line)[start:])
        elif end == len(_EVENT) and line.startswith(_EVENT):
            self._name = bytes(line[start:])
        return None

    def _add_data(self, value: memoryview) -> None:
        if self.held_bytes + len(value) > self._max_event_bytes:
            self._drop_data()
            self._tail = bytes(value[-self._tail_bytes :])
        else:
            self._data += value
            self._data += b"\n"

    def _drop_data(self) -> None:
        self._oversized = True
        self._data.clear()

    def _dispatch(self) -> Event | None:
        event = None
        if self._data or self._oversized:
            name = self._name.decode("utf-8", "replace") or "message"
            event = Event(self._tail if self._oversized else bytes(self._data[:-1]), name, self._oversized)
        self._data.clear()
        self._name = self._tail = b""
        self._oversized = False
        return event


_OUTSIDE: Final = re.compile(rb'["\[\]{},]')
_INSIDE: Final = re.compile(rb'["\\]')
_OPENING: Final = (b"[", b"{")
_SPACE: Final = b" \t\r\n"


class ArrayDecoder:
    """Turns chunks into elements, the same elements wherever the chunks were cut. Each is an `Event` without a name.

    An element of more than `MAX_EVENT_BYTES` is dropped.

    Attributes:
        closed: Whether the end of the array came. What follows it is not looked at.
    """

    def __init__(self) -> None:
        self.closed = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._element = bytearray()
        self._oversized = False

    @property
    def held_bytes(self) -> int:
        """How many bytes of the unfinished element are held."""
        return len(self._element)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the elements that they end."""
        elements: list[Event] = []
        start = at = 0
        while not self.closed and (found := self._next_symbol(chunk, at)) is not None:
            at = found.end()
            symbol = found[0]
            if self._depth == 1 and symbol in (b",", b"]"):
                self._hold(chunk[start : at - 1])
                self._end_element(elements)
                self.closed = symbol == b"]"
                start = at
            elif symbol in _OPENING:
                self._depth += 1
                start = at if self._depth == 1 else start
            elif symbol != b",":
                self._depth -= 1
                if self._depth < 1:  # what ended was no array
                    self._drop_element()
        if not self.closed and self._depth > 0:
            self._hold(chunk[start:])
        return elements

    def _next_symbol(self, chunk: bytes, at: int) -> re.Match[bytes] | None:
        """Find the next mark outside of strings, from `at` on."""
        while at < len(chunk):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_INSIDE if self._in_string else _OUTSIDE).search(chunk, at)
            if found is None:
                return None
            at = found.end()
            if found[0] == b'"':
                self._in_string = not self._in_string
            elif self._in_string:
                self._escaped = True
            else:
                return found
        return None

    def _hold(self, piece: bytes) -> None:
        if self._oversized or len(self._element) + len(piece) > MAX_EVENT_BYTES:
            self._oversized = True
            self._element.clear()
        else:
            self._element += piece

    def _end_element(self, elements: list[Event]) -> None:
        data = bytes(self._element).strip(_SPACE)
        if data or self._oversized:
            elements.append(Event(data, oversized=self._oversized))
        self._drop_element()

    def _drop_element(self) -> None:
        self._element.clear()
        self._oversized = False


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
