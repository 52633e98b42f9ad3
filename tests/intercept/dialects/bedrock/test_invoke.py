import json

import pytest
from msgspec import structs

from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.bedrock.dialect import MAX_PAYLOAD_BYTES
from intercept.dialects.bedrock.invoke import event_stream_reader, metered_body_reader
from intercept.formats.streams import MAX_PAYLOAD_BYTES as LARGEST
from intercept.formats.streams import Decoder
from intercept.records import ProviderError, Reading, TokenUsage, ToolUsage
from tests.cases import for_each
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
NOVAS_READING = Reading(complete=True, token_usages=(NOVAS_COMPLETED,), tool_usages=(NOVAS_CALL,))


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
    assert read(event_stream_reader(), b"".join(chunks)) == conversation.record.reading


@pytest.mark.parametrize("conversation", [case for case in CLAUDES if case.values[0].body is not None])
def test_a_body_of_claude_reads_as_that_of_anthropics_own_api(conversation):
    counted = {"x-amzn-bedrock-input-token-count": "1"}
    reading = read(metered_body_reader(lambda name: counted.get(name, "")), conversation.body)
    if conversation.record.reading.token_usages:
        assert reading == conversation.record.reading


@pytest.mark.parametrize(
    ("stream", "reading"),
    [
        (b"".join(map(chunk, LLAMA)), Reading(complete=True, token_usages=(METERED,))),
        (b"".join(map(chunk, NOVA)), NOVAS_READING),
    ],
    ids=["llama", "nova"],
)
def test_a_stream_is_read_as_what_its_model_sends(stream, reading):
    assert read(event_stream_reader(), stream) == reading


def test_what_only_looks_like_metrics_is_none():
    said = {"type": "content_block_delta", "delta": {"text": json.dumps({"amazon-bedrock-invocationMetrics": METRICS})}}
    assert read(event_stream_reader(), chunk(said)) == Reading()


def test_an_exception_in_the_stream_is_recorded_with_what_came():
    stream = chunk({"type": "message_start", "message": {"usage": {"input_tokens": 9}}})
    reading = read(event_stream_reader(), stream + exception("modelStreamErrorException", "The model stopped."))
    assert reading.error == ProviderError(type="modelStreamErrorException", message="The model stopped.")
    assert [usage.input_tokens for usage in reading.token_usages] == [9]


def test_a_chunk_that_is_too_large_is_left_out_and_the_rest_is_read():
    large = chunk({"contentBlockDelta": {"delta": {"text": "x" * MAX_PAYLOAD_BYTES}}})
    reading = read(event_stream_reader(), large + b"".join(map(chunk, NOVA)))
    assert reading == structs.replace(NOVAS_READING, truncated=True)


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
        assert read(metered_body_reader(lambda name: counted.get(name, "")), data, at) == reading


def test_an_exception_without_words_is_an_error_all_the_same():
    headers = b"\x0d:message-type\x07\x00\x09exception"
    reading = read(event_stream_reader(), event_streams.message(headers, b"<html>"))
    assert reading.error == ProviderError(type="unnamed_error", message="")


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
