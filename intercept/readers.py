"""What the readers of all APIs have in common: a stream is read event by event, a blocking body when it is whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from intercept.drafts import Draft
from intercept.large_bodies import LIGHT_BYTES, Body, is_sparse
from intercept.records import Reading
from intercept.sse import Decoder, Event

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""The largest blocking body that is read."""
READ_TOGETHER_BYTES: Final = 8 * 1024
"""So much of a stream is read at once. An event that is read by itself finds other code in the processor's caches."""


def _is_readable(data: Body) -> bool:
    """Say whether some JSON is read in milliseconds. Those of providers are: what is large in them is text or an image."""
    return len(data) <= LIGHT_BYTES or is_sparse(data)


class StreamReader(ABC):
    """Reads a stream of server-sent events into a draft, some of them at a time."""

    def __init__(self) -> None:
        self._events = Decoder()
        self._draft = Draft()
        self._unread = bytearray()  # not pieces: of a few bytes each they would take many times as much

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self._unread += chunk
        if len(self._unread) >= READ_TOGETHER_BYTES:
            self._read()

    def result(self) -> Reading:
        """Return what the stream says so far."""
        self._read()
        return self._draft.reading()

    def _read(self) -> None:
        unread = bytes(self._unread)
        self._unread.clear()
        for event in self._events.feed(unread):
            if event.oversized or not _is_readable(event.data):
                self._draft.truncated = True
                event = Event(b"", event.name, oversized=True)  # noqa: PLW2901 - what is left of it
            self._take(event)

    @abstractmethod
    def _take(self, event: Event) -> None:
        """Put an event into the draft. An oversized one comes without its data, and so does a large one full of values."""


class BodyReader:
    """Collects a blocking body and reads it once it is one whole JSON object.

    Args:
        take: Puts a body into a draft; says whether it was one whole JSON object.
        max_body_bytes: A larger body is let go, and its reading is opaque.
    """

    def __init__(self, take: Callable[[bytes, Draft], bool], max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._take = take
        self._room = max_body_bytes
        self._body = bytearray()
        self._reading: Reading | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._reading = None
        self._room -= len(chunk)
        if self._room < 0:
            self._body.clear()
        else:
            self._body += chunk

    def result(self) -> Reading:
        """Return what the body says, nothing before it is whole."""
        if self._room < 0:
            return Reading(open_ended=True)
        if self._reading is None:
            if not _is_readable(self._body):
                return Reading(open_ended=True, truncated=True)
            draft = Draft()
            draft.complete = self._take(bytes(self._body), draft)
            self._reading = draft.reading()
        return self._reading
