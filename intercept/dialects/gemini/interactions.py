"""Google's interactions, `POST /v1beta/interactions`: requests, and responses, blocking and streamed.

The input is a text, the contents of one message, or steps: what the user, the model and tools said before. The response is a
list of steps. Source: the reference of the Gemini API, "Interactions API" and "Streaming interactions".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.conversations import Item, Items
from intercept.dialects.drafts import MAX_NAME, Draft, ThoughtDraft, ToolCallDraft, name_error, read_error
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import MAX_MODEL, UNNAMED_MODEL, Wording, decode_request
from intercept.dialects.tool_results import result
from intercept.formats.json_text import read_array, read_struct, starts_with, text_of
from intercept.formats.streams import Event
from intercept.records import TokenUsage, ToolResult
from intercept.tokens import count, google_tokens

_ENDED: Final = frozenset(
    {"completed", "requires_action", "failed", "cancelled", "incomplete", "budget_exceeded", "requires_continuation"}
)
_COMPLETED: Final = "interaction.completed"


class _Content(Struct):
    type: str | None = None
    text: str | None = None


class _Step(Struct):
    """A step of the response. `arguments` stay JSON text, as they were sent."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: Raw = Raw()
    summary: list[_Content] | None = None
    content: list[_Content] | None = None


class _Interaction(Struct):
    id: str | None = None
    model: str | None = None
    agent: str | None = None
    status: str | None = None
    usage: Raw = Raw()
    service_tier: str | None = None
    steps: list[_Step] | None = None
    errors: list[Raw] | None = None
    error: Raw = Raw()


class _Delta(Struct):
    type: str | None = None
    text: str | None = None
    arguments: str | None = None
    content: _Content | None = None


class _Event(Struct):
    event_type: str | None = None
    interaction: _Interaction | None = None
    index: int | None = None
    step: _Step | None = None
    delta: _Delta | None = None
    error: Raw = Raw()


_INTERACTION: Final = Decoder(_Interaction)
_EVENT: Final = Decoder(_Event)


class _Stream(StreamReader):
    """Reads a stream of events. Steps are assembled from their deltas, so that a cut stream keeps what came.

    Of usages only that of the interaction counts, at its end: who fetches one whose stream was cut gets that one again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._model = ""

    def _add_event(self, event: Event) -> None:
        if event.oversized:
            self._draft.complete = self._draft.complete or event.name == _COMPLETED
        elif data := read_struct(event.data, _EVENT):
            self._add_known(data.event_type or event.name, data)

    def _add_known(self, kind: str, data: _Event) -> None:
        draft, index = self._draft, data.index or 0
        match kind:
            case "step.start" | "step.stop":
                draft.between_parts = kind == "step.stop"
                if data.step:
                    _add_step(data.step, index, draft)
            case "step.delta" if data.delta:
                _add_delta(data.delta, index, draft)
            case "error":
                draft.fail(read_error(data.error) or name_error(message=kind))
            case _ if data.interaction:
                self._model = data.interaction.model or data.interaction.agent or self._model
                _add_interaction(data.interaction, draft, self._model)
                draft.complete = draft.complete or data.interaction.status in _ENDED


def _add_body(body: bytes, draft: Draft) -> bool:
    interaction = read_struct(body, _INTERACTION)
    if interaction is None:
        return False
    _add_interaction(interaction, draft, interaction.model or interaction.agent or "")
    return True


def _add_interaction(interaction: _Interaction, draft: Draft, model: str) -> None:
    draft.identify(interaction.id)
    draft.fail(read_error(interaction.error))
    if interaction.status == "failed":
        draft.fail(
            next(filter(None, map(read_error, interaction.errors or ())), name_error(message="interaction failed"))
        )
    if interaction.status in _ENDED:
        draft.background_model = (model or UNNAMED_MODEL)[:MAX_MODEL]
        draft.tokens = tokens(draft.read_usage(interaction.usage, interaction.service_tier)) or draft.tokens
    if interaction.steps:
        draft.clear_parts()
        for index, step in enumerate(interaction.steps):
            _add_step(step, index, draft)
            if draft.truncated and draft.is_full:  # nothing of the others is kept
                break


def _add_step(step: _Step, index: int, draft: Draft) -> None:
    """Add a step, begun or finished. Calls of tools that Google runs (search, code, MCP ..) are not recorded."""
    match step.type:
        case "function_call":
            if call := draft.begin_tool_call(index):
                call.identify(step.id, step.name)
                call.initial.add(bytes(step.arguments).decode("utf-8", "replace"))
        case "thought":
            for summary in step.summary or ():
                _add_thought(summary.text, index, draft)
        case "model_output" if draft.text.begin(index):
            for content in step.content or ():
                draft.text.add(content.text)


def _add_delta(delta: _Delta, index: int, draft: Draft) -> None:
    match delta.type:
        case "arguments_delta" if isinstance(call := draft.part(index), ToolCallDraft):
            call.input.add(delta.arguments)
        case "thought_summary" if delta.content:
            _add_thought(delta.content.text, index, draft)
        case "text":
            draft.text.begin(index)
            draft.text.add(delta.text)


def _add_thought(text: str | None, index: int, draft: Draft) -> None:
    thought = draft.part(index) or draft.begin_thought(index, "thinking")
    if isinstance(thought, ThoughtDraft):
        thought.text.add(text)


def tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read a usage; None without counts. If there is a total, a missing count is zero."""
    names = ("input_", "output_", "thought_", "cached_", "tool_use_", "")
    return google_tokens(usage, [count(usage.get(f"total_{name}tokens")) for name in names])


stream_reader: Final = _Stream
body_reader: Final = partial(BodyReader, _add_body)


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
            return Item(
                "user", step.type, step.content, call_id=step.call_id, output=step.result, is_error=step.is_error
            )
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


def _results(item: Item) -> Iterator[ToolResult]:
    """The result that a step is, if it is one."""
    if item.type == _RESULT and item.call_id:
        yield result(item.call_id, item.output, item.is_error)


def _texts(item: Item) -> list[str]:
    return [item.text] if item.text else [part.text for part in item.parts if part.type == "text"]


def _compared(item: Item) -> list[str]:
    return [item.call_id, *_texts(item)]


_WORDING: Final = Wording(_texts, _compared, _results)
