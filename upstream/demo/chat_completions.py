"""Chat completions, as in https://platform.openai.com/docs/api-reference/chat and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from intercept.formats.json_text import as_object
from upstream.demo.generation import DemoCall, DemoToolCall, Generation, pieces
from upstream.demo.scripted import data_event


def body(call: DemoCall) -> dict[str, Any]:
    """Return the `chat.completion` object."""
    calls = [_tool_call(call, index, one.tool, one.arguments) for index, one in enumerate(call.generation.tool_calls)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": call.generation.text,
        "refusal": None,
        "annotations": [],
    }
    message |= {"tool_calls": calls} if calls else {}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(call)}
    return _envelope(call, "chat.completion", [choice]) | {"usage": _usage(call.generation)}


def events(call: DemoCall) -> Iterator[bytes]:
    """Return the role, the text, the tool calls, the reason to stop, the usage where requested, and `[DONE]`."""
    yield _chunk(call, {"role": "assistant", "content": "", "refusal": None})
    for piece in pieces(call.generation.text):
        yield _chunk(call, {"content": piece})
    for index, one in enumerate(call.generation.tool_calls):
        yield from _tool_call_chunks(call, index, one)
    yield _chunk(call, {}, _finish_reason(call))
    if _includes_usage(call):
        yield data_event(_envelope(call, "chat.completion.chunk", []) | {"usage": _usage(call.generation)})
    yield b"data: [DONE]\n\n"


def _chunk(call: DemoCall, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage = {"usage": None} if _includes_usage(call) else {}
    return data_event(_envelope(call, "chat.completion.chunk", [choice]) | usage)


def _tool_call_chunks(call: DemoCall, index: int, one: DemoToolCall) -> Iterator[bytes]:
    yield _chunk(call, {"tool_calls": [{"index": index} | _tool_call(call, index, one.tool, "")]})
    for piece in pieces(one.arguments):
        yield _chunk(call, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


def _tool_call(call: DemoCall, index: int, tool: str, arguments: str) -> dict[str, Any]:
    call_id = f"call_{call.key}{index}"
    return {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}


def _envelope(call: DemoCall, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.key}",
        "object": kind,
        "created": call.created,
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
        "choices": choices,
    }


def _includes_usage(call: DemoCall) -> bool:
    return bool(as_object(call.data.get("stream_options")).get("include_usage"))


def _finish_reason(call: DemoCall) -> str:
    return "tool_calls" if call.generation.tool_calls else "stop"


def _usage(generation: Generation) -> dict[str, Any]:
    return {
        "prompt_tokens": generation.input_tokens,
        "completion_tokens": generation.output_tokens,
        "total_tokens": generation.input_tokens + generation.output_tokens,
        "prompt_tokens_details": {"cached_tokens": generation.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": generation.thought_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
