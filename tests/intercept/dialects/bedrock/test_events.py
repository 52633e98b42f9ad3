import msgspec
import pytest

from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.bedrock.dialect import MAX_PAYLOAD_BYTES, BedrockEvents
from intercept.formats.streams import MAX_PAYLOAD_BYTES as LARGEST
from intercept.formats.streams import Event
from tests.cases import for_each
from tests.intercept.formats import event_streams
from tests.intercept.malformed_responses import read
from tests.processor import is_within, seconds_of


def error_event(kind, message):
    return Event(msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}}), "error")


@for_each(
    ("stream", "expected"),
    [
        (event_streams.event("messageStop", {}), Event(b"{}", "messageStop")),
        (event_streams.exception("throttlingException", "wait"), error_event("throttlingException", "wait")),
        (event_streams.error("InternalError", "an é"), error_event("InternalError", "an é")),
        (event_streams.message(b"", b"x"), Event(b"x", "")),
        (event_streams.message(b"", bytes(MAX_PAYLOAD_BYTES + 1)), Event(b"", "", oversized=True)),
    ],
    ids=["event", "exception", "error", "no headers", "oversized"],
)
def test_a_message_is_an_event(stream, expected):
    events = BedrockEvents()
    assert events.feed(stream[:-1]) == []
    assert events.feed(stream[-1:]) == [expected]


def test_an_exception_without_words_is_an_error_all_the_same():
    headers = b"\x0d:message-type\x07\x00\x09exception"
    assert BedrockEvents().feed(event_streams.message(headers, b"<html>")) == [error_event("", "")]


LARGE = {
    "payload": event_streams.message(b"", b"x" * LARGEST),
    "chunk": event_streams.chunk(b'{"type":"message_stop","x":"' + b"x" * (MAX_PAYLOAD_BYTES // 4 * 3 - 200) + b'"}'),
    "numbers": event_streams.event("metadata", {"usage": [1.5] * 200_000}),
    "tiny messages": event_streams.message() * 20_000,
    "headers": event_streams.message(b"".join(event_streams.header(str(number), b"", 0) for number in range(256)))
    * 200,
    "base64 of nothing": event_streams.event("chunk", {"bytes": "", "p": "x" * (MAX_PAYLOAD_BYTES - 100)}) * 4,
}


@pytest.mark.timed
@for_each("name", LARGE)
@for_each("reader", [converse.event_stream_reader, invoke.event_stream_reader], ids=["converse", "invoke"])
def test_nothing_is_read_for_long(reader, name):
    assert is_within(0.15, lambda: seconds_of(lambda: read(reader(), LARGE[name])))
