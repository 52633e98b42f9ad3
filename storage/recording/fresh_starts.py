"""Starts that wait a moment for their end, so that a call which is soon over is written once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from storage.recording.entry import Entry

WAIT_SECONDS = 0.25
"""How long a start waits. So long it takes until a call can be seen to be under way."""


class FreshStarts:
    """The starts that wait, on one event loop.

    Args:
        due: Given each start that has waited long enough.
    """

    def __init__(self, due: Callable[[Entry], None]) -> None:
        self._due = due
        self._entries: OrderedDict[UUID, tuple[float, Entry]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Let a start wait."""
        loop = asyncio.get_running_loop()
        self._entries[entry.operation.id] = loop.time() + WAIT_SECONDS, entry
        if self._timer is None:
            self._timer = loop.call_later(WAIT_SECONDS, self._look)

    def pop(self, id_: UUID) -> Entry | None:
        """Take the start of an interception, if it waits."""
        found = self._entries.pop(id_, None)
        return found[1] if found else None

    def take(self) -> list[Entry]:
        """Take all of them, oldest first."""
        entries = [entry for _, entry in self._entries.values()]
        self._entries.clear()
        return entries

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._entries:
            until, entry = next(iter(self._entries.values()))
            if until > loop.time():
                self._timer = loop.call_at(until, self._look)
                return
            self._entries.popitem(last=False)
            self._due(entry)
