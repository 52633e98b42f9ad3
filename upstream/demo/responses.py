"""Responses, as in https://platform.openai.com/docs/api-reference/responses and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from upstream.demo.api_call import ApiCall, Content, last_message, last_text, typed_event
from upstream.demo.errors import openai_error
from upstream.demo.generation import GenerationRequest, pieces

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


class _Tool(Struct, frozen=True):
    type: str = ""
    name: str = ""
    parameters: Any = None


class _Item(Struct, frozen=True):
    type: str = "message"
    role: str = ""
    content: Content = None
    call_id: str = ""


class _Reasoning(Struct, frozen=True):
    summary: str | None = None


class _Request(Struct, frozen=True):
    model: str
    input: str | list[_Item] = ""
    stream: bool | None = False
    reasoning: _Reasoning | None = None
    tools: list[_Tool] = field(default_factory=list)

    def generation_request(self, size: int) -> GenerationRequest:
        items = [_Item(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        last = last_message(items, _Item())
        return GenerationRequest(
            size=size,
            prompt=last_text(last.content) if last.role == "user" else "",
            tool_result_id=last.call_id if last.type == "function_call_output" else "",
            tools={tool.name: tool.parameters for tool in self.tools if tool.type == "function"},
            wants_thought=bool(self.reasoning and self.reasoning.summary),
        )


class Response(ApiCall):
    """One response."""

    decoder = msgspec.json.Decoder(_Request)

    def body(self) -> dict[str, Any]:
        """The completed `response` object."""
        return self._response("completed") | {
            "completed_at": self._stamp.created,
            "output": self._output(),
            "usage": self._usage(),
        }

    def events(self) -> Iterator[bytes]:
        """The response as it begins, each output item as it grows, and the completed response."""
        for number, event in enumerate(self._events()):
            yield _numbered_event(number, event)

    def error_event(self, number: int) -> bytes:
        """The `response.failed` event."""
        error = openai_error(500)["error"]
        failed = self._response("failed") | {"error": {"code": "server_error", "message": error["message"]}}
        return _numbered_event(number, {"type": "response.failed", "response": failed})

    def _events(self) -> Iterator[dict[str, Any]]:
        yield {"type": "response.created", "response": self._response("in_progress")}
        yield {"type": "response.in_progress", "response": self._response("in_progress")}
        for index, item in enumerate(self._output()):
            empty, growth = _unfold(item)
            yield {"type": "response.output_item.added", "output_index": index, "item": empty}
            for event in growth:
                yield event | {"item_id": item["id"], "output_index": index}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": self.body()}

    def _output(self) -> list[dict[str, Any]]:
        generation, key = self._generation, self._stamp.key
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
                    "name": call.tool,
                    "arguments": call.arguments,
                }
                for index, call in enumerate(generation.tool_calls)
            ),
        ]

    def _response(self, status: str) -> dict[str, Any]:
        requested = msgspec.json.decode(self._raw)
        echoed = {name: requested.get(name, default) for name, default in _ECHOED.items()}
        return {
            "id": f"resp_{self._stamp.key}",
            "object": "response",
            "created_at": self._stamp.created,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": [],
            "usage": None,
            "user": None,
        } | echoed

    def _usage(self) -> dict[str, Any]:
        generation = self._generation
        return {
            "input_tokens": generation.input_tokens,
            "input_tokens_details": {"cached_tokens": generation.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": generation.output_tokens,
            "output_tokens_details": {"reasoning_tokens": generation.thought_tokens},
            "total_tokens": generation.input_tokens + generation.output_tokens,
        }


def _numbered_event(number: int, event: dict[str, Any]) -> bytes:
    return typed_event({"type": event["type"], "sequence_number": number} | event)


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
