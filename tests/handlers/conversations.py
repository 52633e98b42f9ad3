"""One ordinary conversation per API, as the provider sends it: for tests of the relay, which must not care."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Conversation:
    """A request, its response as a stream and as one body, and what is recorded of either."""

    path: str
    request: dict[str, Any]
    stream: bytes
    body: bytes
    tokens: dict[str, int | None]
    prompt: str = "Hello"

    def request_body(self, *, stream: bool) -> bytes:
        # Spacing and order that no encoder of ours would make.
        return json.dumps({"stream": stream} | self.request, indent=3).encode()


def _events(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(
        f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode() for name, data in events
    )


def _data(*chunks: dict[str, Any]) -> bytes:
    return b"".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in chunks)


_USER = [{"role": "user", "content": "Hello"}]
_CHAT = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_CHAT_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 2,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 4},
}
_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
_MESSAGE_USAGE = {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3, "output_tokens": 1}
_RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
_RESPONSE_USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 2,
    "total_tokens": 11,
}
_OUTPUT = [
    {
        "type": "message",
        "id": "item_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Grüße", "annotations": []}],
    }
]
_TOKENS = {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_write_input_tokens": None}

CHAT = Conversation(
    path="/v1/chat/completions",
    request={"model": "m", "messages": _USER, "stream_options": {"include_usage": True}},
    stream=_data(
        _CHAT | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        _CHAT | {"choices": [{"index": 0, "delta": {"content": "Grüße"}, "finish_reason": None}], "usage": None},
        _CHAT | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        _CHAT | {"choices": [], "usage": _CHAT_USAGE},
    )
    + b"data: [DONE]\n\n",
    body=json.dumps(
        _CHAT
        | {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Grüße"}, "finish_reason": "stop"}],
            "usage": _CHAT_USAGE,
        }
    ).encode(),
    tokens=_TOKENS,
)
RESPONSES = Conversation(
    path="/v1/responses",
    request={"model": "m", "input": "Hello"},
    stream=_events(
        ("response.created", {"type": "response.created", "response": _RESPONSE | {"status": "in_progress"}}),
        ("response.output_text.delta", {"type": "response.output_text.delta", "item_id": "item_1", "delta": "Grüße"}),
        (
            "response.completed",
            {
                "type": "response.completed",
                "response": _RESPONSE | {"status": "completed", "output": _OUTPUT, "usage": _RESPONSE_USAGE},
            },
        ),
    ),
    body=json.dumps(_RESPONSE | {"status": "completed", "output": _OUTPUT, "usage": _RESPONSE_USAGE}).encode(),
    tokens=_TOKENS,
)
MESSAGES = Conversation(
    path="/v1/messages",
    request={"model": "m", "max_tokens": 9, "messages": _USER},
    stream=_events(
        ("message_start", {"type": "message_start", "message": _MESSAGE | {"content": [], "usage": _MESSAGE_USAGE}}),
        (
            "content_block_start",
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ),
        (
            "content_block_delta",
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße"}},
        ),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        (
            "message_delta",
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        ),
        ("message_stop", {"type": "message_stop"}),
    ),
    body=json.dumps(
        _MESSAGE
        | {
            "content": [{"type": "text", "text": "Grüße"}],
            "stop_reason": "end_turn",
            "usage": _MESSAGE_USAGE | {"output_tokens": 2},
        }
    ).encode(),
    tokens=_TOKENS | {"cache_write_input_tokens": 3},
)
ALL = (CHAT, RESPONSES, MESSAGES)
