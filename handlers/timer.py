"""Measures the parts of a request, and makes the header with them.

`handlers.monitoring.otel` also sends them to a collector: it overrides methods that do nothing here.

Source: W3C, Server Timing, section 3 (https://www.w3.org/TR/server-timing/): durations are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from tornado.httputil import HTTPServerRequest

from handlers.lifecycle import ActiveRequest
from intercept.records import Connecting, Ending, StartRecord
from upstream.headers import Headers

SERVER_TIMING_HEADER = "Server-Timing"
AUTHENTICATION = "authentication"
ADMISSION = "admission"
RECORDING = "recording"
UPSTREAM = "upstream"
RELAY = "relay"
DNS, CONNECT, TLS = "dns", "connect", "tls"
# The parts in the header, and their names there.
_SERVER_TIMINGS = (
    *((AUTHENTICATION, "auth"), (ADMISSION, "admission"), (RECORDING, "record"), (UPSTREAM, "upstream")),
    *((DNS, "dns"), (CONNECT, "connect"), (TLS, "tls")),
)


class RequestTimer:
    """A stopwatch: one phase of a request at a time; a phase may come again.

    Args:
        clock: Counts seconds and never goes back.

    Attributes:
        seconds: What each phase that has ended took, all its times together.
    """

    __slots__ = ("_clock", "_phase", "_since", "seconds")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._phase: str | None = None
        self._since = 0.0

    def enter(self, phase: str | None) -> float:
        """Begin a phase, or with None what belongs to none. Return how many seconds it was since the last time."""
        now = self._clock()
        took = now - self._since
        if self._phase is not None:
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + took
        self._phase, self._since = phase, now
        return took

    def connected(self, connecting: Connecting) -> None:
        """Add what making a connection to a provider took: a part of `UPSTREAM`."""
        for phase, seconds in ((DNS, connecting.dns), (CONNECT, connecting.connect), (TLS, connecting.tls)):
            if seconds is not None:
                self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def server_timing(self) -> str:
        """Return the value of `Server-Timing`, empty when no phase has ended."""
        seconds = self.seconds
        return ", ".join(
            [f"{name};dur={seconds[phase] * 1000:.3f}" for phase, name in _SERVER_TIMINGS if phase in seconds]
        )

    def outgoing(self, headers: Headers) -> Headers:
        """Return the headers of a request to a provider, given those that it would have."""
        return headers

    def recorded(self, interception: StartRecord, ending: Ending) -> None:
        """Note how a recorded call ended."""

    def over(self, status: int | None, holder: ActiveRequest) -> None:
        """The request has ended: with the status that was sent, and all that is known of it."""


TimerFactory = Callable[[HTTPServerRequest], RequestTimer]
"""Begins to follow a request."""
