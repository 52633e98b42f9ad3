"""Interactions: what is read of requests."""

import json

import pytest
from msgspec.structs import replace

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.gemini.interaction_inputs import parse_request
from intercept.records import ToolResult, UserPrompt
from tests.cases import for_each


def request(given, **more):
    return json.dumps({"model": "gemini-3", "store": False, "input": given, **more}).encode()


def read(body):
    """What is read, but for digests of texts."""
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
    [
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
    ],
)
def test_the_prompt_is_the_last_text_of_the_user(given, prompt, answered):
    results = (ToolResult(id="c1", bytes=len('{"sky": "grey"}'), is_error=False),) if answered else ()
    expected = RequestSummary(
        model="gemini-3",
        user_prompt=prompt and UserPrompt(prompt=prompt),
        answered_tool_call_id=answered,
        tool_results=results,
    )
    assert read(request(given)) == expected


@for_each(
    ("more", "found"),
    [
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
    ],
)
def test_what_a_request_asks_for_is_read(more, found):
    expected = RequestSummary(model="gemini-3", user_prompt=UserPrompt(prompt="Hello"))
    assert read(request("Hello", **more)) == replace(expected, **found)


def test_an_agent_stands_in_the_place_of_a_model():
    body = json.dumps({"agent": "deep-research", "store": False, "input": "Hello"}).encode()
    assert read(body) == RequestSummary(model="deep-research", user_prompt=UserPrompt(prompt="Hello"))


@for_each(
    ("body", "said"),
    [
        (b'{"input": "Hello"}', "model is required"),
        (b'{"agent": ["x"], "input": "Hello"}', "model is required"),
        (b'{"agent": "a", "agent": "b", "input": "Hello"}', "agent is there more than once"),
        (b'{"model": "a", "agentConfig": {}, "agentConfig": {"model": "b"}}', "agentconfig is there more than once"),
        (b"[]", "not usable"),
    ],
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
