"""Requests of Google's interactions: `POST /v1beta/interactions`.

The input is a text, the contents of one message, or steps: what the user, the model and tools said before. Source: the
reference of the Gemini API, "Interactions API".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.request_bodies import Wording, decode_request
from intercept.dialects.tool_results import result
from intercept.formats.json_text import read_array, read_struct, starts_with, text_of
from intercept.items import Item, Items
from intercept.records import ToolResult

_USER: Final = "user_input"
_RESULT: Final = "function_result"
_OF_MODEL: Final = ("model_output", "thought")
_OF_TOOLS: Final = ("_call", "_result")
"""How the types of steps end that are a call of a tool, or what it gave."""


class _Input(Struct):
    """An item of the input: a step, a content, or a message with a role."""

    type: str = ""
    role: str = ""
    text: str = ""
    content: Raw = field(default_factory=Raw)
    call_id: str = ""
    result: Raw = field(default_factory=Raw)
    is_error: bool = False

    @property
    def is_content(self) -> bool:
        """Whether it is a part of one message."""
        return not (self.role or self.type == _USER or self.type in _OF_MODEL or self.type.endswith(_OF_TOOLS))


_INPUT: Final = Decoder(_Input)


class _Inputs(Items):
    """The input as items of a conversation."""

    def _decode(self, raw: Raw) -> Item:
        step = read_struct(raw, _INPUT) or _Input()
        if step.is_content:
            return Item(role="user", content=Raw(b"[%b]" % bytes(raw)))
        if step.type in (_USER, _RESULT):
            return Item(role="user", type=step.type, content=step.content, call_id=step.call_id)
        return Item(role=step.role or "model", content=step.content)


class _Message(Items):
    """Contents without steps: the one message of a user."""

    def __init__(self, contents: Raw) -> None:
        super().__init__([contents])

    def _decode(self, raw: Raw) -> Item:
        return Item(role="user", content=raw)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says. The model is the agent where one is asked."""
    request = decode_request(body, model, other_name="agent")
    items, blocks = _items_of(request["input"])
    previous = request.text("previous_interaction_id", "previousInteractionId")
    # Unless the request declines, the provider stores the interaction.
    is_stored = not request.is_("store", b"false")
    goes_on = bool(previous) or request.has_any("environment", "continuation_token", "continuationToken")
    return request.summary_of(
        items,
        _WORDING,
        blocks=blocks,
        tags="labels",
        previous_response_id=previous[:MAX_NAME] or None,
        uses_state=is_stored or goes_on,
        in_background=request.is_("background", b"true"),
    )


def _items_of(given: Raw) -> tuple[Items | str, list[Raw]]:
    """The input as a text, or as items beside their bytes."""
    if starts_with(given, b"{"):
        return _Message(Raw(b"[%b]" % bytes(given))), [given]
    contents = read_array(given)
    if not contents:
        return text_of(given), [given] if starts_with(given, b'"') else []
    first = read_struct(contents[0], _INPUT) or _Input()
    return (_Message(given) if first.is_content else _Inputs(contents)), contents


def _results(item: Item, raw: Raw) -> Iterator[ToolResult]:
    """The result that a step is, if it is one."""
    if item.type == _RESULT and item.call_id:
        step = read_struct(raw, _INPUT) or _Input()
        yield result(item.call_id, step.result, step.is_error)


def _texts(item: Item) -> list[str]:
    return [item.text] if item.text else [part.text for part in item.parts if part.type == "text"]


def _compared(item: Item) -> list[str]:
    return [item.call_id, *_texts(item)]


_WORDING: Final = Wording(_texts, _compared, _results)
