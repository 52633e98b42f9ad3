import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.formats.streams.json_array import ArrayDecoder
from intercept.formats.streams.sse import MAX_EVENT_BYTES, Event
from tests.cases import for_each

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
    [
        (b"", [], False),
        (b"[]", [], True),
        (b"[ ]", [], True),
        (b'[{"a":1}', [], False),
        (b'[{"a":1},', [Event(b'{"a":1}')], False),
        (b'[{"a":1}] trailing, [2]', [Event(b'{"a":1}')], True),
        (b'[{"a":1}}', [], False),
        (b"no array", [], False),
    ],
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
