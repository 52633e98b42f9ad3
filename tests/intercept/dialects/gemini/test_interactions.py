"""Interactions: what is read of responses."""

import json

import pytest
from msgspec.structs import replace

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.catalog import INTERACTIONS
from intercept.dialects.gemini.interactions import parse_request, tokens
from intercept.records import (
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
)
from tests.cases import for_each
from tests.intercept import malformed_responses

USAGE = {
    "total_input_tokens": 50,
    "total_cached_tokens": 20,
    "total_output_tokens": 5,
    "total_thought_tokens": 7,
    "total_tool_use_tokens": 4,
    "total_tokens": 66,
}
ARGUMENTS = '{"city": "Zürich"}'
STEPS = [
    {"type": "thought", "signature": "s", "summary": [{"type": "text", "text": "I look it up."}]},
    {"type": "google_search_call", "id": "g", "arguments": {"queries": ["x"]}},
    {"type": "model_output", "content": [{"type": "text", "text": "Grüße"}, {"type": "text", "text": " 🐢"}]},
    {"type": "function_call", "id": "c1", "name": "weather", "arguments": json.loads(ARGUMENTS)},
]
WHOLE = {
    "id": "v1_a",
    "object": "interaction",
    "model": "gemini-3",
    "status": "requires_action",
    "steps": STEPS,
    "usage": USAGE,
}


def delta(index, **data):
    return {"event_type": "step.delta", "index": index, "delta": data}


def start(index, **step):
    return {"event_type": "step.start", "index": index, "step": step}


def stop(index):
    return {"event_type": "step.stop", "index": index}


EVENTS = [
    {"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": "in_progress", "model": "gemini-3"}},
    {"event_type": "interaction.status_update", "interaction_id": "v1_a", "status": "in_progress"},
    start(0, type="thought"),
    delta(0, type="thought_summary", content={"type": "text", "text": "I look "}),
    delta(0, type="thought_summary", content={"type": "text", "text": "it up."}),
    delta(0, type="thought_signature", signature="s"),
    stop(0),
    start(1, type="google_search_call", id="g"),
    stop(1),
    start(2, type="model_output"),
    delta(2, type="text", text="Grüße"),
    delta(2, type="text", text=" 🐢"),
    stop(2),
    start(3, type="function_call", id="c1", name="weather"),
    delta(3, type="arguments_delta", arguments=ARGUMENTS[:7]),
    delta(3, type="arguments_delta", arguments=ARGUMENTS[7:]),
    stop(3),
    {
        "event_type": "interaction.completed",
        "interaction": {key: WHOLE[key] for key in ("id", "status", "model", "usage")},
    },
]


def sse(*events):
    framed = (f"event: {one['event_type']}\ndata: {json.dumps(one, ensure_ascii=False)}\n\n" for one in events)
    return "".join(framed).encode() + b"event: done\ndata: [DONE]\n\n"


def read(body, kind="text/event-stream"):
    return malformed_responses.read(INTERACTIONS.reader_for(kind, keep_text=True), body)


READING = Reading(
    response_id="v1_a",
    complete=True,
    token_usages=(
        TokenUsage(
            provider_response_id="v1_a", input_tokens=34, output_tokens=12, cache_read_input_tokens=20, usage=USAGE
        ),
    ),
    tool_usages=(ToolUsage(provider_response_id="v1_a", provider_tool_call_id="c1", tool="weather", input=ARGUMENTS),),
    model_thoughts=(ModelThought(content="I look it up.", source="thinking"),),
    response=ModelResponse(text="Grüße 🐢"),
    background_model="gemini-3",
)


def test_a_body_is_read():
    assert read(json.dumps(WHOLE, ensure_ascii=False).encode(), "application/json") == READING


def test_a_stream_is_read():
    assert read(sse(*EVENTS)) == READING


