"""What holds for the bytes of anybody, whatever API reads them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from intercept import catalog
from intercept.apis import Api, InvalidRequestError
from intercept.dialects.bedrock import converse, invoke
from intercept.records import Reading
from tests.cases import for_each
from tests.intercept import malformed_responses as malformed
from tests.intercept.formats.event_streams import chunk, event

APIS = [api for api in vars(catalog).values() if isinstance(api, Api)]
PARSERS = {api.parse_request: api.name for api in reversed(APIS)}
READERS = {(api.stream_reader, api.body_reader): api.name for api in reversed(APIS)}
NAMES = (
    "id type index event model messages input contents role content text parts metadata user_id tools tool_calls function"
    " arguments call_id tool_use_id toolUse choices candidates delta message content_block output item response steps step"
    " interaction summary usage usageMetadata input_tokens prompt_tokens prompt_tokens_details cached_tokens inputTokens"
    " promptTokenCount total_input_tokens error errors status code finish_reason finishReason partial_json thinking"
)
TEXTS = (
    "message_start content_block_start content_block_delta message_delta message_stop error tool_use thinking text user tool"
    " tool_result function_call function_call_output response.output_item.added response.output_item.done completed failed"
    " response.completed response.failed step.start step.delta interaction.completed model_output contentBlockStart"
    " contentBlockDelta metadata stop m"
)
VALUES = malformed.json_values(NAMES, TEXTS)
BODIES = malformed.bodies(NAMES, TEXTS)
BINARY = st.lists(
    st.one_of(VALUES.map(chunk), st.builds(event, st.sampled_from(TEXTS.split()), VALUES)), max_size=5
).map(b"".join)


def in_a_request(value):
    return json.dumps({"model": "m", "messages": [value], "input": [value], "metadata": value}).encode()


def is_read_alike(new_reader, body, cut):
    reading = malformed.read(new_reader(), body)
    return malformed.read(new_reader(), body, cut) == reading and malformed.is_storable(to_builtins(reading))


@given(body=BODIES | VALUES.map(in_a_request))
@for_each("parse", *PARSERS, ids=PARSERS.values())
def test_any_request_is_summed_up_or_refused(parse, body):
    try:
        summary = parse(body)
    except InvalidRequestError:
        return
    assert malformed.is_storable(to_builtins(summary, enc_hook=dict))


@given(stream=malformed.streams(NAMES, TEXTS), body=BODIES, cut=st.integers(0, 500))
@for_each(("stream_reader", "body_reader"), *READERS, ids=READERS.values())
def test_any_response_is_read_the_same_for_every_cut_and_can_be_stored(stream_reader, body_reader, stream, body, cut):
    assert is_read_alike(stream_reader, stream, cut)
    assert is_read_alike(body_reader, body, cut)


@pytest.mark.parametrize("new_reader", [converse.event_stream_reader, invoke.event_stream_reader])
@given(stream=BINARY, cut=st.integers(0, 500))
def test_any_binary_stream_is_read_the_same_for_every_cut_and_can_be_stored(new_reader, stream, cut):
    assert is_read_alike(new_reader, stream, cut)


@for_each("body", b"", b"[]", b"null", b'{"id":"r"', b"<html>", b"event: message_stop\ndata: {}\n\n", b"\xff")
@for_each("api", *catalog.BY_PATH.values(), catalog.CONVERSE, catalog.INVOKE, ids=lambda api: api.name)
def test_a_body_that_is_not_one_whole_object_says_nothing(api, body):
    assert malformed.read(api.body_reader(), body) == Reading()
