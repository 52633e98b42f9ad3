import json

from intercept.apis import RequestSummary
from intercept.dialects.anthropic import MAX_SESSION_HINT, parse_request, stream_reader
from intercept.records import TokenUsage, UsageSource, UserPrompt
from intercept.tokens import MAX_USAGE_WEIGHT
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.summaries import plain


def request(**fields):
    return json.dumps({"model": "m", **fields}).encode()


def stream(*events):
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def start(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, **fields):
    return {"type": "content_block_delta", "index": index, "delta": fields}


def usage(**counts):
    return {"type": "message_delta", "usage": counts}


@for_each(
    ("content", "prompt", "answered"),
    ("Hi", "Hi", None),
    ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "b", None),
    ([{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "image", "source": {}}], "a", None),
    ([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}], None, "toolu_1"),
    ([{"type": "tool_result", "tool_use_id": "a"}, {"type": "tool_result", "tool_use_id": "b"}], None, "b"),
    ([{"type": "tool_result", "tool_use_id": "a"}, {"type": "text", "text": "c"}], "c", "a"),
    ([{"type": "tool_result"}], None, None),
    ([{"type": "tool_result", "tool_use_id": 7}], None, None),
    ("", None, None),
    ([], None, None),
    (None, None, None),
    ({"type": "text", "text": "a"}, None, None),
)
def test_prompt_and_answered_call_are_in_the_user_s_last_message(content, prompt, answered):
    messages = [{"role": "user", "content": "earlier"}, {"role": "user", "content": content}]
    assert plain(parse_request(request(messages=messages))) == RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt), answered_tool_call_id=answered
    )


@for_each("role", "assistant", "system", None, ["user"])
def test_the_last_message_of_anyone_else_has_neither(role):
    content = [{"type": "text", "text": "a"}, {"type": "tool_result", "tool_use_id": "b"}]
    assert plain(parse_request(request(messages=[{"role": role, "content": content}]))) == RequestSummary(model="m")


@for_each(
    ("metadata", "hint"),
    ({"user_id": "u_session_1"}, "u_session_1"),
    ({"user_id": "u" * MAX_SESSION_HINT}, "u" * MAX_SESSION_HINT),
    ({"user_id": "u" * (MAX_SESSION_HINT + 1)}, None),
    ({"user_id": ""}, None),
    ({"user_id": {"session_id": "1"}}, None),
    ({}, None),
    ("u_session_1", None),
    (None, None),
)
def test_the_user_id_in_the_metadata_hints_at_the_session(metadata, hint):
    assert plain(parse_request(request(metadata=metadata))) == RequestSummary(model="m", session_hint=hint)


def test_between_its_blocks_a_stream_may_be_about_to_end():
    reader, told = stream_reader(), []
    stop = {"type": "content_block_stop"}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    for event in (start(0, type="text"), start(1, type="text"), stop, stop, start(2, type="text"), stop, end):
        reader.feed(stream(event))
        told.append(reader.result().between_parts)
    assert told == [False, False, False, True, False, True, False]


def test_the_counts_go_on_when_the_usage_object_becomes_too_heavy_to_keep():
    body = stream(usage(input_tokens=5, output_tokens=1), usage(essay="x" * MAX_USAGE_WEIGHT), usage(output_tokens=9))
    assert malformed_responses.read(stream_reader(), body).token_usages == (
        TokenUsage(
            provider_response_id="",
            input_tokens=5,
            output_tokens=9,
            source=UsageSource.PARTIAL,
            usage={"input_tokens": 5, "output_tokens": 9},
        ),
    )
