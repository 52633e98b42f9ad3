"""Compared with botocore's decoder, which is what clients read these streams with."""

import struct

from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import example, given
from hypothesis import strategies as st

from intercept.formats.streams.event_stream import MAX_HEADERS, MAX_PAYLOAD_BYTES, Message, MessageDecoder
from tests.cases import for_each
from tests.intercept.formats.streams.event_streams import header, message

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
# Of the streams that botocore's own tests decode: every type of header, and an error.
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


def decode(*chunks):
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
    assert decode(stream) == expected
    for at in range(len(stream) + 1):
        assert decode(stream[:at], stream[at:]) == expected
    assert decode(*[stream[at : at + 1] for at in range(len(stream))]) == expected


@given(st.lists(MESSAGES, min_size=1, max_size=3), st.data())
def test_a_stream_with_one_wrong_bit_is_broken_where_botocore_finds_it_broken(messages, data):
    stream = bytearray(b"".join(messages))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    found, fault = decode(bytes(stream))
    assert (found, bool(fault)) == read_by_botocore(bytes(stream))
    assert fault.startswith("the checksum of a message")


@given(st.binary(max_size=80))
def test_headers_of_any_bytes_are_read_or_called_broken_as_botocore_does(headers):
    stream = message(headers, b"payload") + EMPTY
    found, fault = decode(stream)
    expected, broken = read_by_botocore(stream)
    # botocore takes a text that ends before its length says so.
    assert (found, bool(fault)) == (expected, broken) or "longer than all headers" in fault


@for_each(
    ("stream", "fault"),
    [
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
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_message_is_said_to_be_and_ends_the_decoding(stream, fault):
    whole = EMPTY + stream + EMPTY
    assert decode(whole) == ([Message({}, b"")], fault)
    assert decode(*[whole[at : at + 1] for at in range(len(whole))]) == ([Message({}, b"")], fault)


def test_most_headers_and_the_largest_payload_are_decoded():
    headers = b"".join(header(str(number), b"", 0) for number in range(MAX_HEADERS))
    found, fault = decode(message(headers, bytes(MAX_PAYLOAD_BYTES)))
    assert (len(found[0].payload), fault) == (MAX_PAYLOAD_BYTES, "")


def test_only_the_unfinished_message_is_held():
    decoder = MessageDecoder()
    decoder.feed(EMPTY * 3 + EMPTY[:13])
    assert decoder.held_bytes == 13
    decoder.feed(EMPTY[13:-1] + b"\0" + bytes(1000))
    assert decoder.held_bytes == 0
    decoder.feed(bytes(1000))
    assert decoder.held_bytes == 0
