"""Pings between two events of a stream, for proxies that close silent connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

from upstream.connections.connection import OnChunk

# Headers of a stream in which nothing can be put between two events.
_WITHOUT_ROOM = ("Content-Length", "Content-Encoding")
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
_TAIL_BYTES = 4


class EventGaps:
    """Follows the bytes of a response, from `begin` on, if it is an event stream of unknown length."""

    __slots__ = ("_is_open", "_tail")

    def __init__(self) -> None:
        self._is_open = False
        self._tail = b""

    def begin(self, headers: Container[str], *, is_event_stream: bool) -> None:
        """Note the head of the response."""
        self._is_open = is_event_stream and not any(name in headers for name in _WITHOUT_ROOM)

    def passed(self, piece: bytes) -> None:
        """Note a piece of its body."""
        self._tail = (self._tail + piece[-_TAIL_BYTES:])[-_TAIL_BYTES:]

    @property
    def has_room(self) -> bool:
        """Whether the response is between two events."""
        return self._is_open and self._tail.endswith(_BLANK_LINES)


class Pings:
    """Calls `ping` whenever nothing has arrived for some time, on one event loop. `close` it at the end.

    Args:
        seconds: That time; 0 is never.
        ping: Called each time.
    """

    def __init__(self, seconds: float, ping: Callable[[], None]) -> None:
        self._seconds = seconds
        self._ping = ping
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._ping_if_due) if seconds else None

    def before(self, on_chunk: OnChunk) -> OnChunk:
        """Wrap a callback so that every piece restarts the time."""

        def noted(piece: bytes) -> bool:
            self._since = self._loop.time()
            return on_chunk(piece)

        return noted if self._seconds else on_chunk

    def close(self) -> None:
        """Stop. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ping_if_due(self) -> None:
        now = self._loop.time()
        if now - self._since >= self._seconds:
            self._ping()
            self._since = now
        self._timer = self._loop.call_at(self._since + self._seconds, self._ping_if_due)
