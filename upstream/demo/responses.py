"""Responses, as in https://platform.openai.com/docs/api-reference/responses and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from upstream.demo.generation import DemoCall, Generation, pieces
from upstream.demo.scripted import typed_event

_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
"""What a response object repeats of its request, and its defaults."""


def body(call: DemoCall) -> dict[str, Any]:
    """Return the completed `response` object."""
    return _response(call, "completed") | {
        "completed_at": call.created,
        "output": _output(call),
        "usage": _usage(call.generation),
    }


def events(call: DemoCall) -> Iterator[bytes]:
    """Return the response as it begins, each output item as it grows, and the completed response."""
    for number, event in enumerate(_events(call)):
        yield typed_event({"type": event["type"], "sequence_number": number} | event)


def _events(call: DemoCall) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": _response(call, "in_progress")}
    yield {"type": "response.in_progress", "response": _response(call, "in_progress")}
    for index, item in enumerate(_output(call)):
        empty, growth = _unfold(item)
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        for event in growth:
            yield event | {"item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": body(call)}


def _output(call: DemoCall) -> list[dict[str, Any]]:
    generation, key = call.generation, call.key
    summary = [{"type": "summary_text", "text": generation.thought}]
    text = {"type": "output_text", "text": generation.text, "annotations": [], "logprobs": []}
    return [
        *([{"id": f"rs_{key}", "type": "reasoning", "summary": summary}] if generation.thought else []),
        {"id": f"msg_{key}", "type": "message", "status": "completed", "role": "assistant", "content": [text]},
        *(
            {
                "id": f"fc_{key}{index}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{key}{index}",
                "name": one.tool,
                "arguments": one.arguments,
            }
            for index, one in enumerate(generation.tool_calls)
        ),
    ]


def _response(call: DemoCall, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{call.key}",
        "object": "response",
        "created_at": call.created,
        "status": status,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": call.model,
        "output": [],
        "usage": None,
        "user": None,
    } | {name: call.data.get(name, default) for name, default in _ECHOED.items()}


def _usage(generation: Generation) -> dict[str, Any]:
    return {
        "input_tokens": generation.input_tokens,
        "input_tokens_details": {"cached_tokens": generation.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": generation.output_tokens,
        "output_tokens_details": {"reasoning_tokens": generation.thought_tokens},
        "total_tokens": generation.input_tokens + generation.output_tokens,
    }


def _unfold(item: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Turn an output item into the empty one that opens it and the events that fill it."""
    match item:
        case {"type": "reasoning", "summary": [part]}:
            return item | {"summary": []}, _summary_events(part)
        case {"type": "function_call", "arguments": arguments}:
            return item | {"status": "in_progress", "arguments": ""}, _argument_events(arguments)
        case _:
            return item | {"status": "in_progress", "content": []}, _text_events(item["content"][0])


def _summary_events(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    index_fields = {"summary_index": 0}
    yield {"type": "response.reasoning_summary_part.added", "part": part | {"text": ""}} | index_fields
    for piece in pieces(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", "delta": piece} | index_fields
    yield {"type": "response.reasoning_summary_text.done", "text": part["text"]} | index_fields
    yield {"type": "response.reasoning_summary_part.done", "part": part} | index_fields


def _text_events(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    index_fields = {"content_index": 0}
    yield {"type": "response.content_part.added", "part": part | {"text": ""}} | index_fields
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | index_fields
    yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | index_fields
    yield {"type": "response.content_part.done", "part": part} | index_fields


def _argument_events(arguments: str) -> Iterator[dict[str, Any]]:
    for piece in pieces(arguments):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    yield {"type": "response.function_call_arguments.done", "arguments": arguments}
