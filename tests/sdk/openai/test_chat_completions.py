"""The `openai` package's chat completions through the bridge."""

import pytest

from tests.sdk.wiring import data_events, essence, record, stream, tokens, whole

ENVELOPE = {"id": "chatcmpl-1", "created": 1790000000, "model": "m-2026", "service_tier": "default"}
USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 20,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
PARIS, ROME = '{"city":"Paris"}', '{"city": "Rome", "days": 2}'
CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": PARIS}},
    {"id": "call_b", "type": "function", "function": {"name": "get_forecast", "arguments": ROME}},
]
COMPLETION = ENVELOPE | {
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Grüße, 世界 🌍", "refusal": None, "tool_calls": CALLS},
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_forecast")
]
PROMPT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather in Paris and Rome?"}]
REQUEST = {"model": "m", "messages": PROMPT, "tools": TOOLS}
RECORD = record(
    "openai",
    user_prompts=["Weather in Paris and Rome?"],
    token_usages=[tokens(26, 20, read=64)],
    tool_usages=[("call_a", "get_weather", PARIS), ("call_b", "get_forecast", ROME)],
)


def _chunk(delta, finish_reason=None):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return ENVELOPE | {"object": "chat.completion.chunk", "choices": [choice], "usage": None}


def _call(index, arguments, **first):
    function = {"arguments": arguments}
    if first:
        function = {"name": first.pop("name")} | function
    return _chunk({"tool_calls": [{"index": index} | first | {"function": function}]})


CHUNKS = [
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    _chunk({"content": "Grüße, "}),
    _chunk({"content": "世界 🌍"}),
    _call(0, "", id="call_a", type="function", name="get_weather"),
    _call(1, "", id="call_b", type="function", name="get_forecast"),
    _call(1, '{"city": '),
    _call(0, '{"ci'),
    _call(0, 'ty":"Paris"}'),
    _call(1, '"Rome", "days": 2}'),
    _chunk({}, "tool_calls"),
    ENVELOPE | {"object": "chat.completion.chunk", "choices": [], "usage": USAGE},
]


@pytest.mark.gen_test
async def test_a_blocking_completion_is_parsed_as_it_was_sent_and_recorded_as_it_was(running, openai):
    running.upstream.play(*whole(COMPLETION, X_Request_Id="req_1"))
    raw = await openai.chat.completions.with_raw_response.create(**REQUEST)
    completion = raw.parse()
    assert completion.to_dict() == COMPLETION
    assert completion._request_id == "req_1"
    (recorded,) = await running.ended(1)
    assert essence(recorded) == RECORD | {"upstream_request_id": "req_1"}
    assert recorded["id"] == raw.headers["X-AI-Bridge-Interception-Id"]
    assert recorded["token_usages"][0]["metadata"]["usage"] == USAGE
    assert recorded["token_usages"][0]["provider_response_id"] == "chatcmpl-1"
    assert recorded["user_agent"].startswith("AsyncOpenAI/Python ")


@pytest.mark.gen_test
async def test_a_stream_with_interleaved_parallel_tool_calls_is_parsed_as_it_was_sent(running, openai):
    running.upstream.play(*stream(data_events(CHUNKS)))
    request = REQUEST | {"stream": True, "stream_options": {"include_usage": True}}
    chunks = await openai.chat.completions.create(**request)
    assert [chunk.to_dict() async for chunk in chunks] == CHUNKS
    (recorded,) = await running.ended(1)
    assert essence(recorded) == RECORD | {"streaming": True}
    assert recorded["id"] == chunks.response.headers["X-AI-Bridge-Interception-Id"]
    assert recorded["started_at"] <= recorded["first_byte_at"] <= recorded["ended_at"]
