import json

import pytest

from intercept.dialects.bedrock.converse import body_reader, event_stream_reader
from intercept.records import ModelThought, ProviderError, Reading, TokenUsage, ToolUsage
from tests.intercept import malformed_responses
from tests.intercept.formats.event_streams import error, event, exception

USAGE = {
    "inputTokens": 392,
    "outputTokens": 90,
    "totalTokens": 482,
    "cacheReadInputTokens": 7,
    "cacheWriteInputTokens": 0,
}
TOKENS = TokenUsage(
    provider_response_id="",
    input_tokens=392,
    output_tokens=90,
    cache_read_input_tokens=7,
    cache_write_input_tokens=0,
    usage=USAGE,
)
WEATHER = ToolUsage(
    provider_response_id="", provider_tool_call_id="tooluse_1", tool="weather", input='{"city": "Zürich"}'
)
THOUGHT = ModelThought(content="It may rain.", source="reasoning")


def start(index, **tool):
    return event("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": tool}})


def delta(index, **fields):
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": fields, "p": "abc"})


def stop(index):
    return event("contentBlockStop", {"contentBlockIndex": index})


METADATA = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 9}})
MESSAGE_STOP = event("messageStop", {"stopReason": "tool_use"})
EVENTS = [
    event("messageStart", {"role": "assistant"}),
    delta(0, reasoningContent={"text": "It may "}),
    delta(0, reasoningContent={"text": "rain."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    stop(0),
    delta(1, text="I look "),
    delta(1, text="it up."),
    stop(1),
    start(2, toolUseId="tooluse_1", name="weather"),
    delta(2, toolUse={"input": '{"city": '}),
    delta(2, toolUse={"input": '"Zürich"}'}),
    stop(2),
    start(3, toolUseId="srvtoolu_1", name="search", type="server_tool_use"),
    delta(3, toolUse={"input": "{}"}),
    stop(3),
    MESSAGE_STOP,
    METADATA,
]
STREAM = b"".join(EVENTS)
WHOLE = Reading(complete=True, token_usages=(TOKENS,), tool_usages=(WEATHER,), model_thoughts=(THOUGHT,))


def test_a_stream_is_read_also_byte_by_byte():
    reader = event_stream_reader()
    for at in range(len(STREAM)):
        reader.feed(STREAM[at : at + 1])
    assert reader.result() == malformed_responses.read(event_stream_reader(), STREAM) == WHOLE


def test_a_body_is_read():
    content = [
        {"reasoningContent": {"reasoningText": {"text": "It may rain.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "I look it up."},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Zürich"}}},
        {"toolUse": {"toolUseId": "srvtoolu_1", "name": "search", "input": {}, "type": "server_tool_use"}},
    ]
    result = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": USAGE,
    }
    body = json.dumps(result, ensure_ascii=False).encode()
    for at in range(len(body) + 1):
        assert malformed_responses.read(body_reader(), body, at) == WHOLE
    assert malformed_responses.read(body_reader(), body[:-1]) == Reading()


def test_a_stream_that_ends_after_message_stop_is_complete_if_it_ends_cleanly():
    reading = malformed_responses.read(event_stream_reader(), MESSAGE_STOP)
    assert reading == Reading(open_ended=True)


def test_a_stream_that_is_cut_keeps_what_came():
    cut = b"".join(EVENTS[:10])
    call = ToolUsage(provider_response_id="", provider_tool_call_id="tooluse_1", tool="weather", input='{"city": ')
    assert malformed_responses.read(event_stream_reader(), cut) == Reading(
        tool_usages=(call,), model_thoughts=(THOUGHT,)
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            exception("throttlingException", "Too many tokens"),
            ProviderError(type="throttlingException", message="Too many tokens"),
        ),
        (error("InternalError", "oh"), ProviderError(type="InternalError", message="oh")),
    ],
    ids=["exception", "error"],
)
def test_an_error_in_the_stream_is_recorded(failure, expected):
    reading = malformed_responses.read(event_stream_reader(), delta(0, text="a") + failure)
    assert reading == Reading(error=expected)


def test_a_broken_stream_is_recorded_as_an_error_that_says_how():
    broken = bytearray(METADATA)
    broken[20] ^= 1
    reading = malformed_responses.read(event_stream_reader(), MESSAGE_STOP + bytes(broken) + METADATA)
    assert reading.error is not None
    assert (reading.error.type, reading.error.message[:27]) == ("broken_event_stream", "the checksum of a message i")
    assert (reading.complete, reading.token_usages) == (False, ())
