"""Makes a chat stream report its tokens if the client did not request that, and hides the report from the client.

OpenAI's chat completions report the usage of a stream only on request: `stream_options.include_usage` (API reference,
"Chat"). It then comes in a chunk of its own, whose `choices` are empty, behind all others. Two pure steps keep everything
else as it was: a splice into the bytes of the request, and a filter that takes that one chunk out of the response.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.formats.json_text import OBJECT
from intercept.formats.json_walk import Body
from intercept.formats.weight import is_light

MAX_SPLICED_BYTES: Final = 8 * 1024 * 1024
"""The largest request that is changed. A value is replaced in light ones only (see `intercept.formats.weight`)."""
MAX_OPTIONS_BYTES: Final = 4 * 1024
"""The largest value of `stream_options` that is changed."""
MAX_HELD_BYTES: Final = 64 * 1024
"""The maximum size of an unfinished event that is held back. A larger one cannot be the usage chunk."""
MAX_CANDIDATE_EVENTS: Final = 1024
"""Events without choices that are checked in one stream. If a server sends more, they are not usage chunks."""
MAX_CANDIDATE_LINES: Final = 64
"""Line ends of such an event."""

_MAX_CANDIDATES: Final = 4  # of the places where a value may stand; only a hostile request has more
_OPTION: Final = "stream_options"
_INCLUDE_USAGE: Final = "include_usage"
_WITH_USAGE: Final = b'{"include_usage":true}'
_WHITESPACE: Final = b" \t\n\r"

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
# A line ends with \n, \r or both; a blank one begins behind such an end with another.
_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r")
_LINE_ENDS: Final = b"\r\n"
_NO_ITEMS: Final = re.compile(rb"\[\s*\]")  # found in a tenth of the time of `_NO_CHOICES`
_NO_CHOICES: Final = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_REFUSAL_WORDS: Final = (_OPTION.encode(), _INCLUDE_USAGE.encode())


class _Chunk(Struct):
    choices: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw(b"null")


_CHUNK: Final = Decoder(_Chunk)


def with_usage(body: Body, stream_options: bytes | None) -> bytes | None:
    """Return a request that requests the usage, and differs from `body` in nothing else.

    A value of `stream_options` that is neither an object nor null is left for the provider to refuse, and so is one of
    `include_usage` that is neither a boolean nor null.

    Args:
        body: A JSON object.
        stream_options: The bytes of the value that it has for this key, of several the last; None if it has none.

    Returns:
        The request, or None where it does so already or has to stay as it is.
    """
    if len(body) > MAX_SPLICED_BYTES or len(stream_options or b"") > MAX_OPTIONS_BYTES:
        return None
    if stream_options is None or stream_options == b"null":
        options: bytes | None = _WITH_USAGE
    elif _members(stream_options).get(_INCLUDE_USAGE, b"null") in {b"null", b"false"} and stream_options[:1] == b"{":
        options = _with_member(stream_options, _INCLUDE_USAGE, b"true")
    else:
        options = None
    if options is None or (stream_options is not None and not is_light(body)):
        return None
    if stream_options is None:
        return _with_new_member(body, _OPTION, options, first=False)
    return _with_member(body, _OPTION, options)


def refuses_usage(error_body: bytes) -> bool:
    """Say whether the body of a 400 names the option, as servers do that do not know it."""
    return any(word in error_body for word in _REFUSAL_WORDS)


class UsageChunkFilter:
    """Takes the usage-only chunk out of a chat stream. All other bytes pass unchanged, each event as soon as it is whole.

    A client of a stream cannot use a part of an event (WHATWG HTML, section 9.2.6), so holding that part back delays
    nothing. Of an event that is larger than `MAX_HELD_BYTES` the parts pass as they come.

    Attributes:
        removed: How many chunks were taken out.
    """

    def __init__(self) -> None:
        self.removed = 0
        self._held = b""
        self._candidates = 0
        self._passing = False
        self._skips_line_feed = False

    def feed(self, piece: bytes) -> bytes:
        """Filter the next bytes of the stream, cut anywhere; return those that go to the client."""
        if self._skips_line_feed and piece:
            piece = piece.removeprefix(b"\n")
            self._skips_line_feed = False
        data = self._held + piece
        end = _last_event_end(data, max(0, len(self._held) - 1), len(data))  # the held bytes end no event
        events, self._held = data[:end], data[end:]
        if (empty := _NO_ITEMS.search(events)) is not None:
            events = self._without_usage(events, _last_event_end(events, 0, empty.start()))
        self._passing = (self._passing and not end) or len(self._held) > MAX_HELD_BYTES
        if self._passing:
            # Only a line end is held: with the next bytes it may end the event.
            rest = self._held.rstrip(_LINE_ENDS)
            events, self._held = events + rest, self._held[len(rest) :]
        return events

    def end(self) -> bytes:
        """Return the held bytes at the end of the stream: an event without its end."""
        held, self._held = self._held, b""
        return held

    def _without_usage(self, events: bytes, end: int) -> bytes:
        """Take the chunk out of what follows the event that ends at `end`."""
        pieces = [events[:end]]
        for found in _NO_CHOICES.finditer(events, end):
            if found.start() < end:
                continue
            self._candidates += 1
            if self._candidates > MAX_CANDIDATE_EVENTS:
                break
            start = _last_event_end(events, end, found.start()) or end
            blank = _BLANK_LINE.search(events, found.end())
            past, end = end, len(events) if blank is None else blank.end()
            event = events[start:end]
            if (self._passing and start == 0) or not _is_usage_only(event):
                pieces.append(events[past:end])
            else:
                self.removed += 1
                pieces += events[past:start], event[: len(event) - len(event.lstrip(_LINE_ENDS))]
                self._skips_line_feed = not self._held and end == len(events) and event.endswith(b"\r")
        return b"".join([*pieces, events[end:]])


def _last_event_end(data: bytes, start: int, stop: int) -> int:
    """Where the last event that ends in `data[start:stop]` does, 0 if none does."""
    if data.endswith(b"\n\n", start, stop):
        return stop
    possible = _BLANK_LINES if data.find(b"\r", start, stop) >= 0 else _BLANK_LINES[:1]
    blank = max([data.rfind(line_ends, start, stop) for line_ends in possible])
    return 0 if blank < 0 else blank + 2 + data.startswith(b"\r\n", blank + 1, stop)


def _is_usage_only(event: bytes) -> bool:
    if len(event) > MAX_HELD_BYTES or event.count(b"\n") + event.count(b"\r") > MAX_CANDIDATE_LINES:
        return False
    lines = event.splitlines()
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    try:
        chunk = _CHUNK.decode(data)
    except (ValueError, RecursionError):
        return False
    choices, usage, error = map(bytes, (chunk.choices, chunk.usage, chunk.error))
    return _NO_ITEMS.fullmatch(choices) is not None and usage[:1] == b"{" and error == b"null"


def _with_member(text: Body, name: str, value: bytes) -> bytes | None:
    """Return a JSON object with another value for a member, of several of that name for the last.

    The position of the old value is guessed, and each guess is checked: everything but that member must be as it was.
    """
    members = _members(text)
    if name not in members:
        return _with_new_member(text, name, value, first=not members)
    old, wanted = bytes(members[name]), members | {name: value}
    positions = [match.end() for match in _key(name).finditer(text) if text.startswith(old, match.end())]
    for start in positions[: -_MAX_CANDIDATES - 1 : -1]:
        changed = bytes(text[:start]) + value + bytes(text[start + len(old) :])
        if _members(changed) == wanted:
            return changed
    return None


def _with_new_member(text: Body, name: str, value: bytes, *, first: bool) -> bytes:
    end = len(text.rstrip(_WHITESPACE)) - 1
    return b'%b%b"%b":%b%b' % (bytes(text[:end]), b"" if first else b",", name.encode(), value, bytes(text[end:]))


def _members(text: Body) -> dict[str, bytes]:
    """The members of a JSON object as they are written; none of what is no object."""
    try:
        return {name: bytes(value) for name, value in OBJECT.decode(text).items()}
    except (ValueError, RecursionError):
        return {}


@cache
def _key(name: str) -> re.Pattern[bytes]:
    """How a member begins, up to its value: each letter of the key may be escaped (RFC 8259, section 7)."""
    letters = "".join(f"(?:{letter}|(?i:\\\\u{ord(letter):04x}))" for letter in name)
    return re.compile(f'"{letters}"[ \\t\\n\\r]*:[ \\t\\n\\r]*'.encode())
