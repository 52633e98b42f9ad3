"""How the parts of an interception are kept in its document: prompts, usages, tool calls, thoughts and the response. Pure.

Each takes the time when it is made, and what makes ids. `metadata` says what was left out, and how a policy had a text kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID
from zlib import crc32

import msgspec

from intercept.recording import Keep
from intercept.records import ModelResponse, ModelThought, TokenUsage, ToolResult, ToolUsage, UserPrompt
from storage.mongo.codec import binary

USAGE_BYTES = 64 << 10
"""Largest usage object that is kept, in bytes of JSON; its depth is limited to `USAGE_DEPTH`."""

USAGE_DEPTH = 16


def user_prompt(prompt: UserPrompt, new_id: Callable[[], UUID], at: datetime) -> dict[str, Any]:
    """Make a prompt."""
    return {
        "id": binary(new_id()),
        "prompt": prompt.prompt,
        "metadata": {name: True for name in ("truncated", "synthetic") if getattr(prompt, name)} | _kept(prompt),
        "created_at": at,
    }


def token_usage(usage: TokenUsage, new_id: Callable[[], UUID], at: datetime) -> dict[str, Any]:
    """Make a usage."""
    text = _usage_text(usage.usage)
    return {
        "id": binary(new_id()),
        "provider_response_id": usage.provider_response_id,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "source": str(usage.source),
        "metadata": {"truncated": True} if text is None else {"usage": text},
        "created_at": at,
        **({"model": usage.model} if usage.model else {}),
    }


def tool_usage(usage: ToolUsage, new_id: Callable[[], UUID], at: datetime) -> dict[str, Any]:
    """Make a tool call, with a checksum of its input."""
    return {
        "id": binary(new_id()),
        "provider_response_id": usage.provider_response_id,
        "provider_tool_call_id": usage.provider_tool_call_id,
        "server_url": usage.server_url,
        "tool": usage.tool,
        "input": usage.input,
        "injected": usage.injected,
        "invocation_error": usage.invocation_error,
        "metadata": ({"truncated": True} if usage.truncated else {}) | _kept(usage),
        "created_at": at,
        **({"checksum": crc32(usage.input.encode(errors="replace"))} if usage.input else {}),
    }


def tool_result(result: ToolResult) -> dict[str, Any]:
    """Make the document of a tool's result, without its text."""
    return {"id": result.id, "bytes": result.bytes, "is_error": result.is_error}


def model_thought(thought: ModelThought, new_id: Callable[[], UUID], at: datetime) -> dict[str, Any]:
    """Make a thought."""
    return {
        "id": binary(new_id()),
        "content": thought.content,
        "metadata": {"source": thought.source, **({"truncated": True} if thought.truncated else {}), **_kept(thought)},
        "created_at": at,
    }


def model_response(response: ModelResponse) -> dict[str, Any]:
    """Make the text of a response, which has no id."""
    return {"text": response.text, "metadata": ({"truncated": True} if response.truncated else {}) | _kept(response)}


def _kept(text: UserPrompt | ToolUsage | ModelThought | ModelResponse) -> dict[str, str]:
    return {} if text.kept is Keep.FULL else {"recording": text.kept.value}


def _usage_text(usage: dict[str, Any]) -> str | None:
    """Return the object as JSON, None when it is too large, too deep or beyond what can be shown again."""
    try:
        text = msgspec.json.encode(usage) if _is_shallow(usage) else b""
    except (ValueError, OverflowError):
        return None
    return text.decode() if 0 < len(text) <= USAGE_BYTES else None


def _is_shallow(usage: dict[str, Any]) -> bool:
    level: list[Any] = [usage]
    for _ in range(USAGE_DEPTH):
        items = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [item for item in items if isinstance(item, (dict, list))]
        if not level:
            return True
    return False
