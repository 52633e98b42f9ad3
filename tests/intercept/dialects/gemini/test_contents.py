"""Gemini: what is read of requests."""

import json

import pytest

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.dialects.gemini.contents import parse_plain_request, parse_request
from intercept.records import UserPrompt
from tests.cases import for_each
from tests.intercept.summaries import plain


def request(*contents, **more):
    return json.dumps({"contents": list(contents), **more}).encode()


def said(*parts, role="user"):
    return {"role": role, "parts": list(parts)}


RESPONSE = {"functionResponse": {"id": "c1", "name": "weather", "response": {"sky": "grey"}}}


@for_each(
    ("contents", "prompt", "answered"),
    [
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
    ],
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
