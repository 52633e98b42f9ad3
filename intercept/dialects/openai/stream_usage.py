"""Makes a chat stream report its tokens if the client did not request that, and hides the report from the client.

OpenAI's chat completions report the usage of a stream only on request: `stream_options.include_usage` (API reference,
"Chat"). It then comes in a chunk of its own, whose `choices` are empty, behind all others. Two pure steps keep everything
else as it was: a splice into the bytes of the request, and a filter that takes that one chunk out of the response.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.formats.json_patterns import finding_others
from intercept.formats.json_text import OBJECT
from intercept.formats.json_walk import Body, Walk
from intercept.formats.steps import finish

INCLUDE_USAGE: Final = "include_usage"
"""The member of `stream_options` that requests the usage."""
MAX_OPTIONS_BYTES: Final = 4 * 1024
"""The largest value of `stream_options`."""
MAX_HELD_BYTES: Final = 64 * 1024
"""The maximum size of an unfinished event that is held back. A larger one cannot be the usage chunk."""
MAX_CANDIDATE_EVENTS: Final = 1024
"""Events without choices that are checked in one stream. If a server sends more, they are not usage chunks."""
MAX_CANDIDATE_LINES: Final = 64
"""Line ends of such an event."""

_OPTION: Final = "stream_options"
_WITH_USAGE: Final = b'{"include_usage":true}'
_WHITESPACE: Final = b" \t\n\r"
_STEP_BYTES: Final = 256 * 1024
# Also what servers read as false that are not strict (pydantic's lax mode).
_DECLINED: Final = re.compile(rb'null|false|-?0(?:\.0+)?(?:[eE].+)?|"(?:0|off|f|false|n|no)"', re.IGNORECASE)
_find_others: Final = finding_others((_OPTION, INCLUDE_USAGE))

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
# A line ends with \n, \r or both; a blank one begins behind such an end with another.
_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r")
_LINE_ENDS: Final = b"\r\n"
_NO_ITEMS: Final = re.compile(rb"\[\s*\]")  # found in a tenth of the time of `_NO_CHOICES`
_NO_CHOICES: Final = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_REFUSAL_WORDS: Final = (_OPTION.encode(), INCLUDE_USAGE.encode())


class _Chunk(Struct):
    choices: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw(b"null")


_CHUNK: Final = Decoder(_Chunk)


def with_usage(body: Body, stream_options: bytes | None) -> Generator[None, None, Body] | None:
    """Return the steps that make a request that requests the usage, and differs from `body` in nothing else.

    They raise `InvalidRequestError` if its values are nested too deeply, or too many to look for the option among them.

    A value of `stream_options` that is neither an object nor null is left for the provider to refuse, and so is one of
    `include_usage` that no server takes for false.

    Args:
        body: A JSON object with members.
        stream_options: The bytes of the value that it has for this key, of several the last; None if it has none.

    Returns:
        The steps, or None where it does so already or has to stay as it is.
    """
    if stream_options is None:
        return _appended(body, b',"%b":%b' % (_OPTION.encode(), _WITH_USAGE))
    options = finish(_asking(stream_options))
    return None if options is None else _replaced(body, _OPTION, options)


def _asking(options: bytes) -> Generator[None, None, bytes | None]:
    """The same options with the usage; None if they have to stay as they are."""
    if options == b"null":
        return _WITH_USAGE
    members = _members(options)
    if options[:1] != b"{" or not _DECLINED.fullmatch(members.get(INCLUDE_USAGE, b"null")):
        return None
    if INCLUDE_USAGE in members:
        return bytes((yield from _replaced(options, INCLUDE_USAGE, b"true")))
    added = b'%b"%b":true' % (b"," if members else b"", INCLUDE_USAGE.encode())
    return bytes((yield from _appended(options, added)))


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


class _Members(Walk):
    """A walk over an object to one of its members."""

    def find_last(self, name: str) -> Generator[None, None, tuple[int, int]]:
        """Where the value of the last member of this name begins and ends; nowhere if there is none."""
        found = 0, 0
        self._space()
        more = self._open(b"}")
        while more:
            yield from self._runs(_find_others)
            is_named, start = (yield from self._key()) == name, self.at
            yield from self._skip()
            if is_named:
                found = start, self.at
            more = self._goes_on(b"}")
        return found


def _replaced(text: Body, name: str, value: bytes) -> Generator[None, None, Body]:
    """The object with another value for a member that it has, of several of that name for the last."""
    return (yield from _spliced(text, (yield from _Members(text).find_last(name)), value))


def _appended(text: Body, member: bytes) -> Generator[None, None, Body]:
    """The object with something before its closing brace."""
    end = len(text)
    while not (last := bytes(text[max(end - _STEP_BYTES, 0) : end]).rstrip(_WHITESPACE)) and end > 0:
        end = max(end - _STEP_BYTES, 0)
        yield
    brace = max(end - _STEP_BYTES, 0) + len(last) - 1
    return (yield from _spliced(text, (brace, brace), member))


def _spliced(text: Body, place: tuple[int, int], value: bytes) -> Generator[None, None, Body]:
    """The text with another value in a place, copied in steps."""
    changed = bytearray()
    for begin, end, behind in ((0, place[0], value), (place[1], len(text), b"")):
        for at in range(begin, end, _STEP_BYTES):
            changed += text[at : min(at + _STEP_BYTES, end)]
            yield
        changed += behind
    return changed


def _members(text: Body) -> dict[str, bytes]:
    """The members of a JSON object as they are written; none of what is no object."""
    try:
        return {name: bytes(value) for name, value in OBJECT.decode(text).items()}
    except (ValueError, RecursionError):
        return {}
