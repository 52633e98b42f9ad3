"""Interceptions as they start and end, as server-sent events.

The form is that of the HTML standard, section "Server-sent events": a browser's `EventSource` reconnects by itself,
with the last id that it got.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import Ask, Stream, operation
from handlers.operations.query import Query
from handlers.problems import Problem
from resources.errors import Error
from storage.accounts.events import Way
from storage.live.filter_eval import TEXTS
from storage.live.listeners import End, Event, Listener
from storage.live.live import TooManyListenersError
from storage.mongo.change_stream import ForgottenPositionError, InvalidPositionError

# What a client that was cut off waits before it comes back.
RETRY_MILLISECONDS = 2_000
INVALID_EVENT_ID = "Last-Event-ID is not the id of an event of this server."
FORGOTTEN_EVENT_ID = "Events after this Last-Event-ID are no longer available; reconnect without it."
# An empty id makes a client forget the one that it has.
RESET = b"event: reset\nid:\ndata: %s\n\n" % msgspec.json.encode(Error(FORGOTTEN_EVENT_ID))
TOO_MANY = "The maximum number of live tails is reached. Please try again later."


class LiveQuery(Query, frozen=True):
    """Which interceptions."""

    q: SearchText = ""


@operation("GET", "interceptions/live", in_demo=False, raises={403: NOT_FOR_READERS, 410: FORGOTTEN_EVENT_ID})
async def watch_interceptions(ask: Ask, query: LiveQuery, stream: Stream) -> None:
    """Watch interceptions as they start and end.

    Server-sent events: `interception` with one as its data, when it starts and when it ends; `reset` when the events since
    `Last-Event-ID` are not known any more.
    """
    sight = Sight(ask, Way.LIVE)
    search = await sight.query(query.q, in_flight=True)
    # In this order: what a member may not see must not take the time that a search of theirs takes.
    own = [] if ask.visible_to is None else [{"initiator_id": ask.visible_to}]
    conditions: list[Mapping[str, Any]] = [*own, dict(search.conditions)]
    if search.search.texts is not None:
        conditions.append({TEXTS: search.search.texts})
    if ask.is_head:
        return
    after = stream.last_event_id or None
    try:
        listening = ask.bridge.live.listen(conditions, after=after, on_slow=stream.cut, texts=sight.shows_texts)
        async with listening as listener:
            stream.ending = lambda: listener.end(End.LEFT)
            await _send_events(ask, sight, listener, stream)
    except InvalidPositionError as error:
        raise Problem(400, INVALID_EVENT_ID) from error
    except ForgottenPositionError as error:
        raise Problem(410, FORGOTTEN_EVENT_ID) from error
    except TooManyListenersError as error:
        raise Problem(503, TOO_MANY, {"Retry-After": "5"}) from error


async def _send_events(ask: Ask, sight: Sight, listener: Listener, stream: Stream) -> None:
    await stream.send(b"retry: %d\n\n" % RETRY_MILLISECONDS)
    while event := await ask.bridge.live.next(listener):
        await stream.send(written(event))
        if event.initiator is not None and sight.shows_texts:
            sight.note_read(event.initiator.id, {event.initiator.id: event.initiator})
    if listener.ended is End.FORGOTTEN:
        await stream.send(RESET)
    elif listener.ended is End.FAILED:
        stream.cut()


def written(event: Event) -> bytes:
    """An event in the form of the standard. One without data only sets the id for a reconnect."""
    id_ = b"" if event.position is None else b"id: %s\n" % event.position.encode()
    if event.interception is None:
        return b": heartbeat\n%s\n" % id_
    return b"event: interception\n%sdata: %s\n\n" % (id_, event.interception)
