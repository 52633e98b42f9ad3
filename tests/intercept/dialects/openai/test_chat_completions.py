import json

import pytest

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.drafts import MAX_NAME, MAX_PARTS
from intercept.dialects.openai.chat_completions import parse_request, stream_reader
from intercept.records import ToolUsage, UserPrompt
from tests.cases import for_each
from tests.intercept import malformed_responses
from tests.intercept.summaries import plain


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
    ([{"role": "user", "content": "Hi"}], "Hi"),
    ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], None),
    ([{"role": "user", "content": "Hi"}, {"role": "user", "content": " "}], " "),
    ([{"role": "developer", "content": "Hi"}], None),
    ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "b"),
    (
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "file", "text": "c"}],
            }
        ],
        "a",
    ),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], None),
    ([{"role": "user", "content": ""}], None),
    ([{"role": "user", "content": None}], None),
    ([{"role": "user", "content": {"type": "text", "text": "a"}}], None),
    (None, None),
)
def test_the_prompt_is_the_text_of_the_last_message_if_a_user_s(messages, prompt):
    assert plain(parse_request(request(messages=messages))) == RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt)
    )


@for_each(
    ("message", "answered"),
    ({"role": "tool", "tool_call_id": "call_1", "content": "x"}, "call_1"),
    ({"role": "tool", "tool_call_id": "c" * 1000}, "c" * MAX_NAME),
    ({"role": "tool", "tool_call_id": 1}, None),
    ({"role": "assistant", "tool_call_id": "call_1"}, None),
)
def test_a_tool_message_at_the_end_answers_a_tool_call(message, answered):
    messages = [{"role": "tool", "tool_call_id": "earlier"}, message]
    assert plain(parse_request(request(messages=messages))) == RequestSummary(model="m", answered_tool_call_id=answered)


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


@for_each(
    "options",
    b'{"include_usage":false,"include_usage":true}',
    b'{"include_usage":true,"Include_Usage":false}',
    b'{"include_usage":true},"stream_options":{}',
    b'{"include_usage":true},"Stream_Options":{}',
)
def test_options_of_a_stream_that_can_be_read_in_two_ways_are_refused(options):
    with pytest.raises(InvalidRequestError, match=r"(include_usage|stream_options) is there more than once"):
        parse_request(b'{"model":"m","stream":true,"stream_options":%b}' % options)
