"""The listeners to interceptions as they start and end, each with a bounded queue of events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from storage.accounts.users import User
from storage.live.filter_eval import TEXTS, matches
from storage.mongo.change_stream import ChangeStream

QUEUED_EVENTS = 256
"""The most events that wait for a listener; one that is slower is dropped."""

QUEUED_BYTES = 4 << 20
"""The most bytes of JSON that wait for a listener. A single event may be larger."""


class End(StrEnum):
    """Why a listener gets no more events."""

    LEFT = "left"
    """It disconnected."""

    SLOW = "slow"
    """It did not read its events."""

    FORGOTTEN = "forgotten"
    """The database no longer has the events after its position."""

    FAILED = "failed"
    """An unexpected error; see the log."""


class LiveEvent(Struct, frozen=True):
    """An event for a listener: an interception as JSON, or None for a heartbeat.

    `position` is where to resume; None while it is unchanged. `initiator` is whose interception it is.
    """

    position: str | None
    interception: bytes | None = None
    initiator: User | None = None


class Listener:
    """A listener and its queue.

    Args:
        conditions: Filters of `storage.queries.filters.search_language`, all of which an interception has to match.
        on_slow: Called when the listener is dropped because it does not read its events.
        texts: Whether it may read what people and models wrote.
    """

    def __init__(
        self, conditions: Sequence[Mapping[str, Any]], on_slow: Callable[[], None], *, texts: bool = True
    ) -> None:
        self.texts = texts
        self.ended: End | None = None
        self.behind: ChangeStream | None = None
        """While it catches up: the stream of the events that it missed."""
        self._more_missed = True
        self._conditions = conditions
        self._on_slow = on_slow
        self._waiting: deque[LiveEvent] = deque()
        self._bytes = 0
        self._heartbeat_waits = False
        self._heard_until: str | None = None
        self._arrived = asyncio.Event()

    def said_in(self, document: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Sequence[str]] | None:
        """Return what reads the texts of an interception; None if no filter asks for them, or it does not match the others."""
        asked = [condition[TEXTS] for condition in self._conditions if TEXTS in condition]
        others = [condition for condition in self._conditions if TEXTS not in condition]
        return asked[0].said_in if asked and all(matches(document, condition) for condition in others) else None

    def wants(self, position: str, document: Mapping[str, Any]) -> bool:
        """Return whether it gets an interception at that position of the shared stream."""
        has_joined = self._heard_until is not None and position > self._heard_until
        return has_joined and not self.ended and self.may_see(document)

    def may_see(self, document: Mapping[str, Any]) -> bool:
        """Return whether an interception matches its filters and may be seen by it."""
        return all(matches(document, condition) for condition in self._conditions)

    def join(self, position: str) -> None:
        """From now on, it gets what comes after this position of the shared stream."""
        self._heard_until = position
        self._enqueue(LiveEvent(position))

    def send(self, event: LiveEvent) -> None:
        """Queue an event, or drop the listener if too much waits.

        While it catches up, it gets no more than it reads. Then the only limit is the size of a batch.
        """
        size = len(event.interception or b"")
        full = len(self._waiting) >= QUEUED_EVENTS or self._bytes + size > QUEUED_BYTES
        if self.behind is None and self._waiting and full:
            self._drop()
        else:
            self._enqueue(event)

    def heartbeat(self, position: str | None) -> None:
        """Queue a heartbeat, or drop the listener if it has not read the last one."""
        if self._heartbeat_waits:
            self._drop()
        else:
            self._heartbeat_waits = True
            self._enqueue(LiveEvent(position if self._heard_until is not None else None))

    def end(self, reason: End) -> None:
        """End it; the first reason counts."""
        self.ended = self.ended or reason
        self._waiting.clear()
        self._bytes = 0
        self._arrived.set()

    def missed(self, *, more: bool) -> None:
        """Note whether there may be more of the missed events to read."""
        self._more_missed = more
        self._arrived.set()

    async def next_event(self) -> LiveEvent | None:
        """Wait for the next event; None when it has ended, or more of the missed events are to be read."""
        while not self._waiting:
            if self.ended or (self.behind is not None and self._more_missed):
                return None
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        self._bytes -= len(event.interception or b"")
        self._heartbeat_waits = self._heartbeat_waits and event.interception is not None
        return event

    def _enqueue(self, event: LiveEvent) -> None:
        if self.ended:
            return
        self._waiting.append(event)
        self._bytes += len(event.interception or b"")
        self._arrived.set()

    def _drop(self) -> None:
        if not self.ended:
            self.end(End.SLOW)
            self._on_slow()
