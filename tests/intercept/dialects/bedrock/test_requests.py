import json

import pytest

from intercept.apis import RequestSummary
from intercept.dialects import anthropic as messages
from intercept.dialects.bedrock.requests import parse_request
from intercept.records import UserPrompt
from tests.cases import for_each
from tests.intercept.summaries import plain
from tests.wire.conversations import conversations

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
    [
        ([{"text": "a"}, {"text": "b"}, {"cachePoint": {"type": "default"}}], "b", None),
        ([{"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}], None, "t1"),
        ([{"toolResult": {"toolUseId": "t1"}}, {"toolResult": {"toolUseId": "t2"}}, {"text": "c"}], "c", "t2"),
        ([{"toolResult": {"toolUseId": 7}}, {"toolResult": "odd"}], None, None),
        ([{"image": {"format": "png", "source": {"bytes": "eA=="}}}], None, None),
        ([], None, None),
    ],
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
    [
        ({"prompt": "Hi, Llama"}, "Hi, Llama"),
        ({"inputText": "Hi, Titan"}, "Hi, Titan"),
        ({"prompt": ["odd"], "inputText": 7}, None),
        ({}, None),
    ],
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
