"""Chat completions, as in https://platform.openai.com/docs/api-reference/chat and its streaming page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field
from msgspec.json import Decoder

from upstream.demo.api_call import ApiCall, Content, data_event, last_message, last_text
from upstream.demo.errors import openai_error
from upstream.demo.generation import Generation, GenerationRequest, ToolCall, pieces


class _Function(Struct, frozen=True):
    name: str = ""
    parameters: Any = None


class _Tool(Struct, frozen=True):
    function: _Function = _Function()


class _Message(Struct, frozen=True):
    role: str = ""
    content: Content = None
    tool_call_id: str = ""


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class _Request(Struct, frozen=True):
    model: str
    messages: list[_Message]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] = field(default_factory=list)

    def generation_request(self, size: int) -> GenerationRequest:
        last = last_message(self.messages, _Message())
        return GenerationRequest(
            size=size,
            prompt=last_text(last.content) if last.role == "user" else "",
            tool_result_id=last.tool_call_id if last.role == "tool" else "",
            tools={tool.function.name: tool.function.parameters for tool in self.tools},
        )


class ChatCompletion(ApiCall):
    """One chat completion."""

    decoder = Decoder(_Request)

    def body(self) -> dict[str, Any]:
        """The `chat.completion` object."""
        calls = [
            self._tool_call(index, call.tool, call.arguments) for index, call in enumerate(self._generation.tool_calls)
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self._generation.text,
            "refusal": None,
            "annotations": [],
        }
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return self._envelope("chat.completion", [choice]) | {"usage": _usage(self._generation)}

    def events(self) -> Iterator[bytes]:
        """The role, the text, the tool calls, the reason to stop, the usage where requested, and `[DONE]`."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in pieces(self._generation.text):
            yield self._chunk({"content": piece})
        for index, call in enumerate(self._generation.tool_calls):
            yield from self._tool_call_chunks(index, call)
        yield self._chunk({}, self._finish_reason)
        if self._includes_usage:
            yield data_event(self._envelope("chat.completion.chunk", []) | {"usage": _usage(self._generation)})
        yield b"data: [DONE]\n\n"

    def error_event(self, number: int) -> bytes:  # noqa: ARG002 - these events are not numbered
        """An error in place of a chunk."""
        return data_event(openai_error(500))

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._includes_usage else {}
        return data_event(self._envelope("chat.completion.chunk", [choice]) | usage)

    def _tool_call_chunks(self, index: int, call: ToolCall) -> Iterator[bytes]:
        yield self._chunk({"tool_calls": [{"index": index} | self._tool_call(index, call.tool, "")]})
        for piece in pieces(call.arguments):
            yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def _tool_call(self, index: int, tool: str, arguments: str) -> dict[str, Any]:
        call_id = f"call_{self._stamp.key}{index}"
        return {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._stamp.key}",
            "object": kind,
            "created": self._stamp.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
            "choices": choices,
        }

    @property
    def _includes_usage(self) -> bool:
        options = self._request.stream_options
        return bool(options and options.include_usage)

    @property
    def _finish_reason(self) -> str:
        return "tool_calls" if self._generation.tool_calls else "stop"


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
