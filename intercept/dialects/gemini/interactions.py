"""Responses of Google's interactions, blocking and streamed: a list of steps.

Source: the reference of the Gemini API, "Interactions API" and "Streaming interactions".
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.dialects.drafts import Draft, ThoughtDraft, ToolCallDraft, name_error, read_error
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import MAX_MODEL, UNNAMED_MODEL
from intercept.formats.json_text import read_struct
from intercept.formats.streams.sse import Event
from intercept.records import TokenUsage
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
