import json

import pytest

from intercept.apis import RequestSummary
from intercept.dialects import anthropic as messages
from intercept.dialects.bedrock.converse import body_reader, event_stream_reader, parse_request
from intercept.records import ModelThought, ProviderError, Reading, TokenUsage, ToolUsage, UserPrompt
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.formats.event_streams import error, event, exception
from tests.intercept.summaries import plain
from tests.wire.conversations import conversations

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


CLAUDES = [pytest.param(each, id=each.name) for each in conversations() if each.api.name == "messages"]
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def summary(body, model="m"):
    return plain(parse_request(json.dumps(body).encode(), model))


@pytest.mark.parametrize("conversation", CLAUDES)
def test_a_request_for_claude_is_summed_up_as_for_anthropics_own_api(conversation):
    body = json.loads(conversation.request)
    model, stream = body.pop("model"), body.pop("stream", False)
    sent = json.dumps(body | {"anthropic_version": "bedrock-2023-05-31"}).encode()
    expected = messages.parse_request(json.dumps({"model": model, **body}).encode())
    assert parse_request(sent, model) == expected
    assert expected.model == conversation.record.request.model
    assert expected.user_prompt == conversation.record.request.user_prompt
    assert bool(stream) == conversation.record.request.stream


@for_each(
    ("content", "prompt", "answered"),
    ([{"text": "a"}, {"text": "b"}, {"cachePoint": {"type": "default"}}], "b", None),
    ([{"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}], None, "t1"),
    ([{"toolResult": {"toolUseId": "t1"}}, {"toolResult": {"toolUseId": "t2"}}, {"text": "c"}], "c", "t2"),
    ([{"toolResult": {"toolUseId": 7}}, {"toolResult": "odd"}], None, None),
    ([{"image": {"format": "png", "source": {"bytes": "eA=="}}}], None, None),
    ([], None, None),
)
def test_a_request_of_converse_is_summed_up(content, prompt, answered):
    body = {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]},
            {"role": "user", "content": content},
        ],
        "inferenceConfig": {"maxTokens": 9},
    }
    expected = UserPrompt(prompt=prompt) if prompt else None
    assert summary(body, ARN) == RequestSummary(model=ARN, user_prompt=expected, answered_tool_call_id=answered)


@for_each(
    ("body", "prompt"),
    ({"prompt": "Hi, Llama"}, "Hi, Llama"),
    ({"inputText": "Hi, Titan"}, "Hi, Titan"),
    ({"prompt": ["odd"], "inputText": 7}, None),
    ({}, None),
)
def test_the_prompt_of_other_models_is_found(body, prompt):
    assert summary(body) == RequestSummary(model="m", user_prompt=UserPrompt(prompt=prompt) if prompt else None)


def test_the_turns_of_a_conversation_are_linked():
    first = {"role": "user", "content": [{"text": "Hi"}]}
    call = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]}
    tool_result = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": []}}]}
    one, two = (
        parse_request(json.dumps({"messages": turns}).encode(), "m").conversation
        for turns in ([first], [first, call, tool_result])
    )
    assert one is not None
    assert two is not None
    assert (one.continues, two.continues) == (None, one.key)
