"""Who listens to interceptions as they start and end: what each is still to be told, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from storage.live.change_stream import ChangeStream
from storage.live.filter_eval import matches

QUEUED_EVENTS = 256
"""Most events that wait for a listener; one that is slower is dropped."""

QUEUED_BYTES = 4 << 20
"""Most bytes of JSON that wait for a listener. A single event may be larger."""


class End(StrEnum):
    """Why a listener hears no more."""

    LEFT = "left"
    """It wanted so."""

    SLOW = "slow"
    """It did not take what it was told."""

    FORGOTTEN = "forgotten"
    """The database does not know any more what came next."""

    FAILED = "failed"
    """Something went wrong that nobody foresaw; the log has it."""


class Event(Struct, frozen=True):
    """What a listener is told: an interception as JSON, or, where that is None, only that it is still listened to.

    `position` is where to go on later; None while nothing new is known about that.
    """

    position: str | None
    interception: bytes | None = None


class Listener:
    """One who listens.

    Args:
        conditions: Filters of `storage.queries.search`, all of which an interception has to match.
        on_slow: Called when the listener is dropped because it does not take what it is told.
    """

    def __init__(self, conditions: Sequence[Mapping[str, Any]], on_slow: Callable[[], None]) -> None:
        self.ended: End | None = None
        self.behind: ChangeStream | None = None
        """While it is told what it has missed: the stream of that."""
        self._more_missed = True
        self._conditions = conditions
        self._on_slow = on_slow
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._heartbeat_waits = False
        self._heard_until: str | None = None
        self._arrived = asyncio.Event()

    def wants(self, position: str, document: Mapping[str, Any]) -> bool:
        """Say whether it is to be told, at that position of the stream that all share."""
        joined = self._heard_until is not None and position > self._heard_until
        return joined and not self.ended and self.may_see(document)

    def may_see(self, document: Mapping[str, Any]) -> bool:
        """Say whether an interception is one that it asked for and may know of."""
        return all(matches(document, condition) for condition in self._conditions)

    def join(self, position: str) -> None:
        """From now on it wants what comes after this position of the stream that all share."""
        self._heard_until = position
        self._put(Event(position))

    def tell(self, event: Event) -> None:
        """Tell it about an interception, or drop it where too much waits.

        While it is behind, it gets no more than it asks for: then there is no limit but that of what is read at a time.
        """
        size = len(event.interception or b"")
        full = len(self._waiting) >= QUEUED_EVENTS or self._bytes + size > QUEUED_BYTES
        if self.behind is None and self._waiting and full:
            self._drop()
        else:
            self._put(event)

    def heartbeat(self, position: str | None) -> None:
        """Tell it that nothing is wrong, or drop it where it has not even taken the last time that it was told."""
        if self._heartbeat_waits:
            self._drop()
        else:
            self._heartbeat_waits = True
            self._put(Event(position if self._heard_until is not None else None))

    def end(self, reason: End) -> None:
        """Tell it nothing more; the first reason counts."""
        self.ended = self.ended or reason
        self._waiting.clear()
        self._bytes = 0
        self._arrived.set()

    def missed(self, *, more: bool) -> None:
        """Say whether there may be more to read of what it has missed."""
        self._more_missed = more
        self._arrived.set()

    async def take(self) -> Event | None:
        """Wait for the next event; None when it has ended, or more of what it has missed is to be read."""
        while not self._waiting:
            if self.ended or (self.behind is not None and self._more_missed):
                return None
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        self._bytes -= len(event.interception or b"")
        self._heartbeat_waits = self._heartbeat_waits and event.interception is not None
        return event

    def _put(self, event: Event) -> None:
        if self.ended:
            return
        self._waiting.append(event)
        self._bytes += len(event.interception or b"")
        self._arrived.set()

    def _drop(self) -> None:
        if not self.ended:
            self.end(End.SLOW)
            self._on_slow()
