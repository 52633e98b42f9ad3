"""What the demo reads of a request and what it generates, without the shape that an API gives to either."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

QUOTE_LIMIT = 200
"""Characters of the prompt that are quoted back."""

SAMPLE_DEPTH = 8
"""Nested objects that made-up tool arguments go down to."""

_CHARACTERS_PER_TOKEN = 4

_THOUGHT = "Someone wants to see a stream. I will say what this is, and quote the question back."
_GREETING = (
    "Hello from the demo provider of AI Bridge. No model wrote this and nothing left your machine: "
    "the bridge relays these words one event at a time, as it would for any provider."
)
_QUOTE = "You asked: “{}”."
_FAREWELL = (
    "Look at /api/v2/aibridge/interceptions with the same token to see what was recorded of this exchange: "
    "your prompt, the tokens, and how it ended."
)
_CLOCK, _CLOCK_END = "<current_datetime>", "</current_datetime>"
_CALLING = "You named {}, so here is how a model would call it."
_AFTER_CALL = "Thank you, the result of tool call {} has arrived. A model would now put it into words."

_SAMPLES: Mapping[str, Any] = {
    "string": "demo",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """The request in the terms that all APIs share.

    `size` is its body in bytes, `tools` the JSON schema of each offered tool by name.
    """

    size: int
    prompt: str = ""
    tool_result_id: str = ""
    tools: Mapping[str, Any] = field(default_factory=dict)
    wants_thought: bool = False


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, its arguments as JSON text."""

    tool: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Generation:
    """The output of the demo: an optional thought, a text, then any number of tool calls. Counts are tokens."""

    thought: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    input_tokens: int

    @property
    def cached_tokens(self) -> int:
        """The part of the input that counts as read from a cache."""
        return self.input_tokens // 2

    @property
    def thought_tokens(self) -> int:
        """The part of the output that was thought."""
        return count_tokens(len(self.thought))

    @property
    def output_tokens(self) -> int:
        """All of the output, thoughts included."""
        texts = (self.text, *(call.tool + call.arguments for call in self.tool_calls))
        return self.thought_tokens + sum(count_tokens(len(text)) for text in texts)


def generate(request: GenerationRequest) -> Generation:
    """Generate something pleasant for any request."""
    calls = tuple(_called_tools(request))
    return Generation(
        thought=_THOUGHT if request.wants_thought else "",
        text=_text(request, calls),
        tool_calls=calls,
        input_tokens=count_tokens(request.size),
    )


def count_tokens(characters: int) -> int:
    """Tokens in so many characters: a quarter, rounded up."""
    return -(-characters // _CHARACTERS_PER_TOKEN)


def pieces(text: str) -> Iterable[str]:
    """Cut a text into words that carry the space after them, so that joining them gives the text again."""
    return re.findall(r"\s*\S+\s*|\s+", text)


def sample(schema: Any, depth: int = SAMPLE_DEPTH) -> Any:
    """Make up a value for a JSON schema; anything at all may be passed, what is not understood becomes a string.

    Args:
        schema: a JSON schema (https://json-schema.org/draft/2020-12/json-schema-validation).
        depth: how many nested objects to fill; deeper ones stay empty.
    """
    match schema:
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"properties": dict(properties)}:
            return {name: sample(value, depth - 1) for name, value in properties.items()} if depth else {}
        case {"type": str(kind)} | {"type": [str(kind), *_]}:
            return _SAMPLES.get(kind, "demo")
        case _:
            return "demo"


def _called_tools(request: GenerationRequest) -> Iterable[ToolCall]:
    for tool, schema in request.tools.items():
        if tool and re.search(rf"(?<!\w){re.escape(tool)}(?!\w)", request.prompt):
            arguments = sample(schema)
            yield ToolCall(tool, json.dumps(arguments if isinstance(arguments, dict) else {}))


def _text(request: GenerationRequest, calls: tuple[ToolCall, ...]) -> str:
    if request.tool_result_id:
        return _AFTER_CALL.format(_quotable(request.tool_result_id))
    if calls:
        return _CALLING.format(" and ".join(_quotable(call.tool) for call in calls))
    prompt = _without_clock(request.prompt)
    quote = [_QUOTE.format(_quotable(prompt))] if prompt else []
    return " ".join([_GREETING, *quote, _FAREWELL])


def _without_clock(prompt: str) -> str:
    """The prompt without the time that GitHub Copilot puts before it."""
    if not prompt.startswith(_CLOCK):
        return prompt
    return prompt.partition(_CLOCK_END)[2].lstrip() or prompt


def _quotable(text: str) -> str:
    return text if len(text) <= QUOTE_LIMIT else text[:QUOTE_LIMIT] + "…"
