"""The `openai` package's responses through the bridge."""

import pytest

from tests.sdk.wiring import essence, record, stream, tokens, typed_events, whole

USAGE = {
    "input_tokens": 90,
    "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 8},
    "total_tokens": 110,
}
PARIS, ROME = '{"city":"Paris"}', '{"city": "Rome", "days": 2}'
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Two cities, two calls."}]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Grüße, 世界 🌍", "annotations": [], "logprobs": []}],
}
CALLS = [
    {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": "completed",
        "arguments": arguments,
        "call_id": call_id,
        "name": name,
    }
    for call_id, name, arguments in (("call_a", "get_weather", PARIS), ("call_b", "get_forecast", ROME))
]
STARTED = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1790000000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "model": "m-2026",
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": None,
}
RESPONSE = STARTED | {"status": "completed", "output": [REASONING, MESSAGE, *CALLS], "usage": USAGE}
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("get_weather", "get_forecast")
]
REQUEST = {"model": "m", "input": "Weather in Paris and Rome?", "tools": TOOLS, "reasoning": {"summary": "auto"}}
RECORD = record(
    "openai",
    user_prompts=["Weather in Paris and Rome?"],
    token_usages=[tokens(26, 20, read=64, write=0)],
    tool_usages=[("call_a", "get_weather", PARIS), ("call_b", "get_forecast", ROME)],
    model_thoughts=[("reasoning_summary", "Two cities, two calls.")],
)


def _item_events(index, item, empty, *growth):
    place = {"item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.added", "output_index": index, "item": item | empty}
    yield from (event | place for event in growth)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _arguments(*deltas):
    yield from ({"type": "response.function_call_arguments.delta", "delta": delta} for delta in deltas)
    yield {"type": "response.function_call_arguments.done", "arguments": "".join(deltas)}


def _events(*last):
    empty_part, part = {"content_index": 0}, MESSAGE["content"][0]
    summary = {"summary_index": 0}
    thought = REASONING["summary"][0]
    unfinished = {"status": "in_progress", "arguments": ""}
    events = [
        {"type": "response.created", "response": STARTED},
        {"type": "response.in_progress", "response": STARTED},
        *_item_events(
            0,
            REASONING,
            {"summary": []},
            {"type": "response.reasoning_summary_part.added", "part": thought | {"text": ""}} | summary,
            {"type": "response.reasoning_summary_text.delta", "delta": "Two cities, "} | summary,
            {"type": "response.reasoning_summary_text.delta", "delta": "two calls."} | summary,
            {"type": "response.reasoning_summary_text.done", "text": thought["text"]} | summary,
            {"type": "response.reasoning_summary_part.done", "part": thought} | summary,
        ),
        *_item_events(
            1,
            MESSAGE,
            {"status": "in_progress", "content": []},
            {"type": "response.content_part.added", "part": part | {"text": ""}} | empty_part,
            {"type": "response.output_text.delta", "delta": "Grüße, ", "logprobs": []} | empty_part,
            {"type": "response.output_text.delta", "delta": "世界 🌍", "logprobs": []} | empty_part,
            {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | empty_part,
            {"type": "response.content_part.done", "part": part} | empty_part,
        ),
        *_item_events(2, CALLS[0], unfinished, *_arguments('{"ci', 'ty":"Paris"}')),
        *_item_events(3, CALLS[1], unfinished, *_arguments('{"city": ', '"Rome", ', '"days": 2}')),
        *last,
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


EVENTS = _events({"type": "response.completed", "response": RESPONSE})


@pytest.mark.gen_test
async def test_a_blocking_response_is_parsed_as_it_was_sent_and_recorded_as_it_was(running, openai):
    running.upstream.play(*whole(RESPONSE, X_Request_Id="req_1"))
    raw = await openai.responses.with_raw_response.create(**REQUEST)
    response = raw.parse()
    assert response.to_dict() == RESPONSE
    assert response.output_text == "Grüße, 世界 🌍"
    (recorded,) = await running.ended(1)
    assert essence(recorded) == RECORD | {"upstream_request_id": "req_1"}
    assert recorded["id"] == raw.headers["X-AI-Bridge-Interception-Id"]
    assert recorded["token_usages"][0]["metadata"]["usage"] == USAGE
    assert recorded["token_usages"][0]["provider_response_id"] == "resp_1"


@pytest.mark.gen_test
async def test_a_stream_with_reasoning_and_parallel_tool_calls_is_parsed_as_it_was_sent(running, openai):
    running.upstream.play(*stream(typed_events(EVENTS)))
    events = await openai.responses.create(**REQUEST, stream=True)
    assert [event.to_dict() async for event in events] == EVENTS
    (recorded,) = await running.ended(1)
    assert essence(recorded) == RECORD | {"streaming": True}
    assert recorded["id"] == events.response.headers["X-AI-Bridge-Interception-Id"]
