import json
import struct

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import example, given
from hypothesis import strategies as st

from intercept.formats.streams import (
    MAX_EVENT_BYTES,
    MAX_HEADERS,
    MAX_PAYLOAD_BYTES,
    ArrayDecoder,
    Decoder,
    Event,
    Message,
    MessageDecoder,
)
from tests.cases import for_each
from tests.intercept.formats.event_streams import header, message

LINE_ENDS = ["\n", "\r", "\r\n"]
PIECES = st.sampled_from(
    [
        "data",
        "data:",
        "data: ",
        ":",
        "event: ",
        "event:n",
        "id: 1",
        "é🚀",
        "x",
        "\0",
        "\v",
        "\f",
        "\x85",
        "\u2028",
        "\ufeff",
        *LINE_ENDS,
    ]
)
USUAL = st.sampled_from(
    [
        "data: {}\n\n",
        "data:  a\n\n",
        "data:é🚀\n\n",
        "data: \n\n",
        "event: n\ndata: {}\n\n",
        "event:n\ndata:\n\n",
        "event: \ndata: a\n\n",
        "event: n\r\ndata: a\rb\n\n",
    ]
)
STREAMS = st.lists(PIECES | USUAL, max_size=40).map(lambda pieces: "".join(pieces).encode()) | st.binary(max_size=200)


def decode(*chunks, **limits):
    decoder = Decoder(**limits)
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def cut(body, places):
    places = sorted(place % (len(body) + 1) for place in places)
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


@for_each(
    ("stream", "events"),
    (b"", []),
    (b"\n\n\n", []),
    (b"data: a\n", []),
    (b"data: a", []),
    (b"data: a\n\ndata: b", [Event(b"a")]),
    (b"data:a\ndata: b\ndata:  c\n\n", [Event(b"a\nb\n c")]),
    (b"data\n\n", [Event(b"")]),
    (b"data:\ndata\n\n", [Event(b"\n")]),
    (b"data: a:b: c\n\n", [Event(b"a:b: c")]),
    (b": comment\n:\ndata: a\n: more\n\n", [Event(b"a")]),
    (b"DATA: a\ndata : b\n data: c\ndatabase: d\nid: 1\nretry: 2\n\n", []),
    (b"event: lost\n\ndata: a\n\n", [Event(b"a")]),
    (b"event: x\nevent: y\ndata: a\n\n", [Event(b"a", "y")]),
    (b"event: x\nevent\ndata: a\n\n", [Event(b"a", "message")]),
    (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"a")]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    (b"\xef\xbb\xbf\n\ndata: a\n\n", [Event(b"a")]),
    (b"data: a\x0b\x0c\x1c\xe2\x80\xa8\n\n", [Event(b"a\x0b\x0c\x1c\xe2\x80\xa8")]),
    (b"event: \xff\ndata: \xff\n\n", [Event(b"\xff", "�")]),
    (b"data: a\r\r\n\ndata: b\n\r", [Event(b"a"), Event(b"b")]),
    (b"event: x\ndata: a\n\ndata: b\n\n", [Event(b"a", "x"), Event(b"b")]),
    (b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n", [Event(b"a"), Event(b"c")]),
    (b"data: a\n\nevent: x\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]),
    (b"event: x\ndata: a\n\ndata: b\ndata: c\n\ndata: d\n\n", [Event(b"a", "x"), Event(b"b\nc"), Event(b"d")]),
)
def test_the_standard_s_rules_hold_for_every_cut(stream, events):
    assert decode(stream) == events
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == events
    for at in range(len(stream)):
        assert decode(stream[:at], stream[at:]) == events


def test_an_event_is_dispatched_at_the_carriage_return_that_may_be_half_a_line_end():
    decoder = Decoder()
    assert decoder.feed(b"data: a\r\n\r") == [Event(b"a")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: b\n\n") == [Event(b"b")]


@given(stream=STREAMS, places=st.lists(st.integers(0, 1000), max_size=10), limit=st.integers(3, 300))
@example(stream=b"\xef\xbb\xbfx\n\n", places=[], limit=3)
@example(stream=b"data: long\ndata: a\n\n", places=[11], limit=9)
def test_the_events_are_the_same_for_every_cut(stream, places, limit):
    whole = decode(stream, max_event_bytes=limit)
    assert decode(*cut(stream, places), max_event_bytes=limit) == whole
    assert decode(*cut(stream, range(len(stream))), max_event_bytes=limit) == whole


@given(
    events=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), st.sampled_from(["", "x", "ping"]))
    )
)
def test_what_is_encoded_by_the_book_is_decoded(events):
    stream = "".join(f"event: {name}\ndata: {text}\n\n" for text, name in events).encode()
    assert decode(stream) == [Event(text.encode(), name or "message") for text, name in events]


