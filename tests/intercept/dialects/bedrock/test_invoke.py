import json
from functools import partial

import msgspec
import pytest
from msgspec import structs

from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.bedrock.dialect import MAX_PAYLOAD_BYTES, BedrockEvents
from intercept.dialects.bedrock.invoke import event_stream_reader, metered_body_reader
from intercept.formats.streams import MAX_PAYLOAD_BYTES as LARGEST
from intercept.formats.streams import Decoder, Event
from intercept.records import ModelThought, ProviderError, Reading, TokenUsage, ToolUsage
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.formats import event_streams
from tests.intercept.formats.event_streams import chunk, exception
from tests.intercept.malformed_responses import read
from tests.processor import is_within, seconds_of
from tests.wire.conversations import conversations

METRICS = {
    "inputTokenCount": 392,
    "outputTokenCount": 90,
    "invocationLatency": 2141,
    "firstByteLatency": 563,
    "cacheReadInputTokenCount": 3,
    "cacheWriteInputTokenCount": 0,
}
METERED = TokenUsage(
    provider_response_id="",
    input_tokens=392,
    output_tokens=90,
    cache_read_input_tokens=3,
    cache_write_input_tokens=0,
    usage=METRICS,
)
CLAUDES = [
    pytest.param(each, id=each.name)
    for each in conversations()
    if each.api.name == "messages" and each.stream is not None and len(each.stream) < 64 * 1024
]
CLAUDE = [
    {"type": "message_start", "message": {"id": "msg_bdrk_1", "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "é"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 134}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
]
CLAUDE_STREAM = b"".join(map(chunk, CLAUDE))
CLAUDE_READING = Reading(
    response_id="msg_bdrk_1",
    complete=True,
    token_usages=(
        TokenUsage(
            provider_response_id="msg_bdrk_1",
            input_tokens=9,
            output_tokens=134,
            cache_read_input_tokens=3,
            cache_write_input_tokens=0,
            usage={"input_tokens": 9, "output_tokens": 134},
        ),
    ),
    tool_usages=(ToolUsage(provider_response_id="msg_bdrk_1", provider_tool_call_id="t1", tool="f", input='{"a":1}'),),
    model_thoughts=(ModelThought(content="é", source="thinking"),),
)
LLAMA = [
    {"generation": "Hi", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None},
    {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": METRICS},
]
NOVA = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t1", "name": "f"}}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 0}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 4, "outputTokens": 2}}, "amazon-bedrock-invocationMetrics": METRICS},
]
NOVAS_CALL = ToolUsage(provider_response_id="", provider_tool_call_id="t1", tool="f", input="{}")
NOVAS_TOKENS = TokenUsage(
    provider_response_id="", input_tokens=4, output_tokens=2, usage={"inputTokens": 4, "outputTokens": 2}
)
NOVAS_COMPLETED = structs.replace(NOVAS_TOKENS, cache_read_input_tokens=3, cache_write_input_tokens=0)


def with_type(event):
    """The data of an event with its name as the type, as Bedrock's chunks have no names."""
    try:
        result = json.loads(event.data)
    except ValueError:
        return event.data
    return {"type": event.name} | result if isinstance(result, dict) else event.data


@pytest.mark.parametrize("conversation", CLAUDES)
def test_a_stream_of_claude_reads_as_that_of_anthropics_own_api(conversation):
    chunks = [chunk(with_type(event)) for event in Decoder().feed(conversation.stream)]
    assert malformed_responses.read(event_stream_reader(), b"".join(chunks)) == conversation.record.reading


@pytest.mark.parametrize("conversation", [case for case in CLAUDES if case.values[0].body is not None])
def test_a_body_of_claude_reads_as_that_of_anthropics_own_api(conversation):
    counted = {"x-amzn-bedrock-input-token-count": "1"}
    reading = malformed_responses.read(metered_body_reader(lambda name: counted.get(name, "")), conversation.body)
    if conversation.record.reading.token_usages:
        assert reading == conversation.record.reading


@pytest.mark.parametrize(
    ("stream", "reading"),
    [
        (CLAUDE_STREAM, CLAUDE_READING),
        (b"".join(map(chunk, LLAMA)), Reading(complete=True, token_usages=(METERED,))),
        (
            b"".join(map(chunk, NOVA)),
            Reading(complete=True, token_usages=(NOVAS_COMPLETED,), tool_usages=(NOVAS_CALL,)),
        ),
    ],
    ids=["claude", "llama", "nova"],
)
def test_a_stream_is_read_as_what_its_model_sends(stream, reading):
    assert malformed_responses.read(event_stream_reader(), stream) == reading


def test_what_only_looks_like_metrics_is_none():
    said = {"type": "content_block_delta", "delta": {"text": json.dumps({"amazon-bedrock-invocationMetrics": METRICS})}}
    assert malformed_responses.read(event_stream_reader(), chunk(said)) == Reading()


def test_an_exception_in_the_stream_is_recorded_with_what_came():
    stream = chunk(CLAUDE[0]) + exception("modelStreamErrorException", "The model stopped.")
    reading = malformed_responses.read(event_stream_reader(), stream)
    assert reading.error == ProviderError(type="modelStreamErrorException", message="The model stopped.")
    assert [usage.input_tokens for usage in reading.token_usages] == [9]


def test_a_chunk_that_is_too_large_is_left_out_and_the_rest_is_read():
    large = chunk({"type": "content_block_delta", "delta": {"text": "x" * MAX_PAYLOAD_BYTES}})
    reading = malformed_responses.read(event_stream_reader(), large + CLAUDE_STREAM)
    assert reading == partial(Reading, truncated=True)(
        **{name: getattr(CLAUDE_READING, name) for name in CLAUDE_READING.__struct_fields__ if name != "truncated"}
    )


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        (
            {"generation": "Hi", "prompt_token_count": 5, "generation_token_count": 1},
            Reading(
                complete=True,
                token_usages=(
                    TokenUsage(
                        provider_response_id="",
                        input_tokens=5,
                        output_tokens=1,
                        usage={"inputTokenCount": 5, "outputTokenCount": 1},
                    ),
                ),
            ),
        ),
        (
            {
                "output": {"message": {"content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]}},
                "usage": {"inputTokens": 4, "outputTokens": 2},
            },
            Reading(complete=True, token_usages=(NOVAS_TOKENS,), tool_usages=(NOVAS_CALL,)),
        ),
    ],
    ids=["llama", "nova"],
)
def test_a_body_is_read_with_the_tokens_of_its_head_where_it_tells_none(body, reading):
    counted = {
        "x-amzn-bedrock-input-token-count": "5",
        "x-amzn-bedrock-output-token-count": "1",
        "x-amzn-bedrock-cache-read-input-token-count": "many",
    }
    data = json.dumps(body).encode()
    for at in range(len(data) + 1):
        assert malformed_responses.read(metered_body_reader(lambda name: counted.get(name, "")), data, at) == reading


def error_event(kind, message):
    return Event(msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}}), "error")


@for_each(
    ("stream", "expected"),
    (event_streams.event("messageStop", {}), Event(b"{}", "messageStop")),
    (event_streams.exception("throttlingException", "wait"), error_event("throttlingException", "wait")),
    (event_streams.error("InternalError", "an é"), error_event("InternalError", "an é")),
    (event_streams.message(b"", b"x"), Event(b"x", "")),
    (event_streams.message(b"", bytes(MAX_PAYLOAD_BYTES + 1)), Event(b"", "", oversized=True)),
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
@for_each("name", *LARGE)
@for_each("reader", converse.event_stream_reader, invoke.event_stream_reader, ids=["converse", "invoke"])
def test_nothing_is_read_for_long(reader, name):
    assert is_within(0.15, lambda: seconds_of(lambda: read(reader(), LARGE[name])))
