"""Messages, as in https://docs.anthropic.com/en/api/messages and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from upstream.demo.api_call import ApiCall, Content, last_message, last_text, typed_event
from upstream.demo.errors import anthropic_error
from upstream.demo.generation import GenerationRequest, count_tokens, pieces


class _Tool(Struct, frozen=True):
    name: str = ""
    input_schema: Any = None


class _Message(Struct, frozen=True):
    role: str
    content: Content

    @property
    def tool_result_id(self) -> str:
        parts = self.content if isinstance(self.content, list) else []
        return next((part.tool_use_id for part in reversed(parts) if part.type == "tool_result"), "")


class _Thinking(Struct, frozen=True):
    type: str = "disabled"
    display: str | None = None


class _Counted(Struct, frozen=True):
    model: str
    messages: list[_Message]


class _Request(_Counted, frozen=True, kw_only=True):
    max_tokens: int
    stream: bool | None = False
    thinking: _Thinking | None = None
    tools: list[_Tool] = field(default_factory=list)

    def generation_request(self, size: int) -> GenerationRequest:
        last = last_message(self.messages, _Message("", ""))
        thinking = self.thinking or _Thinking()
        return GenerationRequest(
            size=size,
            prompt=last_text(last.content) if last.role == "user" else "",
            tool_result_id=last.tool_result_id,
            # Tools that the provider runs itself come without a schema.
            tools={tool.name: tool.input_schema for tool in self.tools if tool.input_schema is not None},
            wants_thought=thinking.type != "disabled" and thinking.display != "omitted",
        )


_COUNTED_DECODER = msgspec.json.Decoder(_Counted)


def token_count(raw: bytes) -> dict[str, int]:
    """The response of `count_tokens` to a body.

    Raises:
        msgspec.DecodeError: the body has no model or no messages.
    """
    _COUNTED_DECODER.decode(raw)
    return {"input_tokens": count_tokens(len(raw))}


class Message(ApiCall):
    """One message."""

    decoder = msgspec.json.Decoder(_Request)

    def body(self) -> dict[str, Any]:
        """The `message` object."""
        usage = self._input_usage | {"output_tokens": self._generation.output_tokens, "service_tier": "standard"}
        return self._message(self._content(), self._stop_reason, usage)

    def events(self) -> Iterator[bytes]:
        """The empty message, each content block with its deltas, the reason to stop with the usage, and the stop."""
        usage = self._input_usage | {"output_tokens": 1, "service_tier": "standard"}
        yield typed_event({"type": "message_start", "message": self._message([], None, usage)})
        yield typed_event({"type": "ping"})
        for index, block in enumerate(self._content()):
            yield from _block_events(index, block)
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        usage = self._input_usage | {"output_tokens": self._generation.output_tokens}
        yield typed_event({"type": "message_delta", "delta": delta, "usage": usage})
        yield typed_event({"type": "message_stop"})

    def error_event(self, number: int) -> bytes:  # noqa: ARG002 - these events are not numbered
        """The `error` event of an overloaded provider."""
        return typed_event(anthropic_error(529, request_id=f"req_{self._stamp.key}"))

    def _content(self) -> list[dict[str, Any]]:
        generation = self._generation
        thought = {"type": "thinking", "thinking": generation.thought, "signature": f"demo{self._stamp.key}"}
        return [
            *([thought] if generation.thought else []),
            {"type": "text", "text": generation.text},
            *(
                {
                    "type": "tool_use",
                    "id": f"toolu_{self._stamp.key}{index}",
                    "name": call.tool,
                    "input": msgspec.Raw(call.arguments.encode()),
                }
                for index, call in enumerate(generation.tool_calls)
            ),
        ]

    def _message(self, content: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"msg_{self._stamp.key}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }

    @property
    def _stop_reason(self) -> str:
        return "tool_use" if self._generation.tool_calls else "end_turn"

    @property
    def _input_usage(self) -> dict[str, Any]:
        cached = self._generation.cached_tokens
        return {
            "input_tokens": self._generation.input_tokens - cached,
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
