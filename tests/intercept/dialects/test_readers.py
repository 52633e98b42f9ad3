import json
import tracemalloc

import pytest

from intercept.catalog import BY_PATH, CHAT_COMPLETIONS, GENERATE_CONTENT, IMAGES, RESPONSES
from intercept.dialects.drafts import MAX_ERROR_BYTES, MAX_ERROR_MESSAGE
from intercept.dialects.readers import MAX_BODY_BYTES, READ_TOGETHER_BYTES, ErrorReader, StreamReader
from intercept.formats.json_text import MAX_READ_VALUES
from intercept.formats.streams import MAX_EVENT_BYTES
from intercept.records import ProviderError, Reading
from tests.cases import for_each
from tests.processor import is_within, seconds_of

MIB = 2**20
UPSTREAM_BYTES = 256 * 1024
"""As much of a stream as comes at once."""


class Names(StreamReader):
    """Takes each event's name for the response's id."""

    def _add_event(self, event):
        self._draft.identify(event.name)


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


USED = b'"usage":{"input_tokens":7,"output_tokens":3},"user":null,"metadata":{"usage":"x"}}'


@for_each(
    ("new_reader", "before", "behind", "used", "complete"),
    (RESPONSES.stream_reader, b'{"response":{"id":"r","output":"', b'",' + USED + b"}", (7, 3), True),
    (RESPONSES.stream_reader, b'{"response":{"output":"', b'",' + USED + b' , "sequence_number": 9 }', (7, 3), True),
    (IMAGES.stream_reader, b'{"b64_json":"', b'",' + USED, (7, 3), True),
    (
        GENERATE_CONTENT.stream_reader,
        b'{"candidates":["',
        b'"],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3},"responseId":"r"}',
        (7, 3),
        False,
    ),
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
    return for_each(("api", "name"), *cases, ids=[f"{api.name}: {name}" for api, name in cases])


HOSTILE = {
    "escapes": b'{"delta":"' + rb"\n" * 7 * MIB + rb'\ud83d"}',
    "halves": b'{"delta":"' + rb"\ud83d" * MIB + rb'"}',
    "objects": b'{"choices":[' + b"{}," * 5 * MIB + b"{}]}",
    "as many objects as are read": b'{"choices":[' + b"{}," * (MAX_READ_VALUES // 2 - 9) + b"{}]}",
    "numbers": b'{"usage":[' + b"0," * 7 * MIB + b"0]}",
    "names": b'{"usage":{' + b'"":0,' * 3 * MIB + b'"":0}}',
    "tiny events": b"x\n\n" + b"data:0\n\n" * (UPSTREAM_BYTES // 8),
}


@pytest.mark.timed
@each_case(HOSTILE, of_any_api=HOSTILE.keys() - {"names", "as many objects as are read"})
def test_no_event_and_no_body_is_read_for_long(api, name):
    data = HOSTILE[name]
    for new_reader, text in ((api.stream_reader, b"data: " + data + b"\n\n"), (api.body_reader, data)):
        assert is_within(0.15, lambda new=new_reader, text=text: seconds_of(lambda: read(new(), text)))


@for_each("api", *BY_PATH.values(), ids=lambda api: api.name)
def test_the_usage_behind_too_many_values_is_read(api):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "input_tokens": 3, "output_tokens": 4}
    many = b"[" + b"0," * MAX_READ_VALUES + b"0]"
    reading = read(api.body_reader(), b'{"id":"a","x":%b,"usage":%b}' % (many, json.dumps(usage).encode()))
    (tokens,) = reading.token_usages
    assert (tokens.input_tokens, tokens.output_tokens, reading.open_ended, reading.truncated) == (3, 4, True, True)


@for_each("api", *BY_PATH.values(), ids=lambda api: api.name)
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


def test_a_large_body_cut_in_a_pair_is_read_to_its_end():
    reader = BY_PATH["/v1/responses"].body_reader()
    reader.feed(rb'{"x":"\ud83d","image":"' + b"x" * 12 * 2**20 + b'","id":"r"}')
    assert reader.result() == Reading(response_id="r", complete=True)


def read_error_body(*chunks):
    reader = ErrorReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.result()


@for_each(
    ("body", "kind", "message"),
    (
        b'{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
        "invalid_request_error",
        "Incorrect API key provided.",
    ),
    (
        b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},"request_id":"req_1"}',
        "rate_limit_error",
        "Slow down",
    ),
    (b'{"error":{"code":429,"message":"Quota"}}', "unnamed_error", "Quota"),
    (b'{"error":{"type":"empty"}}', "empty", '{"error":{"type":"empty"}}'),
    (b'{"error":"model not found"}', "unnamed_error", "model not found"),
    (b'{"error":"Not Found","message":"no such model","code":"missing"}', "missing", "no such model"),
    (b'{"object":"error","message":"too long","type":"BadRequestError","code":400}', "BadRequestError", "too long"),
    (b'{"error":{},"message":"only here"}', "unnamed_error", "only here"),
    (b'{"detail":"Not authenticated"}', "unnamed_error", "Not authenticated"),
    (b'{"detail":[{"loc":["body"]}]}', "unnamed_error", '{"detail":[{"loc":["body"]}]}'),
)
def test_an_error_is_read_from_the_json_of_either_dialect_and_of_their_imitators(body, kind, message):
    expected = Reading(complete=True, error=ProviderError(type=kind, message=message))
    assert read_error_body(body) == expected
    assert read_error_body(*(body[at : at + 1] for at in range(len(body)))) == expected


@for_each(
    ("body", "message"),
    (b"", ""),
    (b"  upstream connect error\r\n", "upstream connect error"),
    (b"<html><h1>502</h1></html>", "<html><h1>502</h1></html>"),
    (b'["in an array"]', '["in an array"]'),
    (b'{"error":{"message":"cut', '{"error":{"message":"cut'),
    (b"\xff\x00", "�\0"),
)
def test_a_body_that_is_no_json_object_is_its_own_message(body, message):
    assert read_error_body(body) == Reading(error=ProviderError(type="unnamed_error", message=message))


def test_a_long_body_is_looked_at_in_part_only():
    reader = ErrorReader()
    for _ in range(100):
        reader.feed(b"x" * (MAX_ERROR_BYTES // 10))
    assert reader.result() == Reading(error=ProviderError(type="unnamed_error", message="x" * MAX_ERROR_MESSAGE))
    assert len(reader._body) == MAX_ERROR_BYTES
