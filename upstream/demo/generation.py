"""What the demo reads of a request and what it generates, whatever the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from intercept.apis import Api
from intercept.formats.json_text import as_object, as_text, read_object

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


@dataclass(frozen=True)
class DemoToolCall:
    """One call of a tool, its arguments as JSON text."""

    tool: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Generation:
    """The output of the demo: an optional thought, a text, then any number of tool calls. Counts are tokens."""

    thought: str
    text: str
    tool_calls: tuple[DemoToolCall, ...]
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


@dataclass(frozen=True)
class DemoCall:
    """A request, and what is generated for it.

    Attributes:
        data: The request as it was sent.
        model: The requested model.
        streams: Whether the response is a stream of events.
        generation: What the response says.
        key: Letters and digits that make the ids of a response unique.
        created: When it began, in seconds since 1970.
    """

    data: Mapping[str, Any]
    model: str
    streams: bool
    generation: Generation
    key: str
    created: int

    @classmethod
    def of(cls, api: Api, body: bytes, key: str, created: int) -> DemoCall:
        """Read a request, as the bridge does for its record, and generate something pleasant.

        Raises:
            InvalidRequestError: It is none of the API.
        """
        summary, data = api.parse_request(body), read_object(body)
        prompt = summary.user_prompt.prompt if summary.user_prompt else ""
        calls = tuple(_called_tools(prompt, _tools(data)))
        generation = Generation(
            thought=_THOUGHT if _wants_thought(data) else "",
            text=_text(prompt, summary.answered_tool_call_id, calls),
            tool_calls=calls,
            input_tokens=count_tokens(len(body)),
        )
        return cls(data, summary.model, summary.stream, generation, key, created)


def _tools(data: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of each offered tool by name. Tools that a provider runs itself come without."""
    offered: dict[str, Any] = {}
    given = data.get("tools")
    for tool in map(as_object, given if isinstance(given, list) else ()):
        function = as_object(tool.get("function")) or tool
        if tool.get("type") == "function" or "input_schema" in tool:
            offered[as_text(function.get("name"))] = function.get("parameters", function.get("input_schema"))
    return offered


def _wants_thought(data: Mapping[str, Any]) -> bool:
    """Whether a thought is requested: as thinking of messages, or as a summary of responses."""
    thinking = as_object(data.get("thinking")) or {"type": "disabled"}
    is_shown = thinking.get("type") != "disabled" and thinking.get("display") != "omitted"
    return is_shown or bool(as_object(data.get("reasoning")).get("summary"))


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


def _called_tools(prompt: str, tools: Mapping[str, Any]) -> Iterable[DemoToolCall]:
    for tool, schema in tools.items():
        if tool and re.search(rf"(?<!\w){re.escape(tool)}(?!\w)", prompt):
            arguments = sample(schema)
            yield DemoToolCall(tool, json.dumps(arguments if isinstance(arguments, dict) else {}))


def _text(prompt: str, answered_call: str | None, calls: tuple[DemoToolCall, ...]) -> str:
    if answered_call:
        return _AFTER_CALL.format(_quotable(answered_call))
    if calls:
        return _CALLING.format(" and ".join(_quotable(call.tool) for call in calls))
    quote = [_QUOTE.format(_quotable(prompt))] if prompt else []
    return " ".join([_GREETING, *quote, _FAREWELL])


def _quotable(text: str) -> str:
    return text if len(text) <= QUOTE_LIMIT else text[:QUOTE_LIMIT] + "…"
