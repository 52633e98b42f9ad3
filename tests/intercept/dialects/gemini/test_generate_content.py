"""Gemini: what is read of requests and responses, in both framings, wherever they are cut."""

import json

import pytest

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.gemini.generate_content import (
    body_reader,
    parse_plain_request,
    parse_request,
    stream_reader,
    tokens,
)
from intercept.dialects.readers import ErrorReader
from intercept.records import ModelThought, ProviderError, Reading, TokenUsage, ToolUsage, UserPrompt
from intercept.records import UsageSource as Source
from tests.cases import for_each
from tests.intercept.summaries import plain

USAGE = {
    "promptTokenCount": 29,
    "cachedContentTokenCount": 9,
    "candidatesTokenCount": 15,
    "thoughtsTokenCount": 804,
    "totalTokenCount": 848,
}
TOKENS = {"input_tokens": 20, "output_tokens": 819, "cache_read_input_tokens": 9}


def chunk(*parts, usage=None, finish_reason=None, **more):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [candidate],
        **({"usageMetadata": usage} if usage else {}),
        "modelVersion": "gemini-3-pro",
        "responseId": "QHiL",
        **more,
    }


CALL = {"functionCall": {"name": "weather", "args": {"city": "Zürich"}, "id": "c1"}, "thoughtSignature": "c2ln"}
CHUNKS = (
    chunk({"text": "I look", "thought": True}, usage={"promptTokenCount": 30, "totalTokenCount": 30}),
    chunk({"text": " it up.", "thought": True}),
    chunk({"text": "Grüße 🐢"}, {"text": "ended", "thought": True}),
    chunk(CALL, {"functionCall": {"name": "now"}}),
    chunk({"text": ""}, usage=USAGE, finish_reason="STOP"),
)
WHOLE = chunk(
    {"text": "I look it up.", "thought": True},
    {"text": "Grüße 🐢"},
    {"text": "ended", "thought": True},
    CALL,
    {"functionCall": {"name": "now"}},
    usage=USAGE,
    finish_reason="STOP",
)


def usage(**counts):
    return TokenUsage(provider_response_id="QHiL", usage=USAGE, **counts)


def reading(*, source, args, **state):
    return Reading(
        response_id="QHiL",
        token_usages=(usage(source=source, **TOKENS),),
        tool_usages=(
            ToolUsage(provider_response_id="QHiL", provider_tool_call_id="c1", tool="weather", input=args),
            ToolUsage(provider_response_id="QHiL", provider_tool_call_id="", tool="now", input=""),
        ),
        model_thoughts=(
            ModelThought(content="I look it up.", source="thinking"),
            ModelThought(content="ended", source="thinking"),
        ),
        **state,
    )


ARGS = '{"city": "Zürich"}'
DUMPED = [json.dumps(each, ensure_ascii=False).encode() for each in CHUNKS]
SSE = b"".join(b"data: " + each + b"\r\n\r\n" for each in DUMPED)
ARRAY = b"[" + b"\r\n,\r\n".join(DUMPED) + b"\n]\n"
BODY = json.dumps(WHOLE, ensure_ascii=False, indent=2).encode()


def read(reader, body, cuts=()):
    made = reader()
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        made.feed(body[start:end])
    return made.result()


def events(*chunks):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in chunks)


@pytest.mark.parametrize(
    ("reader", "body", "result"),
    [
        (stream_reader, SSE, reading(source=Source.PARTIAL, args=ARGS, open_ended=True)),
        (body_reader, ARRAY, reading(source=Source.PROVIDER, args=ARGS, complete=True)),
    ],
    ids=["events", "array"],
)
def test_a_stream_reads_the_same_in_both_framings_also_byte_by_byte(reader, body, result):
    assert read(reader, body) == read(reader, body, range(1, len(body))) == result


def test_a_body_reads_the_same_cut_at_every_byte():
    result = read(body_reader, BODY)
    assert (result.complete, result.open_ended, result.response_id) == (True, False, "QHiL")
    assert result.model_thoughts == reading(source=Source.PROVIDER, args="").model_thoughts
    assert [json.loads(tool.input or "null") for tool in result.tool_usages] == [{"city": "Zürich"}, None]
    assert result.token_usages == (usage(**TOKENS),)
    for at in range(len(BODY)):
        assert read(body_reader, BODY, [at]) == result
        assert not read(body_reader, BODY[:at]).complete


@for_each("end", *range(len(ARRAY) - 2))
def test_an_array_that_is_cut_is_not_complete(end):
    result = read(body_reader, ARRAY[:end])
    assert (result.complete, result.open_ended) == (False, False)


def test_a_stream_without_a_reason_to_finish_is_not_over():
    assert not read(stream_reader, SSE[: SSE.rindex(b"data:")]).open_ended
    assert not read(body_reader, b"[" + DUMPED[0] + b"]").complete


@for_each(
    ("counts", "read_as"),
    ({}, None),
    ({"trafficType": "ON_DEMAND"}, None),
    ({"promptTokenCount": 5}, (5, None, None)),
    ({"promptTokenCount": 5, "totalTokenCount": 5}, (5, 0, 0)),
    ({"promptTokenCount": 10, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 3}, (14, 3, None)),
    ({"promptTokenCount": 10, "cachedContentTokenCount": 8, "thoughtsTokenCount": 2}, (2, 2, 8)),
    ({"promptTokenCount": "10", "candidatesTokenCount": -1}, None),
)
def test_tokens_are_disjoint_and_none_is_made_up(counts, read_as):
    result = tokens(counts)
    assert (result and (result.input_tokens, result.output_tokens, result.cache_read_input_tokens)) == read_as