@for_each(
    "oversized",
    b"event: n\ndata: " + b"x" * 40 + b"\n\n",
    b"data: " + b"x" * 400 + b"\nevent: n\n\n",
    b"event: n\n" + b"data: xxxxxxxx\n" * 5 + b"\n",
    b"event: n\n:" + b"x" * 400 + b"\ndata: a\n\n",
    b"event: n\nevent: " + b"x" * 400 + b"\ndata: a\n\n",
    ids=["a long line", "a very long line", "many lines", "a long comment", "a long name"],
)
def test_an_oversized_event_is_dropped_and_flagged_and_decoding_goes_on(oversized):
    stream = b"data: before\n\n" + oversized + b"data: after\n\n"
    before, event, after = decode(stream, max_event_bytes=32)
    assert (before, event.name, event.oversized, after) == (Event(b"before"), "n", True, Event(b"after"))
    assert len(event.data) <= 32
    assert decode(*cut(stream, range(len(stream))), max_event_bytes=32) == [before, event, after]


def test_an_event_of_exactly_the_largest_size_is_kept():
    assert decode(b"data: " + b"x" * 26 + b"\n\n", max_event_bytes=32) == [Event(b"x" * 26)]
    (event,) = decode(b"data: " + b"x" * 27 + b"\n\n", max_event_bytes=32)
    assert event.oversized


@for_each("piece", b"x" * 100, b"data: " + b"x" * 20 + b"\n", b"data:\n", b"event: " + b"x" * 20 + b"\n", b":x\n")
def test_memory_stays_bounded_when_an_event_never_ends(piece):
    decoder = Decoder(max_event_bytes=64)
    for _ in range(1000):
        assert decoder.feed(piece) == []
        assert decoder.held_bytes <= 2 * 64


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def decoded(text, cuts=()):
    decoder = ArrayDecoder()
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        events += decoder.feed(text[start:end])
    return decoder, events


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans(), st.data())
def test_an_array_comes_apart_wherever_it_is_cut(values, indent, ascii_only, data):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    decoder, events = decoded(text, cuts)
    assert ([json.loads(event.data) for event in events], decoder.closed) == (values, True)


@for_each(
    ("text", "elements", "closed"),
    (b"", [], False),
    (b"[]", [], True),
    (b"[ ]", [], True),
    (b'[{"a":1}', [], False),
    (b'[{"a":1},', [Event(b'{"a":1}')], False),
    (b'[{"a":1}] trailing, [2]', [Event(b'{"a":1}')], True),
    (b'[{"a":1}}', [], False),
    (b"no array", [], False),
)
def test_what_is_no_whole_array_is_read_as_far_as_it_goes(text, elements, closed):
    decoder, events = decoded(text)
    assert (events, decoder.closed) == (elements, closed)


def test_an_element_that_is_too_large_is_dropped_and_those_behind_it_are_not():
    decoder, largest = ArrayDecoder(), b'"%b"' % (b"1" * (MAX_EVENT_BYTES - 2))
    events = [
        event for piece in (b"[", largest, b",", largest[:-1], b'1"', b',"after"]') for event in decoder.feed(piece)
    ]
    assert events == [Event(largest), Event(b"", oversized=True), Event(b'"after"')]
    assert decoder.held_bytes == 0


@pytest.mark.parametrize("cuts", [[], [3]])
def test_what_is_no_array_leaves_nothing_behind(cuts):
    decoder, events = decoded(b"x{y}", cuts)
    assert (events, decoder.closed, decoder.held_bytes) == ([], False, 0)


@given(st.binary(max_size=200), st.data())
def test_any_bytes_are_read_within_bounds_and_alike_wherever_they_are_cut(text, data):
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    whole, events = decoded(text)
    cut, others = decoded(text, cuts)
    assert (events, whole.closed, whole.held_bytes) == (others, cut.closed, cut.held_bytes)


TEXTS = st.text(max_size=8)
HEADERS = st.dictionaries(
    TEXTS.filter(lambda name: len(name.encode()) < 256),
    st.one_of(
        st.just((0, b"")),
        st.just((1, b"")),
        st.integers(-128, 127).map(lambda value: (2, struct.pack(">b", value))),
        st.integers(-(2**15), 2**15 - 1).map(lambda value: (3, struct.pack(">h", value))),
        st.integers(-(2**31), 2**31 - 1).map(lambda value: (4, struct.pack(">i", value))),
        st.tuples(
            st.sampled_from([5, 8]), st.integers(-(2**63), 2**63 - 1).map(lambda value: struct.pack(">q", value))
        ),
        st.binary(max_size=8).map(lambda value: (6, struct.pack(">H", len(value)) + value)),
        TEXTS.map(lambda value: (7, struct.pack(">H", len(value.encode())) + value.encode())),
        st.binary(min_size=16, max_size=16).map(lambda value: (9, value)),
    ),
    max_size=4,
)
MESSAGES = st.builds(
    lambda headers, payload: message(
        b"".join(header(name, value, kind) for name, (kind, value) in headers.items()), payload
    ),
    HEADERS,
    st.binary(max_size=40),
)
# Of the streams that botocore's own tests decode_messages: every type of header, and an error.
EVERY_TYPE = (
    b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03"
    b"\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8"
    b"\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef\x63\x35\x36\x71"
)
AN_ERROR = (
    b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\x0d:message-type\x07\x00\x05error"
    b"\x0b:error-code\x07\x00\x04code\x0e:error-message\x07\x00\x07message\x6b\x6c\xea\x3d"
)
EMPTY = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"


