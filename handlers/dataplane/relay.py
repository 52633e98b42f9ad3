"""The relay: passes the response of a provider to the client, unchanged and at once."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from contextlib import suppress

from tornado.iostream import StreamClosedError

from deadline import Deadline
from handlers.base import STALL_SECONDS
from handlers.dataplane.pings import Pings
from handlers.dataplane.proxy import RETRY_HEADER, ProxyHandler
from handlers.dataplane.states import RELAYED
from handlers.timer import RELAY
from handlers.tornado_private import headers_of
from http1.requests import add_checked
from intercept.apis import EVENT_STREAM
from intercept.dialects.openai.stream_usage import UsageChunkFilter
from intercept.endings import FIRST_REDIRECT, FIRST_SUCCESS
from intercept.records import EndReason
from upstream.client import UpstreamError, UpstreamResponse
from upstream.credentials.keys import UNAUTHORIZED
from upstream.headers import to_client

NO_CONTENT = 204
# How long the rest of a response is read whose client has left.
REST_SECONDS = 1.0


class Watcher:
    """Receives a copy of what is relayed; subclasses read it."""

    def watch(self, piece: bytes) -> bool:  # noqa: ARG002 - here nothing reads it
        """Read a relayed piece of the response.

        Return whether the next may follow at once; else it waits for `catch_up`.
        """
        return True

    async def catch_up(self) -> None:
        """Do what takes more than reading: write a checkpoint, record results."""

    async def wants_rest(self) -> bool:
        """Whether to read the rest of the response where the client leaves, as it is there and says what was used."""
        return False


class Relay:
    """Relays one response.

    Args:
        handler: Of the request, to which nothing has been sent yet.
    """

    def __init__(self, handler: ProxyHandler) -> None:
        self._handler = handler
        self._last_write: Future[None] | None = None
        self._pinged: Future[None] | None = None

    async def run(
        self,
        response: UpstreamResponse,
        watcher: Watcher | None = None,
        usage_filter: UsageChunkFilter | None = None,
    ) -> None:
        """Pass each piece to the client in the event loop iteration in which it arrives, then `watch` it.

        The next piece waits until the client has read this one, and until `catch_up` is done. A client that reads nothing
        for too long counts as gone. Silence of the provider is not bounded here. Of a response that the client leaves, the
        rest is watched if the watcher wants it and it comes within `REST_SECONDS`.

        Args:
            response: The response. The caller closes it.
            watcher: Gets a copy.
            usage_filter: Hides the usage chunk from a client that did not request it.

        Raises:
            UpstreamError: the provider cut the response; the response to the client is still open.
        """
        handler, gaps, cycle = self._handler, self._handler.gaps, self._handler.cycle
        watcher = watcher or Watcher()
        watch = watcher.watch
        if not response.has_events:
            usage_filter = None

        def pass_on(piece: bytes) -> bool:
            visible = piece if usage_filter is None else usage_filter.feed(piece)
            if visible:
                self._last_write = cycle.write(visible)
                gaps.passed(visible)
            return watch(piece) and self.delivered

        self._write_head(response, is_filtered=usage_filter is not None)
        handler.timer.enter(RELAY)
        stall = Deadline(asyncio.get_running_loop(), self._abandon, STALL_SECONDS)
        interval = handler.bridge.settings.keepalive_interval.total_seconds()
        pings = Pings(interval if handler.dialect.ping else 0, self._ping)
        try:
            first = response.buffered()  # what has come with the head leaves with it
            visible = first if usage_filter is None else usage_filter.feed(first)
            handler.write(visible)
            self._last_write = handler.flush()
            caught_up = not first or watch(first)
            gaps.passed(visible)
            on_chunk = pings.before(pass_on)
            while not (caught_up and self.delivered and await response.stream_to(on_chunk)):
                with stall:
                    await self._last_write
                await watcher.catch_up()
                caught_up = True
            if usage_filter is not None and (rest := usage_filter.end()):
                self._last_write = cycle.write(rest)
                with stall:
                    await self._last_write
            handler.progress.move(RELAYED)
        except StreamClosedError:
            handler.stop(EndReason.CLIENT_DISCONNECTED)
        finally:
            stall.close()
            pings.close()
            if handler.stopped is EndReason.CLIENT_DISCONNECTED:
                await finish(self._read_rest(response, watcher))

    @property
    def delivered(self) -> bool:
        """Whether the client has read everything that was written of the provider's response."""
        last = self._last_write
        return last is not None and last.done() and not last.cancelled() and last.exception() is None

    async def _read_rest(self, response: UpstreamResponse, watcher: Watcher) -> None:
        def take(piece: bytes) -> bool:
            self._last_write = None  # the client does not get it
            return watcher.watch(piece)

        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                if await watcher.wants_rest():
                    while not await response.stream_to(take):
                        await watcher.catch_up()

    def _ping(self) -> None:
        """Say that the stream is alive, but only if the client has read everything so far, pings included."""
        if self._handler.gaps.has_room and self.delivered and (self._pinged is None or self._pinged.done()):
            self._pinged = self._handler.cycle.write(self._handler.dialect.ping)

    def _abandon(self) -> None:
        """Stop the request of a client that reads nothing. It holds what it holds until its use is charged."""
        self._handler.stop(EndReason.CLIENT_DISCONNECTED)
        self._handler.cut()

    def _write_head(self, response: UpstreamResponse, *, is_filtered: bool) -> None:
        handler, headers = self._handler, headers_of(self._handler)
        handler.set_status(response.status, response.reason)
        told = handler.told_at_desk
        for name, value in to_client(response.headers, tuple(headers)):
            if not (told and name.lower().startswith(told)):
                add_checked(headers, name, value)
        if told and FIRST_SUCCESS <= response.status < FIRST_REDIRECT:
            for name, value in handler.budget_headers().items():
                handler.set_header(name, value)
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


async def finish(work: Coroutine[None, None, None]) -> None:
    """Do some work to its end, also where the request is stopped meanwhile: until then it holds what the work is charged to.

    Raises:
        CancelledError: The request was stopped. The work is done.
    """
    task = asyncio.create_task(work)  # noqa: TID251 - waited for below
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is not None:
        raise stopped
    task.result()
