import gzip
import json
import time
import tracemalloc
from itertools import chain, cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.catalog import BY_PATH, CHAT_COMPLETIONS, CONVERSE, GENERATE_CONTENT, IMAGES, MESSAGES, RESPONSES
from intercept.dialects.readers import MAX_BODY_BYTES, READ_TOGETHER_BYTES, BodyReader, StreamReader
from intercept.formats.content_encoding import MAX_RATIO, decoded
from intercept.formats.json_text import read_object
from intercept.formats.last_members import MAX_TAIL_BYTES
from intercept.formats.streams.sse import MAX_EVENT_BYTES
from intercept.formats.weight import LIGHT_VALUES
from intercept.records import Reading
from tests.cases import for_each
from tests.processor import is_within, seconds_of
from tests.wire.conversations import conversations


class Names(StreamReader):
    """Takes each event's name for the response's id."""

    def _add_event(self, event):
        self._draft.identify(event.name)


def take_id(body, draft):
    result = read_object(body)
    draft.identify(result.get("id"))
    return bool(result)


def test_a_stream_is_read_event_by_event():
    reader = Names()
    reader.feed(b"event: first\nda")
    assert reader.result() == Reading()
    reader.feed(b"ta: x\n\nevent: second\ndata: x\n\n")
    assert reader.result() == Reading(response_id="first")


def test_single_events_are_read_in_batches_and_the_rest_on_demand():
    taken = []

    class Noted(StreamReader):
        def _add_event(self, event):
            taken.append(event.data)

    reader = Noted()
    event, data = b"data: " + b"x" * 56 + b"\n\n", b"x" * 56
    together = READ_TOGETHER_BYTES // len(event)
    for _ in range(together - 1):
        reader.feed(event)
    assert taken == []
    reader.feed(event)
    assert taken == [data] * together
    reader.feed(event)
    assert reader.result() == Reading()
    assert taken == [data] * (together + 1)


