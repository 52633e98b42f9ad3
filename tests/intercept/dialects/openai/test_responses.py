import json

import pytest

from intercept.apis import RequestSummary
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.openai.responses import parse_request, stream_reader
from intercept.records import ProviderError, Reading, ToolUsage, UserPrompt
from tests.cases import for_each
from tests.intercept.summaries import plain


def request(**fields):
    return json.dumps({"model": "m", **fields}).encode()


def stream(*events):
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def call(number, **fields):
    return {"type": "function_call", "call_id": f"call_{number}", "name": "f", "arguments": "{}", **fields}


@for_each(
    ("text", "prompt"),
    ("Hi", "Hi"),
    ("", None),
    ([{"role": "user", "content": "Hi"}], "Hi"),
    ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], None),
    ([{"role": "developer", "content": "Hi"}], None),
    ([{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}], "a\nb"),
    ([{"role": "user", "content": [{"type": "input_image"}, {"type": "input_text", "text": "b"}]}], "b"),
    ([{"role": "user", "content": [{"type": "output_text", "text": "a"}]}], None),
    ([{"role": "user", "content": [{"type": "input_text", "text": None}]}], None),
    ([{"role": "user", "content": []}], None),
    ([{"type": "item_reference", "id": "x"}], None),
    (7, None),
)
def test_the_prompt_is_the_input_s_text_or_that_of_its_last_item_if_a_user_s(text, prompt):
    assert plain(parse_request(request(input=text))) == RequestSummary(
        model="m", user_prompt=prompt and UserPrompt(prompt=prompt)
    )


@for_each(
    ("item", "answered"),
    ({"type": "function_call_output", "call_id": "call_1", "output": "x"}, "call_1"),
    ({"type": "custom_tool_call_output", "call_id": "call_1"}, "call_1"),
    ({"type": "apply_patch_call_output", "call_id": "call_1", "id": "apco_1", "status": "completed"}, "call_1"),
    ({"type": "local_shell_call_output", "id": "call_1"}, "call_1"),
    ({"type": "function_call_output", "call_id": "c" * 1000}, "c" * MAX_NAME),
    ({"type": "function_call_output", "call_id": []}, None),
    ({"type": "function_call", "call_id": "call_1"}, None),
    ({"type": ["function_call_output"], "call_id": "call_1"}, None),
)
def test_an_output_at_the_end_answers_a_tool_call(item, answered):
    items = [{"type": "function_call_output", "call_id": "earlier"}, item]
    assert plain(parse_request(request(input=items))) == RequestSummary(model="m", answered_tool_call_id=answered)


def test_every_list_of_tools_of_an_input_item_counts_however_it_is_named():
    for item, others in (
        (b'{"tools":[{"model":"n"}]}', ("n",)),
        (b'{"tools":[{"model":"n"}],"tools":[]}', ("n",)),
        (rb'{"t\u006fols":[{"model":"n"}],"tools":[{"model":"o"}]}', ("n", "o")),
        (b'{"tools":[{"model":5}]}', None),
        (b'"tools"', ()),
    ):
        assert parse_request(b'{"model":"m","input":[%b]}' % item).other_models == others, item


def test_between_its_items_a_stream_may_be_about_to_end():
    reader, told = stream_reader(), []
    for event in (
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.added", "output_index": 0, "item": call(1)},
        {"type": "response.output_item.done", "output_index": 0, "item": call(1)},
        {"type": "response.output_item.added", "output_index": 1, "item": call(2)},
        {"type": "response.output_item.done", "output_index": 1},
        {"type": "response.completed", "response": {}},
    ):
        reader.feed(stream(event))
        told.append(reader.result().between_parts)
    assert told == [False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("response.completed", None),
        ("response.incomplete", None),
        ("response.failed", ProviderError(type="unnamed_error", message="response.failed")),
    ],
)
def test_a_last_event_too_large_to_read_ends_the_response_by_its_name(name, error):
    reader = stream_reader()
    reader.feed(stream({"type": "response.output_item.done", "output_index": 0, "item": call(1)}))
    reader.feed(f"event: {name}\ndata: ".encode())
    for _ in range(17):
        reader.feed(b"x" * 2**20)
    reader.feed(b"\n\n")
    assert reader.result() == Reading(
        complete=True,
        truncated=True,
        error=error,
        tool_usages=(ToolUsage(provider_response_id="", provider_tool_call_id="call_1", tool="f", input="{}"),),
    )