def test_each_usage_replaces_the_one_before_unless_it_has_no_count():
    last = {"promptTokenCount": 7, "totalTokenCount": 7}
    stream = events(chunk(usage=USAGE), chunk(usage=last), chunk(usage={"trafficType": "ON_DEMAND"}))
    (result,) = read(stream_reader, stream).token_usages
    assert (result.input_tokens, result.output_tokens, result.cache_read_input_tokens, result.usage) == (7, 0, 0, last)


def test_only_the_first_candidate_is_recorded():
    second = {"index": 1, "finishReason": "STOP", "content": {"parts": [{"functionCall": {"name": "other"}}]}}
    result = read(stream_reader, events({"candidates": [second]}))
    assert (result.tool_usages, result.open_ended) == ((), False)


def test_a_prompt_that_was_blocked_is_an_answer():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    assert read(stream_reader, events(blocked)).open_ended
    assert read(body_reader, json.dumps([blocked]).encode()).complete
    assert read(body_reader, json.dumps(blocked).encode()).complete


STREAMED_CALL = (
    chunk({"functionCall": {"name": "weather", "willContinue": True, "id": "c1"}}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Bos"}], "willContinue": True}}),
    chunk({"functionCall": {}}),
    chunk({"functionCall": {"name": "now", "args": {}}}, finish_reason="STOP"),
)


def test_of_a_call_whose_arguments_are_streamed_the_name_is_known():
    tools = read(stream_reader, events(*STREAMED_CALL)).tool_usages
    found = [(one.tool, one.provider_tool_call_id, one.input, one.truncated) for one in tools]
    assert found == [("weather", "c1", "", True), ("now", "", "{}", False)]


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FAILED = ProviderError(type="UNAVAILABLE", message="The model is overloaded.")


@for_each(
    ("reader", "body"),
    (stream_reader, events(CHUNKS[0], ERROR)),
    (stream_reader, events(CHUNKS[0]) + json.dumps(ERROR, indent=2).encode() + b"\n"),
    (stream_reader, json.dumps(ERROR).encode()),
    (body_reader, json.dumps([CHUNKS[0], ERROR]).encode()),
    (body_reader, json.dumps(ERROR).encode()),
    (ErrorReader, json.dumps(ERROR).encode()),
    (ErrorReader, json.dumps([ERROR], indent=2).encode()),
    ids=["an event", "bare lines", "nothing else", "an element", "a body", "a refusal", "a refused array"],
)
def test_an_error_is_told_by_its_status_wherever_it_is_cut(reader, body):
    for at in range(len(body) + 1):
        assert read(reader, body, [at]).error == FAILED


def request(*contents, **more):
    return json.dumps({"contents": list(contents), **more}).encode()


def said(*parts, role="user"):
    return {"role": role, "parts": list(parts)}


RESPONSE = {"functionResponse": {"id": "c1", "name": "weather", "response": {"sky": "grey"}}}


@for_each(
    ("contents", "prompt", "answered"),
    ((), None, None),
    ((said({"text": "Hello"}),), "Hello", None),
    (({"parts": [{"text": "Hello"}]},), "Hello", None),
    ((said({"text": "<session_context>"}, {"text": "Hello"}),), "Hello", None),
    ((said({"text": "first"}), said({"text": "so"}, role="model")), None, None),
    ((said({"text": "first"}), said(RESPONSE)), None, "c1"),
    ((said(RESPONSE, role="function"),), None, "c1"),
    ((said({"function_response": {"id": "c2", "name": "now", "response": {}}}),), None, "c2"),
    ((said({"functionResponse": {"name": "now", "response": {}}}),), None, None),
    ((said({"inlineData": {"mimeType": "image/png", "data": "AA=="}}),), None, None),
)
def test_the_prompt_is_the_last_text_of_the_user(contents, prompt, answered):
    expected = RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt), answered_tool_call_id=answered
    )
    assert plain(parse_request(request(*contents), "m")) == expected


def test_a_conversation_is_found_again_in_the_request_that_goes_on_with_it():
    first = said({"text": "What is the weather?"})
    called = said({"functionCall": {"name": "weather", "args": {}}}, role="model")
    one, two, three = (
        parse_request(request(*contents), "m").conversation
        for contents in (
            (first,),
            (first, called, said(RESPONSE)),
            (first, called, said(RESPONSE), said({"text": "Grey."}, role="model"), said({"text": "And now?"})),
        )
    )
    assert (two.continues, three.continues) == (one.key, two.key)


def test_the_path_names_the_model_of_a_body_that_does_not():
    assert parse_request(request(), "gemini-3").model == "gemini-3"
    assert parse_plain_request(b'{"content": {"parts": [{"text": "Hello"}]}}', "gemini-3") == RequestSummary(
        model="gemini-3"
    )
    with pytest.raises(InvalidRequestError):
        parse_request(b"[]", "gemini-3")