def test_the_last_event_may_repeat_the_steps_and_leave_the_model_out():
    for last in (WHOLE, {key: WHOLE[key] for key in ("status", "usage")}):
        assert read(sse(*EVENTS[:-1], EVENTS[-1] | {"interaction": last})) == READING


def test_of_a_stream_that_is_cut_what_came_is_kept():
    # A usage so far does not count: who fetches the interaction gets all of it.
    partial = stop(0) | {"usage": {"total_input_tokens": 9}}
    reading = read(sse(*EVENTS[:4], partial, *EVENTS[4:-3]))
    call = replace(READING.tool_usages[0], input=ARGUMENTS[:7])
    assert reading == replace(READING, complete=False, token_usages=(), tool_usages=(call,), background_model="")


@for_each(
    ("interaction", "error", "model"),
    ({"status": "failed", "errors": [{"code": "quota", "message": "no more"}]}, ("quota", "no more"), "deep-research"),
    ({"status": "failed", "errors": [None]}, ("unnamed_error", "interaction failed"), "deep-research"),
    ({"error": {"status": "INTERNAL", "message": "oh"}}, ("INTERNAL", "oh"), ""),
    ({"status": "in_progress"}, None, ""),
    ({"status": "cancelled", "agent": None}, None, "default"),
)
def test_how_an_interaction_ended_is_read(interaction, error, model):
    body = json.dumps({"id": "v1_a", "agent": "deep-research"} | interaction).encode()
    error = error and ProviderError(type=error[0], message=error[1])
    assert read(body, "application/json") == Reading(
        response_id="v1_a", complete=True, error=error, background_model=model
    )


def test_an_error_event_fails_the_call():
    event = {"event_type": "error", "error": {"code": "internal", "message": "oh"}}
    error = ProviderError(type="internal", message="oh")
    assert read(sse(EVENTS[0], event)) == Reading(response_id="v1_a", error=error)
    assert read(sse({"event_type": "error"})).error == ProviderError(type="unnamed_error", message="error")


@for_each(
    ("usage", "counts"),
    ({}, None),
    ({"total_tokens": 0}, (0, 0, 0)),
    ({"total_input_tokens": 5, "total_cached_tokens": 9, "total_tool_use_tokens": 2}, (2, None, 9)),
    ({"total_thought_tokens": 3}, (None, 3, None)),
    ({"total_input_tokens": "5", "grounding_tool_count": [{"type": "google_search", "count": 1}]}, None),
)
def test_thoughts_are_output_and_what_is_cached_is_no_input(usage, counts):
    found = tokens(usage)
    assert counts == (found and (found.input_tokens, found.output_tokens, found.cache_read_input_tokens))


def request(given, **more):
    return json.dumps({"model": "gemini-3", "store": False, "input": given, **more}).encode()


def read_request(body):
    """What is read_request, but for digests of texts."""
    return replace(parse_request(body), conversation=None, blocks=None)


def text(words):
    return {"type": "text", "text": words}


def step(kind, *contents, **more):
    return {"type": kind, "content": list(contents)} | more


IMAGE = {"type": "image", "mime_type": "image/png", "data": "AA=="}
CALLED = {"type": "function_call", "id": "c1", "name": "weather", "arguments": {"city": "Zürich"}}
RESULT = {"type": "function_result", "call_id": "c1", "name": "weather", "result": {"sky": "grey"}}


