"""AWS's event stream: `intercept/formats/streams.py`."""

from __future__ import annotations

from intercept.formats.streams import MAX_HEADERS, Message, MessageDecoder
from tests.fuzz.targets import cut, single_bytes
from tests.intercept.formats.event_streams import chunk, error, exception, header, message

_STREAM = chunk({"type": "message_stop"}) + exception("throttlingException", "slow down") + error("code", "message")
SEEDS = [_STREAM, _STREAM[:-1], _STREAM[:-1] + b"\0", message(), message(header("a", b"", 0) * 2, b"{}")]
WORDS = [message(), b"\x07\x00\x05event", b":message-type", b":event-type", b":exception-type", b"\x00\x00\x00\x10"]


def check(data: bytes) -> None:
    """The messages and the fault are the same wherever they are cut, also where the checksums are right."""
    for stream in (data, message(data), message(b"", data) + data):
        whole = _decoded([stream])
        assert _decoded(cut(stream)) == whole
        assert _decoded(single_bytes(stream)) == whole
        assert all(len(each.texts) <= MAX_HEADERS for each in whole[0])


def _decoded(pieces: list[bytes]) -> tuple[list[Message], str]:
    decoder, messages = MessageDecoder(), []
    for piece in pieces:
        messages += decoder.feed(piece)
        assert decoder.held_bytes <= sum(map(len, pieces))
    return messages, decoder.fault
