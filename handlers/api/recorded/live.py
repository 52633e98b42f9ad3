"""`GET /api/v2/aibridge/interceptions/live`: interceptions as they start and end, as server-sent events.

The form is that of the HTML standard, section "Server-sent events": a browser's `EventSource` reconnects by itself,
with the last id that it got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from tornado.iostream import StreamClosedError

from handlers.api.recorded.watched import WatchedHandler
from handlers.lifecycle import SHUTTING_DOWN
from handlers.problems import Problem
from resources.errors import Error
from storage.accounts.events import Way
from storage.live.filter_eval import TEXTS
from storage.live.listeners import End, Event, Listener
from storage.live.live import TooManyListenersError
from storage.mongo.change_stream import ForgottenPositionError, InvalidPositionError

PARAMETERS = ("q",)
LAST_EVENT = "Last-Event-ID"
# What a client that was cut off waits before it comes back.
RETRY_MILLISECONDS = 2_000
INVALID_EVENT_ID = "Last-Event-ID is not the id of an event of this server."
FORGOTTEN_EVENT_ID = "Events after this Last-Event-ID are no longer available; reconnect without it."
# An empty id makes a client forget the one that it has.
RESET = b"event: reset\nid:\ndata: %s\n\n" % msgspec.json.encode(Error(FORGOTTEN_EVENT_ID))
TOO_MANY_OF_USER = "You have {} live tails open, the maximum for one user. Please close one of them first."
TOO_MANY = "The maximum number of live tails is reached. Please try again later."


class LiveHandler(WatchedHandler):
    """Sends events to one client, until it leaves, is too slow, may no longer listen, or the server stops."""

    _listener: Listener | None = None
    _sending = False
    way = Way.LIVE

    async def respond(self) -> None:
        """Send events from now on, or after the event that `Last-Event-ID` names."""
        values = self.parameters(*PARAMETERS)
        query = await self.query(values.get("q", ""), in_flight=True)
        # In this order: what a member may not see must not take the time that a search of theirs takes.
        own = [] if self.visible_to is None else [{"initiator_id": self.visible_to}]
        conditions: list[Mapping[str, Any]] = [*own, dict(query.conditions)]
        if query.search.texts is not None:
            conditions.append({TEXTS: query.search.texts})
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Connection", "close")
        if self.request.method == "HEAD":
            await self.flush()
            return
        if self.bridge.lifecycle.streams_closed:
            raise Problem(503, SHUTTING_DOWN, {"Retry-After": "1"})
        self.acquire_share("user_live_tails", self.bridge.shares.live_tails, TOO_MANY_OF_USER)
        self.bridge.lifecycle.enter(self, long_lived=True)
        with suppress(StreamClosedError):
            await self._listen(conditions)

    async def _listen(self, conditions: Sequence[Mapping[str, Any]]) -> None:
        after = self.request.headers.get(LAST_EVENT) or None
        try:
            listening = self.bridge.live.listen(conditions, after=after, on_slow=self.cut, texts=self.shows_texts)
            async with listening as listener, self.watched():
                self._listener = listener
                await self._send_events(listener)
        except InvalidPositionError as error:
            raise Problem(400, INVALID_EVENT_ID) from error
        except ForgottenPositionError as error:
            raise Problem(410, FORGOTTEN_EVENT_ID) from error
        except TooManyListenersError as error:
            raise Problem(503, TOO_MANY, {"Retry-After": "5"}) from error

    async def _send_events(self, listener: Listener) -> None:
        await self._send(b"retry: %d\n\n" % RETRY_MILLISECONDS)
        while event := await self.bridge.live.next(listener):
            await self._send(written(event))
            if event.initiator is not None and self.shows_texts:
                self.note_read(event.initiator.id, {event.initiator.id: event.initiator})
        if listener.ended is End.FORGOTTEN:
            await self._send(RESET)
        elif listener.ended is End.FAILED:
            self.cut()

    async def _send(self, data: bytes) -> None:
        """Write, and wait until the client has read it."""
        self.write(data)
        self._sending = True
        await self.flush()
        self._sending = False

    def end(self) -> None:
        """End at once; cleanly, unless the client does not read."""
        if self._listener is None or self._sending:
            self.cut()
        else:
            self._listener.end(End.LEFT)

    def on_connection_close(self) -> None:
        """The client left."""
        super().on_connection_close()
        if self._listener is not None:
            self._listener.end(End.LEFT)


def written(event: Event) -> bytes:
    """An event in the form of the standard. One without data only sets the id for a reconnect."""
    id_ = b"" if event.position is None else b"id: %s\n" % event.position.encode()
    if event.interception is None:
        return b": heartbeat\n%s\n" % id_
    return b"event: interception\n%sdata: %s\n\n" % (id_, event.interception)
