"""The `anthropic` package's messages through the bridge."""

import json

import pytest

from tests.sdk.wiring import essence, record, stream, tokens, typed_events, whole

STARTED_USAGE = {
    "input_tokens": 26,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 64,
    "output_tokens": 1,
    "service_tier": "standard",
}
USAGE = STARTED_USAGE | {"output_tokens": 20}
CONTENT = [
    {"type": "thinking", "thinking": "Two cities, two calls.", "signature": "c2lnbmVk"},
    {"type": "text", "text": "Grüße, 世界 🌍"},
    {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "toolu_b", "name": "get_forecast", "input": {"city": "Rome", "days": 2}},
]
STARTED = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m-2026",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": STARTED_USAGE,
}
MESSAGE = STARTED | {"content": CONTENT, "stop_reason": "tool_use", "usage": USAGE}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("get_weather", "get_forecast")]
REQUEST = {
    "model": "m",
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Weather in Paris and Rome?"}]}],
    "tools": TOOLS,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
RECORD = record(
    "anthropic",
    user_prompts=["Weather in Paris and Rome?"],
    token_usages=[tokens(26, 20, read=64, write=5)],
    model_thoughts=[("thinking", "Two cities, two calls.")],
)
STREAMED_CALLS = [
    ("toolu_a", "get_weather", '{"city":"Paris"}'),
    ("toolu_b", "get_forecast", '{"city": "Rome", "days": 2}'),
]


def _block(index, empty, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _json(*parts):
    return [{"type": "input_json_delta", "partial_json": part} for part in parts]


EVENTS = [
    {"type": "message_start", "message": STARTED},
    *_block(
        0,
        CONTENT[0] | {"thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Two cities, "},
        {"type": "thinking_delta", "thinking": "two calls."},
        {"type": "signature_delta", "signature": "c2lnbmVk"},
    ),
    *_block(
        1,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Grüße, "},
        {"type": "text_delta", "text": "世界 🌍"},
    ),
    *_block(2, CONTENT[2] | {"input": {}}, *_json("", '{"ci', 'ty":"Paris"}')),
    *_block(3, CONTENT[3] | {"input": {}}, *_json("", '{"city": ', '"Rome", ', '"days": 2}')),
    # The figures so far, then the last word: the later one counts, they are never added.
    {"type": "message_delta", "delta": {"stop_reason": None, "stop_sequence": None}, "usage": {"output_tokens": 12}},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 20},
    },
    {"type": "message_stop"},
]
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.mark.gen_test
async def test_a_blocking_message_is_parsed_as_it_was_sent_and_recorded_as_it_was(running, anthropic):
    running.upstream.play(*whole(MESSAGE, request_id="req_1"))
    raw = await anthropic.messages.with_raw_response.create(**REQUEST)
    message = await raw.parse()
    assert message.to_dict() == MESSAGE
    assert message._request_id == "req_1"
    (recorded,) = await running.ended(1)
    kept = essence(recorded)
    calls = [(call_id, tool, json.loads(arguments)) for call_id, tool, arguments in kept.pop("tool_usages")]
    assert calls == [("toolu_a", "get_weather", CONTENT[2]["input"]), ("toolu_b", "get_forecast", CONTENT[3]["input"])]
    assert kept | {"tool_usages": []} == RECORD | {"upstream_request_id": "req_1"}
    assert recorded["id"] == raw.headers["X-AI-Bridge-Interception-Id"]
    assert recorded["token_usages"][0]["metadata"]["usage"] == USAGE
    assert recorded["token_usages"][0]["provider_response_id"] == "msg_1"
    assert recorded["user_agent"].startswith("AsyncAnthropic/Python ")


@pytest.mark.gen_test
async def test_a_stream_with_thinking_and_parallel_tool_calls_is_parsed_as_it_was_sent(running, anthropic):
    events = typed_events(EVENTS)
    running.upstream.play(*stream([*events[:3], PING, *events[3:]]))
    received = await anthropic.messages.create(**REQUEST, stream=True)
    assert [event.to_dict() async for event in received] == EVENTS
    (recorded,) = await running.ended(1)
    assert essence(recorded) == RECORD | {"streaming": True, "tool_usages": STREAMED_CALLS}
    assert recorded["id"] == received.response.headers["X-AI-Bridge-Interception-Id"]


@pytest.mark.gen_test
async def test_counting_tokens_is_recorded_without_a_cost(running, anthropic):
    running.upstream.play(*whole({"input_tokens": 95}))
    count = await anthropic.messages.count_tokens(model="m", messages=REQUEST["messages"])
    assert count.to_dict() == {"input_tokens": 95}
    assert running.upstream.requests[0].target == "/v1/messages/count_tokens"
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("anthropic")
    assert recorded["cost"] is None


BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"canceled": 0, "errored": 0, "expired": 0, "processing": 1, "succeeded": 0},
    "created_at": "2026-11-26T10:00:00Z",
    "expires_at": "2026-11-27T10:00:00Z",
}


def _results(*named):
    lines = [
        {"custom_id": name, "result": {"type": "succeeded", "message": MESSAGE | {"id": f"msg_{name}", "model": model}}}
        for name, model in named
    ]
    lines.append({"custom_id": "bad", "result": {"type": "expired"}})
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-jsonl\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head, body


@pytest.mark.gen_test
async def test_the_results_of_a_batch_are_recorded_once_each(running, anthropic):
    ended = BATCH | {"processing_status": "ended"}
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/anthropic/v1/messages/batches/msgbatch_1/results"
    running.upstream.play(*whole(BATCH))
    one = {"custom_id": "a", "params": {"model": "m", "max_tokens": 9, "messages": REQUEST["messages"]}}
    await anthropic.messages.batches.create(requests=[one])
    await running.ended(1)
    for names in ([("a", "m")], [("a", "m"), ("b", "n")], [("b", "n"), ("a", "m")]):
        running.upstream.scripts.clear()
        running.upstream.play(*whole(ended | {"results_url": url}))
        running.upstream.play(*_results(*names))
        results = await anthropic.messages.batches.results("msgbatch_1")
        assert [one.custom_id async for one in results] == [*(name for name, _ in names), "bad"]
        await running.bridge.recorder.flush(5)
    *recorded, created = await running.ended(3)
    assert (created["model"], created["token_usages"]) == ("default", [])
    assert sorted(
        (one["model"], one["status"], one["client_session_id"], one["token_usages"][0]["provider_response_id"])
        for one in recorded
    ) == [("m", "completed", "msgbatch_1", "msg_a"), ("n", "completed", "msgbatch_1", "msg_b")]
    assert all(essence(one)["token_usages"] == RECORD["token_usages"] for one in recorded)
