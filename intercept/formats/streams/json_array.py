"""The elements of a JSON array, one by one, decoded from bytes that may be cut anywhere.

Google streams an array in which each element is a response. Source: RFC 8259, section 5. Where an element begins and ends
is all that is looked at; whether it is JSON is for its reader.
"""

from __future__ import annotations

import re
from typing import Final

from intercept.formats.streams.sse import MAX_EVENT_BYTES, Event

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

    tail = b""

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
