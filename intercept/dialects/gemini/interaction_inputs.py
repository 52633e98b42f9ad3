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
from intercept.callers.conversations import read_conversation
from intercept.callers.tags import metadata_tags
from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.request_bodies import MAX_MODEL, RequestBody, decode_request, known_blocks, last_message
from intercept.dialects.tool_results import answered_call, read_results, result
from intercept.formats.json_text import read_array, read_struct, starts_with, text_of
from intercept.items import Item, Items
from intercept.records import ToolResult

_DECLINED: Final = b"false"
_NOTHING: Final = (b"", b"null")
_USER: Final = "user_input"
_RESULT: Final = "function_result"
_OF_MODEL: Final = ("model_output", "thought")
_OF_TOOLS: Final = ("_call", "_result")
"""How the types of steps end that are a call of a tool, or what it gave."""


class _Request(RequestBody):
    """`agent` is in the place of `model` where an agent of Google's is asked. Some names may be written in either way."""

    agent: Raw = field(default_factory=Raw)
    input: Raw = field(default_factory=Raw)
    previous_interaction_id: Raw = field(default_factory=Raw)
    previousInteractionId: Raw = field(default_factory=Raw)  # noqa: N815 - the member's name
    environment: Raw = field(default_factory=Raw)
    continuation_token: Raw = field(default_factory=Raw)
    continuationToken: Raw = field(default_factory=Raw)  # noqa: N815 - the member's name
    store: Raw = field(default_factory=Raw)
    background: Raw = field(default_factory=Raw)
    labels: Raw = field(default_factory=Raw)

    @property
    def named(self) -> str:
        """The model or the agent."""
        return self.model or text_of(self.agent)

    @property
    def other_models(self) -> tuple[str, ...] | None:
        """What is named beside that; None if it cannot be read."""
        others, agent = super().other_models, text_of(self.agent)
        if others is None or agent in ("", self.model):
            return others
        return (agent, *others) if len(agent) <= MAX_MODEL else None

    @property
    def previous_id(self) -> str:
        """The interaction that it goes on with."""
        return text_of(self.previous_interaction_id) or text_of(self.previousInteractionId)

    @property
    def uses_state(self) -> bool:
        """Whether the provider stores the interaction (the default), or it goes on with what is stored."""
        others = self.environment, self.continuation_token, self.continuationToken
        is_kept = bytes(self.store) != _DECLINED
        return is_kept or bool(self.previous_id) or any(bytes(one) not in _NOTHING for one in others)


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
    request = decode_request(body, _Request, model)
    items, raw = _items_of(request.input)
    last = None if isinstance(items, str) else last_message(items)
    texts = [items] if isinstance(items, str) else _texts(last) if last and last.role == "user" else []
    return request.summary(
        texts,
        answered_tool_call_id=answered_call(last, _results),
        conversation=read_conversation(items, _conversation_texts),
        tags=metadata_tags(request.labels),
        previous_response_id=request.previous_id[:MAX_NAME] or None,
        uses_state=request.uses_state,
        in_background=bytes(request.background) == b"true",
        tool_results=read_results(items, _results),
        blocks=known_blocks(body, request, raw),
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


def _conversation_texts(item: Item) -> list[str]:
    return [item.call_id, *_texts(item)]