@for_each(
    ("given", "prompt", "answered"),
    ("Hello", "Hello", None),
    (text("Hello"), "Hello", None),
    ([text("Hello"), IMAGE], "Hello", None),
    ([IMAGE], None, None),
    ([step("user_input", text("first"), text("Hello"))], "Hello", None),
    ([step("user_input") | {"content": "Hello"}], "Hello", None),
    ([{"role": "user", "content": "Hello"}], "Hello", None),
    ([{"role": "user", "content": [text("Hello")]}], "Hello", None),
    ([step("user_input", text("first")), step("model_output", text("so"))], None, None),
    ([step("user_input", text("first")), {"type": "thought", "signature": "s"}, CALLED, RESULT], None, "c1"),
    ([RESULT], None, "c1"),
    ([step("user_input", text("first")), {"type": "google_search_result", "call_id": "g"}], None, None),
    ("", None, None),
    ([], None, None),
    (7, None, None),
    ([7, None], None, None),
)
def test_the_prompt_is_the_last_text_of_the_user(given, prompt, answered):
    results = (ToolResult(id="c1", bytes=len('{"sky": "grey"}'), is_error=False),) if answered else ()
    expected = RequestSummary(
        model="gemini-3",
        user_prompt=prompt and UserPrompt(prompt=prompt),
        answered_tool_call_id=answered,
        tool_results=results,
    )
    assert read_request(request(given)) == expected


@for_each(
    ("more", "found"),
    ({"stream": True, "generation_config": {"max_output_tokens": 9}}, {"stream": True, "max_output_tokens": 9}),
    ({"store": True}, {"uses_state": True}),
    ({"previous_interaction_id": "v1_a"}, {"uses_state": True, "previous_response_id": "v1_a"}),
    ({"environment": {"type": "remote"}}, {"uses_state": True}),
    ({"background": True, "labels": {"team": "blue"}}, {"in_background": True, "tags": {"team": "blue"}}),
    ({"agent": "deep-research"}, {"other_models": ("deep-research",)}),
    ({"agent": "gemini-3"}, {}),
    ({"agent_config": {"type": "antigravity", "model": "gemini-9"}}, {"other_models": ("gemini-9",)}),
    ({"agent": "a", "agentConfig": {"model": "b"}}, {"other_models": ("a", "b")}),
    ({"agent_config": {"model": 7}}, {"other_models": None}),
    ({"agentConfig": {"model": "m" * 257}}, {"other_models": None}),
    ({"previousInteractionId": "v1_a"}, {"uses_state": True, "previous_response_id": "v1_a"}),
    ({"generation_config": None, "generationConfig": {"maxOutputTokens": 9}}, {"max_output_tokens": 9}),
    ({"generation_config": {"max_output_tokens": 5, "maxOutputTokens": 9}}, {"max_output_tokens": 9}),
    ({"continuation_token": "t"}, {"uses_state": True}),
    ({"agent": {"name": "x"}, "labels": 7, "generation_config": []}, {}),
)
def test_what_a_request_asks_for_is_read(more, found):
    expected = RequestSummary(model="gemini-3", user_prompt=UserPrompt(prompt="Hello"))
    assert read_request(request("Hello", **more)) == replace(expected, **found)


def test_an_agent_stands_in_the_place_of_a_model():
    body = json.dumps({"agent": "deep-research", "store": False, "input": "Hello"}).encode()
    assert read_request(body) == RequestSummary(model="deep-research", user_prompt=UserPrompt(prompt="Hello"))


@for_each(
    ("body", "said"),
    (b'{"input": "Hello"}', "model is required"),
    (b'{"agent": ["x"], "input": "Hello"}', "model is required"),
    (b'{"agent": "a", "agent": "b", "input": "Hello"}', "agent is there more than once"),
    (b'{"model": "a", "agentConfig": {}, "agentConfig": {"model": "b"}}', "agentconfig is there more than once"),
    (b"[]", "not usable"),
)
def test_a_request_names_one_model_or_agent(body, said):
    with pytest.raises(InvalidRequestError, match=said):
        parse_request(body)


def test_a_conversation_is_found_again_in_the_request_that_goes_on_with_it():
    first = step("user_input", text("What is the weather?"))
    grey = step("model_output", text("Grey."))
    one, two, three = (
        parse_request(request(steps)).conversation
        for steps in (
            [first],
            [first, CALLED, RESULT],
            [first, CALLED, RESULT, grey, step("user_input", text("And now?"))],
        )
    )
    assert (two.continues, three.continues) == (one.key, two.key)
    assert parse_request(request("What is the weather?")).conversation.key == one.key