def test_a_stream_in_tiny_pieces_takes_no_more_memory_than_its_bytes():
    reader = Names()
    tracemalloc.start()
    try:
        for number in range(READ_TOGETHER_BYTES // 2 - 1):
            reader.feed(number.to_bytes(2))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * READ_TOGETHER_BYTES


def test_an_oversized_event_is_marked_in_the_reading():
    reader = Names()
    reader.feed(b"event: first\ndata: ")
    for _ in range(MAX_EVENT_BYTES // 2**20 + 1):
        reader.feed(b"x" * 2**20)
    reader.feed(b"\n\n")
    assert reader.result() == Reading(response_id="first", truncated=True)


USED = b'"usage":{"input_tokens":7,"output_tokens":3},"user":null,"metadata":{"usage":"x"}}'


@for_each(
    ("new_reader", "before", "behind", "used", "complete"),
    [
        (RESPONSES.stream_reader, b'{"response":{"id":"r","output":"', b'",' + USED + b"}", (7, 3), True),
        (
            RESPONSES.stream_reader,
            b'{"response":{"output":"',
            b'",' + USED + b' , "sequence_number": 9 }',
            (7, 3),
            True,
        ),
        (IMAGES.stream_reader, b'{"b64_json":"', b'",' + USED, (7, 3), True),
        (
            GENERATE_CONTENT.stream_reader,
            b'{"candidates":["',
            b'"],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3},"responseId":"r"}',
            (7, 3),
            False,
        ),
    ],
)
def test_of_an_event_that_is_too_large_to_be_read_the_usage_at_its_end_counts(
    new_reader, before, behind, used, complete
):
    reader = new_reader()
    reader.feed(b"event: response.completed\ndata: " + before + b"x" * MAX_EVENT_BYTES + behind + b"\n\n")
    reading = reader.result()
    (usage,) = reading.token_usages
    assert (usage.input_tokens, usage.output_tokens) == used
    assert (reading.complete, reading.truncated) == (complete, True)


def each_case(names, of_any_api):
    """Let a test read all cases as one API, and those that are of any API as that one alone."""
    cases = [
        (api, name) for api in BY_PATH.values() for name in names if api is CHAT_COMPLETIONS or name not in of_any_api
    ]
    return for_each(("api", "name"), cases, ids=[f"{api.name}: {name}" for api, name in cases])


# A quarter as long as the longest that are read, or half: those take as much longer.
HOSTILE = {
    "escapes": b'{"delta":"' + rb"\n" * 2**18 * 7 + rb'\ud83d"}',
    "halves": b'{"delta":"' + rb"\ud83d" * 2**18 * 2 + rb'"}',
    "objects": b'{"choices":[' + b"{}," * 2**18 * 4 + b"{}]}",
    "numbers": b'{"usage":[' + b"0," * 2**18 * 7 + b"0]}",
    "names": b'{"usage":{' + b'"":0,' * 2**18 * 4 + b'"":0}}',
}


@pytest.mark.timed
@each_case(HOSTILE, of_any_api=HOSTILE.keys() - {"names"})
def test_an_event_or_a_body_full_of_values_is_let_go_unread(api, name):
    result, data = [], HOSTILE[name]
    for new_reader, text in ((api.stream_reader, b"data: " + data + b"\n\n"), (api.body_reader, data)):
        assert is_within(0.075, lambda new=new_reader, text=text: seconds_of(lambda: result.append(read(new(), text))))
    assert result[0].truncated
    is_known_to_end = name in {"escapes", "halves"}  # a single text is passed
    assert result[-1] == Reading(complete=is_known_to_end, open_ended=not is_known_to_end, truncated=True)


@for_each("api", BY_PATH.values(), ids=lambda api: api.name)
def test_the_usage_beside_too_many_values_is_read(api):
    one = {"token": "hello", "logprob": -0.5, "bytes": [104, 105]}
    logprobs = [one | {"top_logprobs": [one] * 20}] * 190
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "input_tokens": 3, "output_tokens": 4}
    answer = {"id": "a", "model": "m", "choices": logprobs, "output": logprobs, "content": logprobs, "usage": usage}
    answer |= {"background": True, "status": "completed"}
    kind = {MESSAGES: "message_start", RESPONSES: "response.completed"}.get(api)
    within = {"type": kind, "response": answer, "message": answer} if kind else answer
    for reader, text in (
        (api.body_reader(), json.dumps(answer, indent=1).encode()),
        (api.stream_reader(), b"data: " + json.dumps(within).encode() + b"\n\n"),
    ):
        reading = read(reader, text)
        (tokens,) = reading.token_usages
        assert (tokens.input_tokens, tokens.output_tokens, tokens.provider_response_id) == (3, 4, "a")
        assert (reading.truncated, reading.background_model) == (True, "m" if api is RESPONSES else "")


@for_each("api", BY_PATH.values(), ids=lambda api: api.name)
def test_the_usage_at_the_end_of_a_body_that_is_too_large_is_read(api):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "input_tokens": 3, "output_tokens": 4}
    end = json.dumps({"usage": usage, "metadata": {"usage": "x"}}).encode()[1:]
    reader = api.body_reader()
    for piece in (b'{"id":"r","text":"', b"x" * MAX_BODY_BYTES, b'",' + end[:50], end[50:]):
        reader.feed(piece)
    reading = reader.result()
    (tokens,) = reading.token_usages
    assert (tokens.input_tokens, tokens.output_tokens) == (3, 4)
    assert (reading.complete, reading.open_ended, reading.truncated) == (False, True, True)


def read(reader, text):
    reader.feed(text)
    return reader.result()


