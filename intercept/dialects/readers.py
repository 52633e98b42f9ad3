"""The common part of the readers of all APIs: a stream is read event by event, a blocking body or an error when it is whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Raw, structs

from intercept.dialects.drafts import (
    MAX_ERROR_BYTES,
    MAX_ERROR_MESSAGE,
    MAX_ERROR_TYPE,
    UNNAMED_ERROR,
    Draft,
    name_error,
    read_error,
)
from intercept.formats.json_text import MAX_TAIL_BYTES, OBJECT, Weight, last_objects, read, read_array, text_of, weigh
from intercept.formats.streams import Decoder, Event
from intercept.records import ProviderError, Reading

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""The largest blocking body that is read."""
USAGE_NAMES: Final = ("usage", "usageMetadata")
"""What the usage of a body is called. Only a few members stand behind it."""
READ_TOGETHER_BYTES: Final = 8 * 1024
"""How much of a stream is collected before it is read: single events are slower, because the code leaves the processor's
caches."""


class EventDecoder(Protocol):
    """Turns chunks of a stream into events."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next bytes; return the events they end."""


class StreamReader(ABC):
    """Reads a stream of events into a draft, some of them at a time.

    Args:
        events: Decodes the stream: server-sent events, unless it is something else.
    """

    def __init__(self, events: EventDecoder | None = None) -> None:
        self._events: EventDecoder = Decoder() if events is None else events
        self._draft = Draft()
        self._unread = bytearray()  # not pieces: of a few bytes each they would take many times as much

    def keep_text(self) -> None:
        """Keep the text of the response too. Before the first bytes."""
        self._draft.keep_text()

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the stream."""
        self._unread += chunk
        if len(self._unread) >= READ_TOGETHER_BYTES:
            self._read()

    def result(self) -> Reading:
        """Return the reading of the stream so far."""
        self._read()
        return self._draft.reading()

    def _read(self) -> None:
        unread = bytes(self._unread)
        self._unread.clear()
        for event in self._events.feed(unread):
            self._add_event(self._bounded(event))

    def _bounded(self, event: Event) -> Event:
        """Leave of an event with too much in it what is left of an oversized one: the end of its data."""
        if not event.oversized and weigh(event.data) is not Weight.READ:
            event = Event(event.data[-MAX_TAIL_BYTES:], event.name, oversized=True)
        self._draft.truncated = self._draft.truncated or event.oversized
        return event

    @abstractmethod
    def _add_event(self, event: Event) -> None:
        """Add an event to the draft. An oversized one has the end of its data."""


class BodyReader:
    """Collects a blocking body and reads it once it is one whole JSON object.

    Args:
        add: Adds a body to a draft; returns whether it was one whole JSON object.
        max_body_bytes: Of a larger body only the usage at its end is read.
    """

    def __init__(self, add: Callable[[bytes, Draft], bool], max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._add = add
        self._room = max_body_bytes
        self._body = bytearray()
        self._keeps_text = False
        self._reading: Reading | None = None

    def keep_text(self) -> None:
        """Keep the text of the response too. Before the first bytes."""
        self._keeps_text = True

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the body."""
        self._reading = None
        self._room -= len(chunk)
        self._body += chunk
        if self._room < 0:
            del self._body[:-MAX_TAIL_BYTES]

    def result(self) -> Reading:
        """Return the reading of the body, an empty one before it is whole."""
        if self._reading is None:
            self._reading = self._read(bytes(self._body))
        return self._reading

    def _read(self, body: bytes) -> Reading:
        draft = Draft()
        if self._room < 0 or weigh(body) is not Weight.READ:
            draft.open_ended = True  # whether the rest of it was JSON is not known
            tail = body[-MAX_TAIL_BYTES:]
            texts = (text for name in USAGE_NAMES for text in last_objects(tail, name))
            draft.truncated = any(self._add(text, draft) for text in texts)
            return draft.reading()
        if self._keeps_text:
            draft.keep_text()
        draft.complete = self._add(body, draft)
        return draft.reading()


class ErrorReader:
    """Reads the body of an error: JSON of any dialect, or any text.

    Args:
        kind: The type from the head, for a body without one.
    """

    def __init__(self, kind: str = "") -> None:
        self._kind = kind
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Buffer the next bytes of the body; those beyond `MAX_ERROR_BYTES` are ignored."""
        self._body += chunk[: MAX_ERROR_BYTES - len(self._body)]

    def result(self) -> Reading:
        """Return the error, complete if the body is a JSON object that says something."""
        # Google refuses streams of arrays with an array of errors.
        decoded = (
            read(bytes(self._body), OBJECT) or read(next(iter(read_array(bytes(self._body))), Raw()), OBJECT) or {}
        )
        error = _error_in(decoded)
        if error.type == UNNAMED_ERROR and self._kind:
            error = structs.replace(error, type=self._kind[:MAX_ERROR_TYPE])
        if not error.message:
            error = structs.replace(error, message=self._body.decode("utf-8", "replace").strip()[:MAX_ERROR_MESSAGE])
        return Reading(complete=bool(decoded), error=error)


def _error_in(body: dict[str, Raw]) -> ProviderError:
    """Find the error: below `error` in most dialects, elsewhere at the top, as `message` or `detail`."""
    error = body.get("error", Raw())
    if bytes(error).startswith(b"{") and (found := read_error(error)):
        return found
    kind, code, message, detail = (text_of(body.get(name, Raw())) for name in ("type", "code", "message", "detail"))
    return name_error(kind or code, message or detail or text_of(error))
