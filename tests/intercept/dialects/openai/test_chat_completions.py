import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.drafts import MAX_NAME, MAX_PARTS, MAX_TOOL_INPUT
from intercept.dialects.openai.chat_completions import body_reader, parse_request, stream_reader
from intercept.records import Reading, TokenUsage, ToolUsage, UserPrompt
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.summaries import plain

NAMES = (
    "id choices index delta message tool_calls function custom name arguments input finish_reason usage prompt_tokens"
    " completion_tokens prompt_tokens_details cached_tokens error type messages role content text tool_call_id model stream"
)
TEXTS = "call_1 stop user tool text m"


def request(**fields):
    return json.dumps({"model": "m", **fields}).encode()


def stream(*chunks):
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def tool_delta(index, arguments=None, **fields):
    return {
        "choices": [
            {"delta": {"tool_calls": [{"index": index, **fields, "function": {"name": "f", "arguments": arguments}}]}}
        ]
    }


@for_each(
    ("messages", "prompt"),
    [
        ([{"role": "user", "content": "Hi"}], "Hi"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], None),
        ([{"role": "user", "content": "Hi"}, {"role": "user", "content": " "}], " "),
        ([{"role": "developer", "content": "Hi"}], None),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "b"),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": ""},
                        {"type": "file", "text": "c"},
                    ],
                }
            ],
            "a",
        ),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], None),
        ([{"role": "user", "content": ""}], None),
        ([{"role": "user", "content": None}], None),
        ([{"role": "user", "content": {"type": "text", "text": "a"}}], None),
        ([{"role": ["user"], "content": "Hi"}], None),
        ([{"role": "user"}], None),
        (["Hi"], None),
        ([], None),
        ({"role": "user", "content": "Hi"}, None),
        ("Hi", None),
        (None, None),
    ],
)
def test_the_prompt_is_the_text_of_the_last_message_if_a_user_s(messages, prompt):
    assert plain(parse_request(request(messages=messages))) == RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt)
    )


@for_each(
    ("message", "answered"),
    [
        ({"role": "tool", "tool_call_id": "call_1", "content": "x"}, "call_1"),
        ({"role": "tool", "tool_call_id": "c" * 1000}, "c" * MAX_NAME),
        ({"role": "tool", "tool_call_id": 1}, None),
        ({"role": "assistant", "tool_call_id": "call_1"}, None),
    ],
)
def test_a_tool_message_at_the_end_answers_a_tool_call(message, answered):
    messages = [{"role": "tool", "tool_call_id": "earlier"}, message]
    assert plain(parse_request(request(messages=messages))) == RequestSummary(model="m", answered_tool_call_id=answered)


@pytest.mark.parametrize(("requested", "stream"), [(True, True), (False, False), (None, False)])
def test_a_stream_must_be_asked_for(requested, stream):
    assert plain(parse_request(request(stream=requested))) == RequestSummary(model="m", stream=stream)


def test_messages_nested_too_deeply_are_refused():
    with pytest.raises(InvalidRequestError, match=r"^request body is nested too deeply$"):
        parse_request(b'{"model":"m","messages":[' + b"[" * 10**5 + b"]" * 10**5 + b"]}")


@given(
    body=malformed_responses.bodies(NAMES, TEXTS)
    | malformed_responses.json_values(NAMES, TEXTS).map(lambda value: request(messages=[value]))
)
def test_any_request_is_summed_up_or_refused(body):
    try:
        summary = parse_request(body)
    except InvalidRequestError:
        return
    assert malformed_responses.is_storable(to_builtins(summary))


def test_a_new_call_at_a_known_index_does_not_lose_the_deltas_of_the_others():
    body = stream(
        tool_delta(0, "a", id="call_a"),
        tool_delta(1, "b", id="call_b"),
        tool_delta(0, "c", id="call_c"),
        tool_delta(1, "B"),
        tool_delta(0, "C"),
    )
    assert malformed_responses.read(stream_reader(), body).tool_usages == tuple(
        ToolUsage(provider_response_id="", provider_tool_call_id=call, tool="f", input=text)
        for call, text in (("call_a", "a"), ("call_b", "bB"), ("call_c", "cC"))
    )


def test_an_id_longer_than_is_kept_still_names_one_call():
    call_id = "c" * 2 * MAX_NAME
    body = stream(tool_delta(0, "a", id=call_id), tool_delta(0, "b", id=call_id))
    assert malformed_responses.read(stream_reader(), body).tool_usages == (
        ToolUsage(provider_response_id="", provider_tool_call_id="c" * MAX_NAME, tool="f", input="ab", truncated=True),
    )


def test_a_call_beyond_the_most_takes_nothing_into_the_others():
    body = stream(
        *(tool_delta(0, "a", id=f"call_{number}") for number in range(MAX_PARTS)),
        tool_delta(0, "lost", id="call_more"),
        tool_delta(0, "lost"),
    )
    reading = malformed_responses.read(stream_reader(), body)
    assert [usage.input for usage in reading.tool_usages] == ["a"] * MAX_PARTS
    assert reading.truncated


def test_a_tool_s_input_is_cut_at_its_cap():
    body = stream(tool_delta(0, "a" * MAX_TOOL_INPUT, id="call_1"), tool_delta(0, "b"), tool_delta(0, "c"))
    assert malformed_responses.read(stream_reader(), body).tool_usages == (
        ToolUsage(
            provider_response_id="",
            provider_tool_call_id="call_1",
            tool="f",
            input="a" * MAX_TOOL_INPUT,
            truncated=True,
        ),
    )


def test_an_oversized_event_is_left_out_and_the_stream_goes_on():
    reader = stream_reader()
    reader.feed(b'data: {"id":"lost","choices":[{"finish_reason":"')
    for _ in range(17):
        reader.feed(b"x" * 2**20)
    reader.feed(b'"}]}\n\ndata: {"id":"kept"}\n\n')
    assert reader.result() == Reading(response_id="kept", truncated=True)


@for_each("body", [b"", b"[]", b'"text"', b"null", b'{"id":"r"', b'{"id":"r"}}', b"<html>", b"data: {}\n\n", b"\xff"])
def test_a_body_that_is_not_one_whole_object_says_nothing(body):
    assert malformed_responses.read(body_reader(), body) == Reading()


@pytest.mark.parametrize("space", ["", " ", "\n\t "])
def test_a_usage_is_found_however_it_is_spaced_and_spelled(space):
    for name in ("usage", r"\u0075sage"):
        chunk = f'{{"id":"r","{name}"{space}:{space}{{"prompt_tokens"{space}:{space}1}}}}'.replace("\n", "\ndata:")
        assert malformed_responses.read(stream_reader(), f"data: {chunk}\n\n".encode()).token_usages == (
            TokenUsage(provider_response_id="r", input_tokens=1, source="partial", usage={"prompt_tokens": 1}),
        )


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


@for_each(
    "options",
    [
        b'{"include_usage":false,"include_usage":true}',
        b'{"include_usage":true,"Include_Usage":false}',
        b'{"include_usage":true},"stream_options":{}',
        b'{"include_usage":true},"Stream_Options":{}',
    ],
)
def test_options_of_a_stream_that_can_be_read_in_two_ways_are_refused(options):
    with pytest.raises(InvalidRequestError, match=r"(include_usage|stream_options) is there more than once"):
        parse_request(b'{"model":"m","stream":true,"stream_options":%b}' % options)
