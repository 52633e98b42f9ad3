"""The relay: the answer of an upstream comes back to the client, byte for byte, each as soon as it is there."""

from __future__ import annotations

from asyncio import Future
from typing import Protocol

from tornado.iostream import StreamClosedError

from handlers.dataplane.pings import PINGS, Pings
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.refused import RETRY_HEADER
from handlers.dataplane.states import RELAY_ENDS
from handlers.timer import RELAY
from handlers.tornado_private import headers_of
from http1.headers import add_checked
from intercept.apis import EVENT_STREAM
from intercept.dialects.openai.stream_usage import UsageChunkFilter
from intercept.records import EndReason
from upstream.client import UpstreamResponse
from upstream.connections.idle_timer import IdleTimer
from upstream.credentials.keys import UNAUTHORIZED
from upstream.headers import to_client

NO_CONTENT = 204
# A client has to take each piece of an answer within this time; one that reads nothing would hold its slot for ever.
TAKE_SECONDS = 300.0
# What a provider tells in these of its own limits reaches the client, in the place of the bridge's.
RATE_LIMIT_HEADERS = ("RateLimit", "RateLimit-Policy")


class Watcher(Protocol):
    """Who sees a copy of what is relayed."""

    def watch(self, piece: bytes) -> bool:
        """Look at a piece of the answer that was passed on; whether the next one may come, else after `catch_up`."""

    async def catch_up(self) -> None:
        """Finish looking at the pieces so far, with pauses in which the event loop serves others."""


class Nobody:
    """Watches nothing."""

    def watch(self, piece: bytes) -> bool:  # noqa: ARG002 - it is looked at by nobody
        """Let the next piece come."""
        return True

    async def catch_up(self) -> None:
        """Nothing is behind."""


class Relay:
    """Relays one answer.

    Args:
        handler: Of the request, for which nothing has been answered yet.
    """

    def __init__(self, handler: ProxyHandler) -> None:
        self._handler = handler
        self._taken: Future[None] | None = None
        self._pinged: Future[None] | None = None

    async def run(
        self,
        response: UpstreamResponse,
        watcher: Watcher | None = None,
        usage_filter: UsageChunkFilter | None = None,
    ) -> None:
        """Move the answer to the client, each piece in the iteration of the event loop in which it comes, then `watch` it.

        The client not taking a piece is what holds the next one back; for too long, and it is taken to have left. Silence
        of the upstream is no matter of this: then there is nothing to take. Catching up holds the next piece back too.

        Args:
            response: The answer. Whoever opened it closes it.
            watcher: Sees a copy.
            usage_filter: Takes the usage out of a stream whose client did not ask for it.

        Raises:
            UpstreamError: the upstream broke off; nothing has been ended on the client's side yet.
        """
        handler, gaps = self._handler, self._handler.gaps
        watcher = watcher or Nobody()
        watch = watcher.watch
        if not response.has_events:
            usage_filter = None

        def pass_on(piece: bytes) -> bool:
            shown = piece if usage_filter is None else usage_filter.feed(piece)
            if shown:
                self._taken = handler.cycle.write(shown)
                gaps.passed(shown)
            return watch(piece) and self.delivered

        self._write_head(response, is_filtered=usage_filter is not None)
        handler.timer.enter(RELAY)
        idle_timer = IdleTimer(TAKE_SECONDS, self._abandon)
        pings = Pings(handler.bridge.options.keepalive_seconds, self._ping)
        try:
            first = response.buffered()  # what has come with the head leaves with it
            shown = first if usage_filter is None else usage_filter.feed(first)
            handler.write(shown)
            self._taken = handler.flush()
            caught_up = not first or watch(first)
            gaps.passed(shown)
            sink = pings.before(pass_on)
            while not (caught_up and self.delivered and await response.stream_to(sink)):
                with idle_timer:
                    await self._taken
                await watcher.catch_up()
                caught_up = True
            if usage_filter is not None and (rest := usage_filter.end()):
                self._taken = handler.cycle.write(rest)
                with idle_timer:
                    await self._taken
            handler.move(RELAY_ENDS)
        except StreamClosedError:
            handler.stop(EndReason.CLIENT_DISCONNECTED)
        finally:
            idle_timer.close()
            pings.close()

    @property
    def delivered(self) -> bool:
        """Whether the client has taken all that was written of the provider's answer."""
        taken = self._taken
        return taken is not None and taken.done() and not taken.cancelled() and taken.exception() is None

    def _ping(self) -> None:
        """Say that the stream is alive, unless the client has yet to take what came before, a ping included."""
        if self._handler.gaps.has_room and self.delivered and (self._pinged is None or self._pinged.done()):
            self._pinged = self._handler.cycle.write(PINGS[self._handler.dialect])

    def _abandon(self) -> None:
        """Give up a client that takes nothing."""
        self._handler.stop(EndReason.CLIENT_DISCONNECTED)
        self._handler.break_off()

    def _write_head(self, response: UpstreamResponse, *, is_filtered: bool) -> None:
        handler, headers = self._handler, headers_of(self._handler)
        handler.set_status(response.status, response.reason)
        if any(map(response.header, RATE_LIMIT_HEADERS)):
            for name in RATE_LIMIT_HEADERS:
                handler.clear_header(name)
        for name, value in to_client(response.headers, tuple(headers)):
            add_checked(headers, name, value)
        has_own_key = handler.credentials.own_key is not None
        if response.status == UNAUTHORIZED and not has_own_key and not response.header(RETRY_HEADER):
            handler.set_header(RETRY_HEADER, "false")
        handler.set_server_timing()
        if response.status == NO_CONTENT or is_filtered:
            handler.clear_header("Content-Length")
        if response.is_event_stream or response.content_type == EVENT_STREAM:
            handler.set_header("Cache-Control", "no-cache, no-transform")
            handler.set_header("X-Accel-Buffering", "no")
        handler.gaps.begin(headers, is_event_stream=response.is_event_stream)
