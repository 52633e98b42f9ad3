"""Server-sent events, decoded from bytes that may be cut anywhere.

Source: WHATWG HTML Living Standard, section 9.2, "Server-sent events" (parsing and interpreting an event stream). Two
differences: `id` and `retry` are not kept, since nothing here reconnects, and an event has a largest size.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from intercept.formats.last_members import MAX_TAIL_BYTES

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""The most one event may hold. Events that repeat a whole response, generated images included, stay well below."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data"
_EVENT: Final = b"event"
_LINE_FEED: Final = 10  # to look for a byte takes a fifth of the time that bytes take


class Event(Struct, frozen=True):
    """One dispatched event. An `oversized` one has lost its data and kept its name; the decoder has the end of its data."""

    data: bytes
    name: str = "message"
    oversized: bool = False


class Decoder:
    """Turns chunks into events, the same events wherever the chunks were cut.

    Every byte is looked at a fixed number of times, and no more than a line, the data and the name of one event are held.

    Args:
        max_event_bytes: The most one line, and all data of one event together, may hold; what is larger is dropped.

    Attributes:
        tail: The end of the last line that was dropped.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.tail = b""
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
            self.tail, self._is_rest = bytes(line[-self._tail_bytes :]), False
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
            self.tail = bytes(value[-self._tail_bytes :])
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
            event = Event(bytes(self._data[:-1]), name, self._oversized)
        self._data.clear()
        self._name = b""
        self._oversized = False
        return event