def decode_messages(*chunks):
    decoder = MessageDecoder()
    messages = [found for chunk in chunks for found in decoder.feed(chunk)]
    return messages, decoder.fault


def read_by_botocore(stream):
    """What botocore decodes of a stream, and whether it calls it broken."""
    buffer, messages = EventStreamBuffer(), []
    buffer.add_data(stream)
    try:
        messages.extend(
            Message({name: value for name, value in each.headers.items() if isinstance(value, str)}, each.payload)
            for each in buffer
        )
    except (ParserError, KeyError, struct.error, UnicodeDecodeError):
        return messages, True
    return messages, False


@given(st.lists(MESSAGES, max_size=4).map(b"".join))
@example(EVERY_TYPE + AN_ERROR + EMPTY)
def test_messages_are_those_that_botocore_decodes_wherever_they_are_cut(stream):
    expected = (read_by_botocore(stream)[0], "")
    assert decode_messages(stream) == expected
    for at in range(len(stream) + 1):
        assert decode_messages(stream[:at], stream[at:]) == expected
    assert decode_messages(*[stream[at : at + 1] for at in range(len(stream))]) == expected


@given(st.lists(MESSAGES, min_size=1, max_size=3), st.data())
def test_a_stream_with_one_wrong_bit_is_broken_where_botocore_finds_it_broken(messages, data):
    stream = bytearray(b"".join(messages))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    found, fault = decode_messages(bytes(stream))
    assert (found, bool(fault)) == read_by_botocore(bytes(stream))
    assert fault.startswith("the checksum of a message")


@given(st.binary(max_size=80))
def test_headers_of_any_bytes_are_read_or_called_broken_as_botocore_does(headers):
    stream = message(headers, b"payload") + EMPTY
    found, fault = decode_messages(stream)
    expected, broken = read_by_botocore(stream)
    # botocore takes a text that ends before its length says so.
    assert (found, bool(fault)) == (expected, broken) or "longer than all headers" in fault


@for_each(
    ("stream", "fault"),
    (
        struct.pack(">III", 16, 0, 1) + bytes(4),
        "the checksum of a message's lengths is 00000001, but that of its bytes is 05c248eb",
    ),
    (EMPTY[:-1] + b"\0", "the checksum of a message is 7d98c800, but that of its bytes is 7d98c8ff"),
    (
        message(b"", b"", headers_length=128 * 1024 + 1),
        "a message has 131073 bytes of headers: at most 131072 are allowed",
    ),
    (
        message(b"", b"", total=16 + MAX_PAYLOAD_BYTES + 1),
        "a message has a payload of 25165825 bytes: at most 25165824 are allowed",
    ),
    (message(b"", b"", headers_length=1), "a message of 16 bytes has no room for 1 bytes of headers"),
    (message(b"", b"", total=15), "a message of 15 bytes has no room for 0 bytes of headers"),
    (
        message(b"".join(header(str(number), b"", 0) for number in range(MAX_HEADERS + 1))),
        "a message has more than 256 headers",
    ),
    (message(header("a", b"", 0) * 2), "a message has the same header twice"),
    (message(header("a", b"", 10)), "a header has a value of the unknown type 10"),
    (message(b"\x01\xff\x00"), "a header is not UTF-8"),
    (message(header("a", b"\x00\x02\xc3\xa9", 7)[:-1]), "a header is longer than all headers of its message"),
    (message(b"\x05a"), "a header is longer than all headers of its message"),
    (message(b"\x01a"), "a header is longer than all headers of its message"),
    (message(b"\x01a\x05\x00"), "a header is longer than all headers of its message"),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_message_is_said_to_be_and_ends_the_decoding(stream, fault):
    whole = EMPTY + stream + EMPTY
    assert decode_messages(whole) == ([Message({}, b"")], fault)
    assert decode_messages(*[whole[at : at + 1] for at in range(len(whole))]) == ([Message({}, b"")], fault)


def test_most_headers_and_the_largest_payload_are_decoded():
    headers = b"".join(header(str(number), b"", 0) for number in range(MAX_HEADERS))
    found, fault = decode_messages(message(headers, bytes(MAX_PAYLOAD_BYTES)))
    assert (len(found[0].payload), fault) == (MAX_PAYLOAD_BYTES, "")


def test_only_the_unfinished_message_is_held():
    decoder = MessageDecoder()
    decoder.feed(EMPTY * 3 + EMPTY[:13])
    assert decoder.held_bytes == 13
    decoder.feed(EMPTY[13:-1] + b"\0" + bytes(1000))
    assert decoder.held_bytes == 0
    decoder.feed(bytes(1000))
    assert decoder.held_bytes == 0
