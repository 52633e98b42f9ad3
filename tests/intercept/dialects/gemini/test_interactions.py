"""Interactions: what is read of responses."""

import json

from msgspec.structs import replace

from intercept.catalog import INTERACTIONS
from intercept.dialects.gemini.interactions import tokens
from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, TokenUsage, ToolUsage
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
            provider_response_id="v1_a",
            input_tokens=34,
            output_tokens=12,
            cache_read_input_tokens=20,
            usage=USAGE,
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
    [
        (
            {"status": "failed", "errors": [{"code": "quota", "message": "no more"}]},
            ("quota", "no more"),
            "deep-research",
        ),
        ({"status": "failed", "errors": [None]}, ("unnamed_error", "interaction failed"), "deep-research"),
        ({"error": {"status": "INTERNAL", "message": "oh"}}, ("INTERNAL", "oh"), ""),
        ({"status": "in_progress"}, None, ""),
        ({"status": "cancelled", "agent": None}, None, "default"),
    ],
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
    [
        ({}, None),
        ({"total_tokens": 0}, (0, 0, 0)),
        ({"total_input_tokens": 5, "total_cached_tokens": 9, "total_tool_use_tokens": 2}, (2, None, 9)),
        ({"total_thought_tokens": 3}, (None, 3, None)),
        ({"total_input_tokens": "5", "grounding_tool_count": [{"type": "google_search", "count": 1}]}, None),
    ],
)
def test_thoughts_are_output_and_what_is_cached_is_no_input(usage, counts):
    found = tokens(usage)
    assert counts == (found and (found.input_tokens, found.output_tokens, found.cache_read_input_tokens))
