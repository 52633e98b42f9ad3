"""The common part of the readers of all APIs: a stream is read event by event, a blocking body when it is whole.

Nothing is read for longer than some milliseconds at a time, whatever a provider sends: longer work is done in steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Final, Protocol, TypeAlias

from intercept.dialects.drafts import Draft
from intercept.formats.json_text import mended
from intercept.formats.last_members import MAX_TAIL_BYTES, last_objects
from intercept.formats.small_members import small_members
from intercept.formats.streams.sse import Decoder, Event
from intercept.formats.weight import counted
from intercept.records import Reading

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""The largest blocking body that is read."""
MAX_UNCHECKED_BYTES: Final = 32 * 1024
"""An event or a body up to this size is read at once, whatever is in it."""
USAGE_NAMES: Final = ("usage", "usageMetadata")
"""What the usage of a body is called. Only a few members stand behind it."""
READ_TOGETHER_BYTES: Final = 8 * 1024
"""How much of a stream is read at once, up to twice as much if it arrived together: 6 ms. Reading single events is
slower, because the code leaves the processor's caches."""

Steps: TypeAlias = Generator[None, None, None]


class SteppingReader(ABC):
    """Reads buffered bytes in steps, and continues later where it stopped."""

    def __init__(self) -> None:
        self._steps: Steps | None = None

    def step(self) -> bool:
        """Read for a few milliseconds; return whether there is more."""
        if self._steps is None:
            self._steps = self._read()
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
            return False
        return True

    @abstractmethod
    def _read(self) -> Steps:
        """Read all that is held."""


class EventDecoder(Protocol):
    """Turns chunks of a stream into events."""

    @property
    def tail(self) -> bytes:
        """The end of the data of the last oversized event, where it is known."""

    @property
    def held_bytes(self) -> int:
        """How many bytes of the unfinished event are held."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next bytes; return the events they end."""


class StreamReader(SteppingReader):
    """Reads a stream of events into a draft, some of them at a time.

    Args:
        events: Decodes the stream: server-sent events, unless it is something else.
    """

    def __init__(self, events: EventDecoder | None = None) -> None:
        super().__init__()
        self._events: EventDecoder = Decoder() if events is None else events
        self._draft = Draft()
        self._unread = bytearray()  # not pieces: of a few bytes each they would take many times as much

    def keep_text(self) -> None:
        """Keep the text of the response too. Before the first bytes."""
        self._draft.keep_text()

    @property
    def behind(self) -> bool:
        """Whether more is held than is read at once."""
        return len(self._unread) >= READ_TOGETHER_BYTES or self._steps is not None

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the stream."""
        self._unread += chunk
        if READ_TOGETHER_BYTES <= len(self._unread) <= 2 * READ_TOGETHER_BYTES and self._may_read_at_once:
            for event in self._decode(len(self._unread)):
                self._add_event(event)

    def result(self) -> Reading:
        """Return the reading of the stream so far."""
        while self.step():
            pass
        return self._draft.reading()

    @property
    def _may_read_at_once(self) -> bool:
        """Whether the next bytes end no large event."""
        return self._steps is None and self._events.held_bytes <= MAX_UNCHECKED_BYTES - 2 * READ_TOGETHER_BYTES

    def _read(self) -> Steps:
        while self._unread:
            for event in self._decode(READ_TOGETHER_BYTES):
                is_small = len(event.data) <= MAX_UNCHECKED_BYTES and not event.oversized
                self._add_event(event if is_small else (yield from self._lightened(event)))
            if self._unread:
                yield

    def _decode(self, size: int) -> list[Event]:
        unread = bytes(self._unread[:size])
        del self._unread[:size]
        return self._events.feed(unread)

    def _lightened(self, event: Event) -> Generator[None, None, Event]:
        data: bytes | None = event.data
        if len(event.data) > MAX_UNCHECKED_BYTES:
            data = yield from _readable(event.data, self._draft)
        if event.oversized or data is None:
            self._draft.truncated = True
            return Event(
                self._events.tail if event.oversized else b"", event.name, oversized=True
            )  # what is left of it
        return event if data is event.data else Event(data, event.name)

    @abstractmethod
    def _add_event(self, event: Event) -> None:
        """Add an event to the draft. An oversized one has the end of its data, a large one full of values none."""


class BodyReader(SteppingReader):
    """Collects a blocking body and reads it once it is one whole JSON object.

    Args:
        add: Adds a body to a draft; returns whether it was one whole JSON object.
        max_body_bytes: Of a larger body only the usage at its end is read.
    """

    behind = False

    def __init__(self, add: Callable[[bytes, Draft], bool], max_body_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__()
        self._add_event = add
        self._room = max_body_bytes
        self._body = bytearray()
        self._keeps_text = False
        self._reading: Reading | None = None

    def keep_text(self) -> None:
        """Keep the text of the response too. Before the first bytes."""
        self._keeps_text = True

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the body."""
        self._reading = self._steps = None
        self._room -= len(chunk)
        self._body += chunk
        if self._room < 0:
            del self._body[:-MAX_TAIL_BYTES]

    def result(self) -> Reading:
        """Return the reading of the body, an empty one before it is whole."""
        while self.step() or self._reading is None:
            pass
        return self._reading

    def _read(self) -> Steps:
        if self._reading is not None:
            return
        draft = Draft()
        if self._room < 0:
            draft.open_ended = True  # whether the rest of it was JSON is not known
            texts = (text for name in USAGE_NAMES for text in last_objects(bytes(self._body), name))
            draft.truncated = any(self._add_event(text, draft) for text in texts)
            self._reading = draft.reading()
            return
        body: bytes | None = bytes(self._body)
        if body is not None and len(body) > MAX_UNCHECKED_BYTES:
            yield
            body = yield from _readable(body, draft)
            yield
        if body is None:
            self._reading = Reading(open_ended=True, truncated=True)
        else:
            if self._keeps_text:
                draft.keep_text()
            draft.complete = self._add_event(body, draft)
            self._reading = draft.reading()


def _readable(data: bytes, draft: Draft) -> Generator[None, None, bytes | None]:
    """Make some JSON that is large readable in milliseconds; None if it is no object.

    What is large in that of providers is text or an image, which can be read. Where there is more in it, such as the
    probability of each token, only what is small is read, and the draft is truncated.
    """
    if (yield from counted(data)):
        return (yield from mended(data))
    draft.truncated = True
    return (yield from small_members(data))
