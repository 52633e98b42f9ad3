"""Scripts of the provider for a turn with a tool: a call of the tool, then a text. One for each API."""

from __future__ import annotations

import json

from tests.clients.command_line_client import ANSWER
from tests.fake_upstream import Step
from tests.sdk.wiring import data_events, stream, tokens, typed_events

CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 5},
}
RESPONSES_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 27,
}
GEMINI_USAGE = {"promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 27}
MESSAGES_USAGE = {
    "input_tokens": 20,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 3,
    "output_tokens": 1,
}


def used(input_tokens: int, *, write: int | None = None) -> dict[str, int | None]:
    """The tokens that are recorded of each answer."""
    usage = tokens(input_tokens, 7, read=5, write=write)
    return {name: value for name, value in usage.items() if name != "source"}


def message_events(id_: str, block: dict[str, object], *deltas: dict[str, str], reason: str, model: str = "m"):
    """The events of a message of one block."""
    start = {"id": id_, "type": "message", "role": "assistant", "model": model, "content": [], "usage": MESSAGES_USAGE}
    return [
        {"type": "message_start", "message": start | {"stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


def message_of_text(model: str = "m"):
    """The events of a message that says `ANSWER`."""
    text = {"type": "text_delta", "text": ANSWER}
    return message_events("msg_2", {"type": "text", "text": ""}, text, reason="end_turn", model=model)


def messages(tool: str, arguments: dict[str, object], model: str = "m") -> list[list[Step]]:
    """A turn over Anthropic's messages."""
    call = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
    calls = message_events("msg_1", call, delta, reason="tool_use", model=model)
    return [stream(typed_events(calls)), stream(typed_events(message_of_text(model)))]


def chat(tool: str, arguments: dict[str, object]) -> list[list[Step]]:
    """A turn over OpenAI's chat completions."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    call = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    return [_chat("chatcmpl-1", call, "tool_calls"), _chat("chatcmpl-2", {"content": ANSWER}, "stop")]


def _chat(id_: str, delta: dict[str, object], reason: str) -> list[Step]:
    head = {"id": id_, "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"choices": [], "usage": CHAT_USAGE},
    ]
    return stream(data_events([head | one for one in chunks]))


def response_events(tool: str, arguments: dict[str, object]) -> list[list[dict[str, object]]]:
    """The events of both responses of a turn over OpenAI's responses."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool}
    call |= {"arguments": json.dumps(arguments), "status": "completed"}
    part = {"type": "output_text", "text": ANSWER, "annotations": []}
    text = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    first, second = call | {"arguments": "", "status": "in_progress"}, text | {"content": [], "status": "in_progress"}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_text.delta", **place, "delta": ANSWER, "logprobs": []}
    return [_response("resp_1", first, call), _response("resp_2", second, text, delta)]


def _response(id_: str, begun, whole, *between) -> list[dict[str, object]]:
    head = {"id": id_, "object": "response", "created_at": 1, "model": "m", "output": [], "tools": []}
    head |= {"parallel_tool_calls": True, "tool_choice": "auto"}
    done = head | {"status": "completed", "output": [whole], "usage": RESPONSES_USAGE}
    events = [
        {"type": "response.created", "response": head | {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        *between,
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": done},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def responses(tool: str, arguments: dict[str, object]) -> list[list[Step]]:
    """A turn over OpenAI's responses."""
    return [stream(typed_events(events)) for events in response_events(tool, arguments)]


def gemini(tool: str, arguments: dict[str, object]) -> list[list[Step]]:
    """A turn over Gemini's API."""
    return [_gemini({"functionCall": {"name": tool, "args": arguments}}), _gemini({"text": ANSWER})]


def _gemini(part: dict[str, object]) -> list[Step]:
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    response = {"candidates": [candidate], "usageMetadata": GEMINI_USAGE, "modelVersion": "m", "responseId": "r"}
    return stream([b"data: " + json.dumps(response).encode() + b"\r\n\r\n"])
