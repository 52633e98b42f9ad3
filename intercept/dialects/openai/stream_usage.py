"""Makes a chat stream report its tokens if the client did not request that, and hides the report from the client.

OpenAI's chat completions report the usage of a stream only on request: `stream_options.include_usage` (API reference,
"Chat"). It then comes in a chunk of its own, whose `choices` are empty, behind all others. Two pure steps keep everything
else as it was: a splice into the bytes of the request, and a filter that takes that one chunk out of the response.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from intercept.formats.json_text import OBJECT, read, read_members

INCLUDE_USAGE: Final = "include_usage"
"""The member of `stream_options` that requests the usage."""
MAX_OPTIONS_BYTES: Final = 4 * 1024
"""The largest value of `stream_options`."""
MAX_HELD_BYTES: Final = 64 * 1024
"""The maximum size of an unfinished event that is held back. A larger one cannot be the usage chunk."""
MAX_CANDIDATE_EVENTS: Final = 1024
"""Events without choices that are checked in one stream. If a server sends more, they are not usage chunks."""
MAX_PLACES: Final = 2
"""Places of a request where an option may stand that are tried."""

_OPTION: Final = "stream_options"
_WITH_USAGE: Final = b'{"include_usage":true}'
_NULL: Final = Raw(b"null")
# Also what servers read as false that are not strict (pydantic's lax mode).
_DECLINED: Final = re.compile(rb'null|false|-?0(?:\.0+)?(?:[eE].+)?|"(?:0|off|f|false|n|no)"', re.IGNORECASE)

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


def with_usage(body: bytes, stream_options: bytes | None) -> bytes | None:
    """Return a request that requests the usage, and differs from `body` in nothing else; None where it stays as it is.

    It stays if it requests the usage already. A value of `stream_options` that is neither an object nor null is left for the
    provider to refuse, and so is one of `include_usage` that no server takes for false. Where the place of the option is not
    found, as its name is written with escapes or stands further inside too, all members are written anew.

    Args:
        body: A JSON object with members.
        stream_options: The bytes of the value that it has for this key; None if it has none.
    """
    if stream_options is None:
        return _appended(body, b',"%b":%b' % (_OPTION.encode(), _WITH_USAGE))
    options = _asking(stream_options)
    return None if options is None else _replaced(body, _OPTION, stream_options, options)


def _asking(options: bytes) -> bytes | None:
    """The options of a stream with the usage; None if they have to stay as they are."""
    if options == b"null":
        return _WITH_USAGE
    members = read(options, OBJECT)
    if members is None:
        return None
    declined = bytes(members.get(INCLUDE_USAGE, _NULL))
    if not _DECLINED.fullmatch(declined):
        return None
    if INCLUDE_USAGE in members:
        return _replaced(options, INCLUDE_USAGE, declined, b"true")
    added = b'%b"%b":true' % (b"," if members else b"", INCLUDE_USAGE.encode())
    return _appended(options, added)


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
    if len(event) > MAX_HELD_BYTES:
        return False
    lines = event.splitlines()
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    try:
        chunk = _CHUNK.decode(data)
    except (ValueError, RecursionError):
        return False
    choices, usage, error = map(bytes, (chunk.choices, chunk.usage, chunk.error))
    return _NO_ITEMS.fullmatch(choices) is not None and usage[:1] == b"{" and error == b"null"


def _replaced(text: bytes, name: str, value: bytes, by: bytes) -> bytes | None:
    """The object with another value for a member that it has; None if it cannot be read.

    The name and its value may stand further inside too, so each change is read again.
    """
    place = re.compile(rb'"%b"\s*:\s*(?=%b)' % (name.encode(), re.escape(value)))
    for found in islice(place.finditer(text), MAX_PLACES):
        changed = text[: found.end()] + by + text[found.end() + len(value) :]
        found_now = (read(changed, OBJECT) or {}).get(name)
        if found_now is not None and bytes(found_now) == by:
            return changed
    try:
        members = read_members(text)
    except (ValueError, RecursionError):
        return None
    written = ((str(one), by if str(one) == name else bytes(old)) for one, old in members.items())
    return b"{%b}" % b",".join([b"%b:%b" % (encode(one), new) for one, new in written])


def _appended(text: bytes, member: bytes) -> bytes:
    """The object with something before its closing brace."""
    brace = len(text.rstrip()) - 1
    return text[:brace] + member + text[brace:]
