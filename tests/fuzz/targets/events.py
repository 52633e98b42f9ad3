"""Server-sent events: `intercept/formats/streams.py`."""

from __future__ import annotations

from intercept.formats.streams import Decoder, Event
from tests.fuzz.targets import cut, single_bytes
from tests.wire.conversations import conversations

MAX_EVENT_BYTES = 64
"""A small one, so that oversized events are frequent."""

SEEDS = [
    *(each.stream for each in conversations() if each.stream is not None),
    b"\xef\xbb\xbfdata: a\r\rdata\n\ndata:\r\n\r\nevent: b\rdata: c\n\n: comment\n\nid: 1\nretry: 2\ndata: d\n\n",
    b"data: " + b"x" * 65 + b"\n\nevent: name\ndata: " + b"y\ndata: " * 40 + b"\n\n",
]
WORDS = [
    b"data: ",
    b"data:",
    b"data",
    b"event: ",
    b"event:",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
    b"\n\r",
    b": ",
    b"\xef\xbb\xbf",
]


def check(data: bytes) -> None:
    """The events are the same wherever they are cut, of bounded size, and little is held between two pieces."""
    for most in (MAX_EVENT_BYTES, len(data) + 1):
        whole = _events([data], most)
        assert _events(cut(data), most) == whole
        assert _events(single_bytes(data), most) == whole
        assert all(len(event.data) <= most and len(event.name) <= most for event in whole)


def _events(pieces: list[bytes], most: int) -> list[Event]:
    decoder, events = Decoder(most), []
    for piece in pieces:
        events += decoder.feed(piece)
        assert len(decoder._line) + len(decoder._data) + len(decoder._name) <= 3 * most + 2
    return events
