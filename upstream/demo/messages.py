"""Messages, as in https://docs.anthropic.com/en/api/messages and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from upstream.demo.generation import DemoCall, pieces
from upstream.demo.scripted import typed_event


def body(call: DemoCall) -> dict[str, Any]:
    """Return the `message` object."""
    usage = _input_usage(call) | {"output_tokens": call.generation.output_tokens, "service_tier": "standard"}
    return _message(call, _content(call), _stop_reason(call), usage)


def events(call: DemoCall) -> Iterator[bytes]:
    """Return the empty message, each content block with its deltas, the reason to stop with the usage, and the stop."""
    usage = _input_usage(call) | {"output_tokens": 1, "service_tier": "standard"}
    yield typed_event({"type": "message_start", "message": _message(call, [], None, usage)})
    yield typed_event({"type": "ping"})
    for index, block in enumerate(_content(call)):
        yield from _block_events(index, block)
    delta = {"stop_reason": _stop_reason(call), "stop_sequence": None}
    usage = _input_usage(call) | {"output_tokens": call.generation.output_tokens}
    yield typed_event({"type": "message_delta", "delta": delta, "usage": usage})
    yield typed_event({"type": "message_stop"})


def _content(call: DemoCall) -> list[dict[str, Any]]:
    generation = call.generation
    thought = {"type": "thinking", "thinking": generation.thought, "signature": f"demo{call.key}"}
    return [
        *([thought] if generation.thought else []),
        {"type": "text", "text": generation.text},
        *(
            {
                "type": "tool_use",
                "id": f"toolu_{call.key}{index}",
                "name": one.tool,
                "input": msgspec.Raw(one.arguments.encode()),
            }
            for index, one in enumerate(generation.tool_calls)
        ),
    ]


def _message(
    call: DemoCall, content: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"msg_{call.key}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop_reason(call: DemoCall) -> str:
    return "tool_use" if call.generation.tool_calls else "end_turn"


def _input_usage(call: DemoCall) -> dict[str, Any]:
    cached = call.generation.cached_tokens
    return {
        "input_tokens": call.generation.input_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
    }


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    empty, deltas = _unfold(block)
    yield typed_event({"type": "content_block_start", "index": index, "content_block": empty})
    for delta in deltas:
        yield typed_event({"type": "content_block_delta", "index": index, "delta": delta})
    yield typed_event({"type": "content_block_stop", "index": index})


def _unfold(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Turn a content block into the empty one that opens it and the deltas that fill it."""
    match block:
        case {"type": "thinking", "thinking": thought, "signature": signature}:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(thought)]
            deltas.append({"type": "signature_delta", "signature": signature})
            return block | {"thinking": "", "signature": ""}, deltas
        case {"type": "tool_use", "input": arguments}:
            parts = ["", *pieces(bytes(arguments).decode())]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