@pytest.mark.parametrize("api", BY_PATH.values(), ids=lambda api: api.name)
def test_a_large_event_that_is_an_image_is_read(api):
    reader = api.body_reader()
    reader.feed(b'{"image":"' + b"x" * 12 * 2**20 + b'","id":"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)


def test_a_body_is_read_when_it_is_whole():
    reader = BodyReader(take_id)
    reader.feed(b'{"id":')
    assert reader.result() == Reading()
    reader.feed(b'"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)
    reader.feed(b" trailing")
    assert reader.result() == Reading()


def test_a_body_is_read_once_however_often_it_is_asked():
    taken = []
    reader = BodyReader(lambda body, draft: bool(taken.append(body)) or take_id(body, draft))
    reader.feed(b'{"id":"r"}')
    assert reader.result() is reader.result()
    assert taken == [b'{"id":"r"}']


@pytest.mark.parametrize("size", [10, 11])
def test_a_body_beyond_the_largest_is_let_go_and_opaque(size):
    reader = BodyReader(take_id, max_body_bytes=10)
    for _ in range(size - 10):
        reader.feed(b" ")
    reader.feed(b'{"id":"r"}')
    assert reader.result() == (Reading(response_id="r", complete=True) if size == 10 else Reading(open_ended=True))
    reader.feed(b"{}")
    assert reader.result() == Reading(open_ended=True)
    reader.feed(b" " * 2 * MAX_TAIL_BYTES)
    assert len(reader._body) == MAX_TAIL_BYTES


def test_a_whole_response_with_images_fits():
    reader = BodyReader(take_id)
    reader.feed(b'{"id":"r","image":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}')
    assert reader.result() == Reading(response_id="r", complete=True)


PIECE_BYTES = 256 * 1024
STEP_SECONDS = 0.015
PIECES = {
    "blank lines": b"\n",
    "carriage returns": b"\r",
    "comments": b":\n",
    "tiny events": b"data:0\n\n",
    "events that are no JSON": b"data:x\n\n",
    "events without data": b"data\n\n",
    "bytes that are no text": b"data:\xff\n\n",
    "escapes": b'data:"' + rb"\n" + b'"\n\n',
    "halves of pairs": b'data:"' + rb"\ud83d" + b'"\n\n',
    "choices": b'data:{"choices":[0,0]}\n\n',
    "usages": b'data:{"type":"message_delta","usage":{"input_tokens":1}}\n\n',
}
OF_EACH_API = {"tiny events", "usages"}
PIECES = {name: (data * (PIECE_BYTES // len(data) + 1))[:PIECE_BYTES] for name, data in PIECES.items()}


def holds_up(new_reader, pieces, seconds):
    """Say whether one call takes so much processor time, while a reader is let catch up with each piece, and in the end."""
    return not is_within(seconds, lambda: longest_step(new_reader(), pieces))


def longest_step(reader, pieces):
    longest = 0.0

    def timed(call, *args):
        nonlocal longest
        began = time.thread_time()
        result = call(*args)
        longest = max(longest, time.thread_time() - began)
        return result

    for piece in pieces:
        timed(reader.feed, piece)
        while reader.behind and timed(reader.step):
            pass
    while timed(reader.step):
        pass
    timed(reader.result)
    return longest


@pytest.mark.timed
@each_case(PIECES, of_any_api=PIECES.keys() - OF_EACH_API)
def test_no_piece_of_a_stream_is_read_for_long(api, name):
    assert not holds_up(api.stream_reader, [PIECES[name]], STEP_SECONDS)


@pytest.mark.timed
@for_each("name", ["comments", "tiny events"])
def test_no_packed_piece_of_a_stream_is_read_for_long(name):
    packed = gzip.compress(PIECES[name] + PIECES[name][::-1])
    padded = [packed + bytes(len(PIECES[name]) // MAX_RATIO)]
    assert not holds_up(lambda: decoded(CHAT_COMPLETIONS.stream_reader(), "gzip"), padded, STEP_SECONDS)


def test_thousands_of_gzip_members_in_a_piece_are_not_read_for_long():
    for member in (gzip.compress(b""), gzip.compress(b"data:x\n\n")):
        pieces = [member * (PIECE_BYTES // len(member))]
        assert not holds_up(lambda: decoded(CHAT_COMPLETIONS.stream_reader(), "gzip"), pieces, STEP_SECONDS)


LARGE_BYTES = MAX_BODY_BYTES // 2 - 1000
"""Of what is decoded in one step, which takes as much longer as there is more."""
LARGE_SECONDS = 0.02
"""Twice what decoding so much takes."""
KEPT_SECONDS = 0.04
"""Twice what a text takes that is kept."""
LARGE = {
    "text": lambda: b"x" * LARGE_BYTES,
    "text cut in a pair": lambda: b"x" * LARGE_BYTES + rb"\ud83d",
    "text behind an escape": lambda: rb"\n" + b"x" * LARGE_BYTES,
    "an image beside an escape": lambda: rb'\ud83d","image":"' + b"x" * LARGE_BYTES,
    "characters of three bytes": lambda: "€".encode() * (LARGE_BYTES // 3),
    "bytes that are no text": lambda: b"\xff" * LARGE_BYTES,
    "bytes that are no text, in less": lambda: b"\xff" * (4 * 2**20 - 70_000),
    "halves of pairs": lambda: (b"x" * 64 + rb"\ud83d") * (4 * 2**20 // 70 - 1000),
}


@each_case(LARGE, of_any_api=LARGE.keys())
def test_no_large_event_or_body_is_read_for_long(api, name):
    data = b'{"id":"' + LARGE[name]() + b'"}'
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    seconds = 2 * LARGE_SECONDS if name in {"bytes that are no text, in less", "halves of pairs"} else LARGE_SECONDS
    assert not holds_up(api.body_reader, pieces, seconds)
    if name == "text":  # an event is decoded as a body is
        assert not holds_up(api.stream_reader, [b"data: ", *pieces, b"\n\n"], seconds)


def repeated(item, times):
    return b"[" + b",".join([item] * times) + b"]"


MOST = LIGHT_VALUES - 100
LONG_NUMBER = b"1.2345678901234567e-300"
NUMBERS = repeated(LONG_NUMBER, MOST)
TOOL_CALL = b'{"id":%b,"function":{"name":%b,"arguments":%b}}'
FULL_SECONDS = 0.03
"""Twice what the dearest of them takes, which is read at once."""
FULL = {
    f"numbers for {name}": b'{"type":"message_start","%b":%b}' % (name.encode(), NUMBERS)
    for name in ["id", "type", "usage", "error", "delta", "choices", "content", "output"]
}
FULL["usage"] = b'{"type":"message_delta","usage":{"x":%b},"delta":%b}' % (
    repeated(LONG_NUMBER, 1364),
    repeated(LONG_NUMBER, MOST - 1400),
)
FULL["members of an error"] = b'{"type":"error","error":{%b}}' % b",".join(b'"k%d":0' % key for key in range(MOST))
FULL_OF_API = {
    **{
        (api, f"numbers for {name} of {outer}"): f'{{"type":"{kind}","{outer}":{{"{name}":'.encode() + NUMBERS + b"}}"
        for api, kind, outer, names in (
            (MESSAGES, "message_start", "message", "usage content error"),
            (MESSAGES, "content_block_start", "content_block", "id input"),
            (RESPONSES, "response.completed", "response", "usage output error"),
            (RESPONSES, "response.output_item.done", "item", "summary content arguments"),
        )
        for name in names.split()
    },
    (CHAT_COMPLETIONS, "tool calls"): b'{"choices":[{"message":{"tool_calls":%b}}]}'
    % repeated(TOOL_CALL % ((b'"a"',) * 3), MOST // 5),
    (CHAT_COMPLETIONS, "tool calls of numbers"): b'{"choices":[{"delta":{"tool_calls":%b}}]}'
    % repeated(TOOL_CALL % ((LONG_NUMBER,) * 3), MOST // 5),
    (CHAT_COMPLETIONS, "deltas of tool calls"): b'{"choices":[{"delta":{"tool_calls":[%b]}}]}'
    % b",".join(b'{"id":"%d","index":%d}' % (index, index) for index in range(MOST // 3)),
    (RESPONSES, "output items"): b'{"output":%b}' % repeated(b'{"type":"function_call","name":"a"}', MOST // 3),
    (RESPONSES, "summaries"): b'{"output":%b}' % repeated(b'{"type":"reasoning","summary":[{"text":"x"}]}', MOST // 5),
    (MESSAGES, "blocks"): b'{"content":%b}' % repeated(b'{"type":"tool_use","name":"a","input":{}}', MOST // 4),
}
FULL_OF_API |= {(api, name): data for api in BY_PATH.values() for name, data in FULL.items()}


@pytest.mark.timed
@for_each("case", FULL_OF_API, ids=lambda case: f"{case[0].name}: {case[1]}")
def test_no_event_or_body_as_full_as_allowed_is_read_for_long(case):
    api, data = case[0], FULL_OF_API[case]
    assert not holds_up(api.body_reader, [data], FULL_SECONDS)
    assert not holds_up(api.stream_reader, [b"data: ", data, b"\n\n"], FULL_SECONDS)


TEXTS = {
    "content": (CHAT_COMPLETIONS, b'{"choices":[{"message":{"content":%b}}]}' % NUMBERS),
    "text blocks": (MESSAGES, b'{"content":%b}' % repeated(b'{"type":"text","text":"x"}', MOST // 3)),
    "messages": (RESPONSES, b'{"output":%b}' % repeated(b'{"type":"message","content":[{"text":"x"}]}', MOST // 4)),
    "blocks": (CONVERSE, b'{"output":{"message":{"content":%b}}}' % repeated(b'{"text":"x"}', MOST // 2)),
}


@pytest.mark.timed
@for_each("name", TEXTS)
def test_no_text_that_is_kept_is_read_for_long(name):
    api, data = TEXTS[name]
    assert not holds_up(lambda: api.reader_for("application/json", keep_text=True), [data], KEPT_SECONDS)


def test_a_large_body_cut_in_a_pair_is_read_to_its_end():
    reader = BY_PATH["/v1/responses"].body_reader()
    reader.feed(rb'{"x":"\ud83d","image":"' + b"x" * 12 * 2**20 + b'","id":"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)


STREAMS = [each for each in conversations() if each.stream is not None and len(each.stream) < PIECE_BYTES]


@given(data=st.data())
def test_what_is_read_in_steps_is_what_is_read_at_once(data):
    one = data.draw(st.sampled_from(STREAMS))
    filler = data.draw(st.sampled_from([b": x\n", b"\n", b"data: {}\n\n"])) * data.draw(st.integers(0, 4000))
    body = filler + one.stream + filler
    packed = data.draw(st.booleans())
    sent = gzip.compress(body, compresslevel=0) if packed else body
    at_once = one.api.stream_reader()
    at_once.feed(body)
    whole = at_once.result()
    reader = decoded(one.api.stream_reader(), "gzip" if packed else "")
    sizes = data.draw(st.lists(st.integers(1, 20_000), min_size=1, max_size=5))
    steps = cycle(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    at = 0
    for size in chain(sizes, repeat(max(sizes))):
        reader.feed(sent[at : at + size])
        at += size
        for _ in range(next(steps)):
            reader.step()
        if at >= len(sent):
            break
    assert reader.result() == whole


def test_a_reader_that_is_left_in_the_middle_goes_on_there():
    taken = []

    class Noted(StreamReader):
        def _add_event(self, event):
            taken.append(event.data)

    reader = Noted()
    events = [b"%d" % number for number in range(9000)]
    reader.feed(b"".join(b"data: %b\n\n" % event for event in events))
    assert (reader.behind, taken) == (True, [])
    assert reader.step()
    assert 0 < len(taken) < 9000
    reader.feed(b"data: last\n\n")
    assert reader.result() == Reading()
    assert taken == [*events, b"last"]
    assert not reader.behind
    assert not reader.step()
