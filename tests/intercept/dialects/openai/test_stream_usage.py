"""Asking a chat stream for its usage, and hiding the answer from a client that did not."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.json import Decoder

from intercept.dialects.openai.stream_usage import (
    MAX_CANDIDATE_EVENTS,
    MAX_HELD_BYTES,
    UsageChunkFilter,
    refuses_usage,
    with_usage,
)
from tests.cases import for_each
from tests.processor import is_within, seconds_of

MEMBERS = Decoder(dict[str, Raw])
ASKING = b'{"stream_options":{"include_usage":true}}'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'


def option_of(body: bytes) -> bytes | None:
    value = MEMBERS.decode(body).get("stream_options")
    return None if value is None else bytes(value)


def requests_usage(options: bytes | None) -> bool:
    return options is not None and json.loads(options)["include_usage"] is True


@for_each(
    ("body", "changed"),
    (b'{"model":"a","stream":true}', b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'),
    (b' { "model":"a" } \r\n', b' { "model":"a" ,"stream_options":{"include_usage":true}} \r\n'),
    (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
    (b'{"stream_options" : {} }', b'{"stream_options" : {"include_usage":true} }'),
    (b'{"stream_options":{ "a":[{}] }}', b'{"stream_options":{ "a":[{}] ,"include_usage":true}}'),
    (b'{"stream_options":{"include_usage" :false}}', b'{"stream_options":{"include_usage" :true}}'),
    (b'{"stream_options":{"include_usage":null}}', b'{"stream_options":{"include_usage":true}}'),
    (
        b'{"x":{"stream_options":{}},"stre\\u0061m_options":{}}',
        b'{"x":{"stream_options":{}},"stream_options":{"include_usage":true}}',
    ),
    (
        b'{"stream_options":{},"x":{"stream_options":{}},"y":"\\"stream_options\\":{}"}',
        b'{"stream_options":{"include_usage":true},"x":{"stream_options":{}},"y":"\\"stream_options\\":{}"}',
    ),
)
def test_a_splice_adds_the_option_and_nothing_else(body: bytes, changed: bytes) -> None:
    assert with_usage(body, option_of(body)) == changed


@for_each(
    "options",
    b'{"include_usage":true}',
    b'{"include_usage":1}',
    b'{"include_usage":"yes"}',
    b"[]",
    b'"all"',
    b"7",
    b"true",
)
def test_a_request_that_asks_or_that_the_provider_refuses_stays_as_it_is(options: bytes) -> None:
    assert with_usage(b'{"model":"a","stream_options":%b}' % options, options) is None


@for_each("declined", b"0", b"-0.0", b"0e5", b'"false"', b'"Off"', b'"0"')
def test_what_servers_that_are_not_strict_read_as_false_is_replaced(declined: bytes) -> None:
    options = b'{"include_usage":%b}' % declined
    assert with_usage(b'{"stream_options":%b}' % options, options) == ASKING


@for_each("filler", b'"p":"%b"' % (b"x" * 3 * 2**20), b'"p":[%b0]' % (b'{"stream_options":{}},' * 90_000))
def test_a_request_asks_whatever_its_size_and_however_often_the_option_stands_in_it(filler: bytes) -> None:
    for options, changed in ((b"{}", b'{"include_usage":true}'), (b'{"a":1}', b'{"a":1,"include_usage":true}')):
        body = b'{%b,"stream_options":%b,"q":1}' % (filler, options)
        assert with_usage(body, options) == b'{%b,"stream_options":%b,"q":1}' % (filler, changed)
    spaces = b" " * 1_000_000
    assert with_usage(b"{%b%b}%b" % (filler, spaces, spaces), None) == (
        b'{%b%b,"stream_options":{"include_usage":true}}%b' % (filler, spaces, spaces)
    )


# Requests as any client may write them.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just("stream_options"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["stream_options", "include_usage", "a", 'b"', "é"]), inner, max_size=3)
    ),
    max_leaves=8,
)
options_values = st.none() | st.dictionaries(
    st.sampled_from(["include_usage", "include_obfuscation", "x"]), st.booleans() | st.none(), max_size=3
)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of the value, with whitespace and escapes wherever they may be."""

    def space() -> str:
        return draw(st.sampled_from(["", "", " ", "\n", "\t ", "\r\n"]))

    def text(plain: str) -> str:
        escaped = [
            f"\\u{ord(letter):04{draw(st.sampled_from('xX'))}}"
            if ord(letter) < 0x10000 and draw(st.integers(0, 9)) == 0
            else json.dumps(letter, ensure_ascii=False)[1:-1]
            for letter in plain
        ]
        return f'"{"".join(escaped)}"'

    def spell(one: Any) -> str:
        if isinstance(one, str):
            return text(one)
        if isinstance(one, list):
            return f"[{space()}{','.join(f'{space()}{spell(item)}{space()}' for item in one)}]"
        if isinstance(one, list | dict | tuple):
            pairs = one.items() if isinstance(one, dict) else one
            members = (f"{space()}{text(key)}{space()}:{space()}{spell(item)}{space()}" for key, item in pairs)
            return f"{{{','.join(members)}{space()}}}"
        return json.dumps(one)

    return space() + spell(value) + space()


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request whose members may stand in any order, and all but the option more than once."""
    members = [("model", "m"), ("stream", True)]
    members += draw(st.lists(st.tuples(st.sampled_from(["messages", "x", 'st"']), json_values), max_size=3))
    members += draw(st.lists(st.tuples(st.just("stream_options"), options_values), max_size=1))
    return draw(spelled(tuple(draw(st.permutations(members))))).encode()


@given(requests())
def test_after_a_splice_the_request_asks_and_all_else_is_as_it_was(body: bytes) -> None:
    options = option_of(body)
    changed = with_usage(body, options)
    if changed is None:
        assert requests_usage(options)
        return
    before, after = MEMBERS.decode(body), MEMBERS.decode(changed)
    assert requests_usage(option_of(changed))
    assert {key: bytes(value) for key, value in after.items() if key != "stream_options"} == {
        key: bytes(value) for key, value in before.items() if key != "stream_options"
    }
    requested = json.loads(options or b"null") or {}
    assert json.loads(bytes(after["stream_options"])) == requested | {"include_usage": True}
    if b"\\" not in body:  # names may be written with escapes, and are then written anew
        assert replaced_in(body, changed) in {b"", b"null", b"fals"}  # of `false` the last letter stays, as in `true`


def replaced_in(before: bytes, after: bytes) -> bytes:
    """What of `before` is not in `after`, if one place was changed."""
    start = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
    rest, changed = before[start:], after[start:]
    same = next((n for n, (a, b) in enumerate(zip(rest[::-1], changed[::-1], strict=False)) if a != b), len(rest))
    return rest[: len(rest) - same]


def test_a_400_that_names_the_option_refuses_it() -> None:
    assert refuses_usage(b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}')
    assert not refuses_usage(b'{"error":{"message":"max_tokens is too large"}}')


# The filter.


def through_filter(*pieces: bytes) -> tuple[list[bytes], bytes, int]:
    one = UsageChunkFilter()
    return [one.feed(piece) for piece in pieces], one.end(), one.removed


@for_each("end", b"\n\n", b"\r\n\r\n", b"\r\r")
def test_the_usage_chunk_goes_wherever_the_stream_is_cut(end: bytes) -> None:
    content = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}' + end
    stream = content + USAGE + end + b"data: [DONE]" + end
    ends = (len(content), len(content) + len(USAGE + end), len(stream))
    near = [at + by for at in ends for by in range(-len(end), 2)]
    for first in range(len(stream) + 1):
        for second in {max(first, at) for at in (*near, first + 1)}:
            passed, rest, removed = through_filter(stream[:first], stream[first:second], stream[second:])
            assert (b"".join(passed) + rest, removed) == (content + b"data: [DONE]" + end, 1), (first, second)


def test_a_whole_event_passes_at_once_and_half_of_one_waits() -> None:
    passed, rest, _ = through_filter(b"data: 1\n\nda", b"ta: 2\r\n\r", b"\n", b": comment\n\ndata: unfinished")
    assert passed == [b"data: 1\n\n", b"data: 2\r\n\r", b"", b"\n: comment\n\n"]
    assert rest == b"data: unfinished"


@for_each(
    "event",
    b'data: {"choices":[],"prompt_filter_results":[{}]}\n\n',
    b'data: {"choices":[],"usage":null}\n\n',
    b'data: {"choices":[],"usage":{},"error":{"message":"x"}}\n\n',
    b'data: {"choices":[{}],"usage":{"prompt_tokens":1}}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":1}\n\n',
    b': "choices":[] "usage":{}\n\n',
)
def test_what_is_not_a_usage_only_chunk_stays(event: bytes) -> None:
    assert through_filter(event) == ([event], b"", 0)


def test_an_event_too_large_to_hold_passes_in_parts_and_is_never_taken_out() -> None:
    big = b'data: {"x":"%b"}\n' % (b"x" * MAX_HELD_BYTES)
    tail = USAGE + b"\n"
    passed, rest, removed = through_filter(big, tail, b"\n" + USAGE + b"\n\n", b"data: [DONE]\n\n")
    assert passed == [big[:-1], b"\n" + tail[:-1], b"\n\n", b"data: [DONE]\n\n"]
    assert (rest, removed) == (b"", 1)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_further_blank_lines_around_the_usage_chunk_stay(end: bytes) -> None:
    assert through_filter(end * 3 + USAGE + end * 4 + b"data: [DONE]" + end * 3)[::2] == (
        [end * 5 + b"data: [DONE]" + end * 3],
        1,
    )


def test_only_the_line_feed_right_behind_the_usage_chunk_goes_with_it() -> None:
    assert through_filter(USAGE + b"\r\r", b"\ndata: 1\n\n") == ([b"", b"data: 1\n\n"], b"", 1)
    assert through_filter(USAGE + b"\r\rdata: 1", b"\n\n") == ([b"", b"data: 1\n\n"], b"", 1)


def test_line_ends_behind_an_event_without_choices_stay() -> None:
    event = b'data: {"choices":[]}\n\n\n'
    assert through_filter(event + b"\n") == ([event + b"\n"], b"", 0)
    assert through_filter(event + b"\ndata: 1\n\n") == ([event + b"\ndata: 1\n\n"], b"", 0)


SIZE = 320 * 1024  # what is read ahead of a stream, and one read more
HOSTILE = {
    "line feeds": b"\n" * SIZE,
    "carriage returns": b"\r" * SIZE,
    "both": b"\r\n" * (SIZE // 2),
    "tiny events": b":\n\n" * (SIZE // 3),
    "line feeds and the chunk": b"\n" * SIZE + USAGE,
    "carriage returns and the chunk": b"\r" * SIZE + USAGE,
    "no choices": b'"choices":[]\n\n' * (SIZE // 14),
    "usage chunks": b'data:{"choices":[],"usage":{}}\n\n' * (SIZE // 32),
    "lines of a chunk": b":\n" * (SIZE // 2) + USAGE,
    "empty lines of data": b'data:{"choices":[],\n' + b"data:\n" * (SIZE // 6) + b'data:"usage":{}}',
    "much in a chunk": b'data: {"choices":[],"usage":[' + b"[]," * (SIZE // 3) + b"0]}",
    "less in chunks": (b'data: {"choices":[],"usage":{"x":[' + b"[]," * (SIZE // 20) + b"0]}}\n\n") * 6,
    "spaces": (b'"choices":[' + b" " * (SIZE // 9)) * 9,
}


@pytest.mark.timed
@for_each("end", b"", b"x", b"\n\n", b"\r\rx")
@for_each("piece", *HOSTILE.values(), ids=HOSTILE)
def test_no_piece_of_a_stream_is_looked_at_for_long(piece: bytes, end: bytes) -> None:
    assert is_within(0.01, lambda: seconds_of(partial(UsageChunkFilter().feed, piece + end)))


def test_of_very_many_chunks_without_choices_the_rest_passes() -> None:
    passed, rest, removed = through_filter((USAGE + b"\n\n") * (MAX_CANDIDATE_EVENTS + 2))
    assert (passed, rest, removed) == ([(USAGE + b"\n\n") * 2], b"", MAX_CANDIDATE_EVENTS)


lines = st.sampled_from([USAGE, b"data: 1", b": c", b"event: x", b'data: {"choices": [ ]', b'data: ,"usage":{}}', b""])
streams = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


def cut_at(stream: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted(min(place, len(stream)) for place in places)
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(streams, st.lists(st.integers(0, 500), max_size=6))
def test_where_a_stream_is_cut_makes_no_difference(stream: bytes, places: list[int]) -> None:
    whole, whole_rest, whole_removed = through_filter(stream)
    passed, rest, removed = through_filter(*cut_at(stream, places))
    assert (b"".join(passed) + rest, removed) == (b"".join(whole) + whole_rest, whole_removed)


@given(streams, st.integers(0, 3), st.lists(st.integers(0, 140_000), max_size=6))
def test_a_stream_without_the_chunk_passes_unchanged(stream: bytes, large: int, places: list[int]) -> None:
    # Nor a chunk that is written in two lines.
    stream = stream.replace(USAGE, b"data: 2").replace(b'"usage"', b'"x"') + b"y" * large * MAX_HELD_BYTES
    passed, rest, removed = through_filter(*cut_at(stream, places))
    assert (b"".join(passed) + rest, removed) == (stream, 0)
