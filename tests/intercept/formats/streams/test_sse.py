from hypothesis import example, given
from hypothesis import strategies as st

from intercept.formats.streams.sse import Decoder, Event
from tests.cases import for_each

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
    [
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
    ],
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
    [
        b"event: n\ndata: " + b"x" * 40 + b"\n\n",
        b"data: " + b"x" * 400 + b"\nevent: n\n\n",
        b"event: n\n" + b"data: xxxxxxxx\n" * 5 + b"\n",
        b"event: n\n:" + b"x" * 400 + b"\ndata: a\n\n",
        b"event: n\nevent: " + b"x" * 400 + b"\ndata: a\n\n",
    ],
    ids=["a long line", "a very long line", "many lines", "a long comment", "a long name"],
)
def test_an_oversized_event_is_dropped_and_flagged_and_decoding_goes_on(oversized):
    stream = b"data: before\n\n" + oversized + b"data: after\n\n"
    expected = [Event(b"before"), Event(b"", "n", oversized=True), Event(b"after")]
    assert decode(stream, max_event_bytes=32) == expected
    assert decode(*cut(stream, range(len(stream))), max_event_bytes=32) == expected


def test_an_event_of_exactly_the_largest_size_is_kept():
    assert decode(b"data: " + b"x" * 26 + b"\n\n", max_event_bytes=32) == [Event(b"x" * 26)]
    assert decode(b"data: " + b"x" * 27 + b"\n\n", max_event_bytes=32) == [Event(b"", oversized=True)]


@for_each("piece", [b"x" * 100, b"data: " + b"x" * 20 + b"\n", b"data:\n", b"event: " + b"x" * 20 + b"\n", b":x\n"])
def test_memory_stays_bounded_when_an_event_never_ends(piece):
    decoder = Decoder(max_event_bytes=64)
    for _ in range(1000):
        assert decoder.feed(piece) == []
        assert decoder.held_bytes <= 2 * 64
