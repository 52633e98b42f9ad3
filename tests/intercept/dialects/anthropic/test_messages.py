import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.anthropic.messages import MAX_SESSION_HINT, body_reader, parse_request, stream_reader
from intercept.dialects.drafts import MAX_PARTS
from intercept.records import ModelThought, Reading, TokenUsage, ToolUsage, UsageSource, UserPrompt
from intercept.tokens import MAX_USAGE_WEIGHT
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.summaries import plain

NAMES = (
    "type id index message usage input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens"
    " content_block content name input thinking delta partial_json error role text tool_use_id metadata user_id"
)
TEXTS = (
    "message_start content_block_start content_block_delta message_delta message_stop error tool_use thinking text"
    " input_json_delta thinking_delta tool_result user"
)


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
    [
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
    ],
)
def test_prompt_and_answered_call_are_in_the_user_s_last_message(content, prompt, answered):
    messages = [{"role": "user", "content": "earlier"}, {"role": "user", "content": content}]
    assert plain(parse_request(request(messages=messages))) == RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt), answered_tool_call_id=answered
    )


@for_each("role", ["assistant", "system", None, ["user"]])
def test_the_last_message_of_anyone_else_has_neither(role):
    content = [{"type": "text", "text": "a"}, {"type": "tool_result", "tool_use_id": "b"}]
    assert plain(parse_request(request(messages=[{"role": role, "content": content}]))) == RequestSummary(model="m")


@for_each(
    ("metadata", "hint"),
    [
        ({"user_id": "u_session_1"}, "u_session_1"),
        ({"user_id": "u" * MAX_SESSION_HINT}, "u" * MAX_SESSION_HINT),
        ({"user_id": "u" * (MAX_SESSION_HINT + 1)}, None),
        ({"user_id": ""}, None),
        ({"user_id": {"session_id": "1"}}, None),
        ({}, None),
        ("u_session_1", None),
        (None, None),
    ],
)
def test_the_user_id_in_the_metadata_hints_at_the_session(metadata, hint):
    assert plain(parse_request(request(metadata=metadata))) == RequestSummary(model="m", session_hint=hint)


@given(
    body=malformed_responses.bodies(NAMES, TEXTS)
    | malformed_responses.json_values(NAMES, TEXTS).map(lambda value: request(messages=[value], metadata=value))
)
def test_any_request_is_summed_up_or_refused(body):
    try:
        summary = parse_request(body)
    except InvalidRequestError:
        return
    assert malformed_responses.is_storable(to_builtins(summary))


def test_a_block_begun_again_starts_over():
    body = stream(
        start(0, type="tool_use", id="toolu_1", name="f", input={}),
        delta(0, partial_json="old"),
        start(0, type="thinking", thinking="new "),
        delta(0, thinking="thought"),
    )
    assert malformed_responses.read(stream_reader(), body) == Reading(
        model_thoughts=(ModelThought(content="new thought", source="thinking"),)
    )


def test_between_its_blocks_a_stream_may_be_about_to_end():
    reader, told = stream_reader(), []
    stop = {"type": "content_block_stop"}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    for event in (start(0, type="text"), start(1, type="text"), stop, stop, start(2, type="text"), stop, end):
        reader.feed(stream(event))
        told.append(reader.result().between_parts)
    assert told == [False, False, False, True, False, True, False]


def test_deltas_of_a_block_that_is_not_recorded_go_nowhere():
    body = stream(
        start(0, type="thinking", thinking="a"),
        start(1, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(1, partial_json="{}"),
        delta(1, thinking="b"),
    )
    assert malformed_responses.read(stream_reader(), body) == Reading(
        model_thoughts=(ModelThought(content="a", source="thinking"),)
    )


def test_blocks_beyond_the_most_are_left_out():
    blocks = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {}} for number in range(MAX_PARTS + 1)
    ]
    from_body = malformed_responses.read(body_reader(), json.dumps({"content": blocks}).encode())
    from_stream = malformed_responses.read(
        stream_reader(), stream(*(start(index, **block) for index, block in enumerate(blocks)))
    )
    kept = tuple(
        ToolUsage(provider_response_id="", provider_tool_call_id=block["id"], tool="f", input="{}")
        for block in blocks[:MAX_PARTS]
    )
    assert from_stream == Reading(truncated=True, tool_usages=kept)
    assert from_body == Reading(complete=True, truncated=True, tool_usages=kept)


def test_a_zero_replaces_a_figure():
    assert malformed_responses.read(
        stream_reader(), stream(usage(output_tokens=5), usage(output_tokens=0))
    ).token_usages == (
        TokenUsage(provider_response_id="", output_tokens=0, source=UsageSource.PARTIAL, usage={"output_tokens": 0}),
    )


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


def test_memory_stays_bounded_however_many_names_a_usage_gets():
    reader: Any = stream_reader()
    for number in range(1000):
        reader.feed(stream(usage(**{f"a name of fifty characters {number:23}": number})))
        assert len(reader._usage) < MAX_USAGE_WEIGHT / 50
    assert reader.result() == Reading()


@for_each("body", [b"", b"[]", b"null", b'{"id":"r"', b"<html>", b"event: message_stop\ndata: {}\n\n", b"\xff"])
def test_a_body_that_is_not_one_whole_object_says_nothing(body):
    assert malformed_responses.read(body_reader(), body) == Reading()


@given(body=malformed_responses.streams(NAMES, TEXTS), cut=st.integers(0, 500))
def test_any_stream_is_read_the_same_for_every_cut_and_can_be_stored(body, cut):
    reading = malformed_responses.read(stream_reader(), body)
    assert malformed_responses.read(stream_reader(), body, cut) == reading
    assert malformed_responses.is_storable(to_builtins(reading))


@given(body=malformed_responses.bodies(NAMES, TEXTS), cut=st.integers(0, 500))
def test_any_body_is_read_the_same_for_every_cut_and_can_be_stored(body, cut):
    reading = malformed_responses.read(body_reader(), body)
    assert malformed_responses.read(body_reader(), body, cut) == reading
    assert malformed_responses.is_storable(to_builtins(reading))
