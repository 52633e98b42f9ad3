"""Pings: what a stream says while its provider says nothing, for proxies that close what is silent.

Sources: Anthropic's API reference, "Streaming messages", by which a `ping` may come anywhere among the events; WHATWG
HTML, section 9.2.7, which recommends comments for this purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from intercept.apis import Dialect
from upstream.connection import Sink

PINGS = dict.fromkeys(Dialect, b": ping\n\n") | {Dialect.ANTHROPIC: b'event: ping\ndata: {"type": "ping"}\n\n'}
"""The ping of each dialect, to stand between two events."""


class Pings:
    """Pings each time that nothing has come for so long, on one event loop. `close` when nothing more will.

    Args:
        seconds: How long; 0 is for ever.
        ping: Called each time.
    """

    def __init__(self, seconds: float, ping: Callable[[], None]) -> None:
        self._seconds = seconds
        self._ping = ping
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._look) if seconds else None

    def before(self, sink: Sink) -> Sink:
        """Put before a sink what notes that something has come."""

        def noted(piece: bytes) -> bool:
            self._since = self._loop.time()
            return sink(piece)

        return noted if self._seconds else sink

    def close(self) -> None:
        """Ping no more. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._since >= self._seconds:
            self._ping()
            self._since = now
        self._timer = self._loop.call_at(self._since + self._seconds, self._look)
