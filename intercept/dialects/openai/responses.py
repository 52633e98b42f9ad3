"""OpenAI's responses: `POST /v1/responses`.

Source: the OpenAI API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.conversations import Item, Items, conversation_id
from intercept.dialects.drafts import MAX_NAME, Draft, ThoughtDraft, ToolCallDraft, name_error, read_error
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import (
    MAX_MODEL,
    UNNAMED_MODEL,
    Wording,
    decode_request,
)
from intercept.dialects.tool_results import results_of_item
from intercept.formats.json_text import read_array, read_last_members, read_members, read_struct, starts_with, text_of
from intercept.formats.streams import Event
from intercept.tokens import openai_tokens

_CONTAINER: Final = "container_reference"
"""The environment of a shell that the provider runs."""
# The last: a request over a WebSocket that steers a response, and has none of its own.
_TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.steer.pending"})
_ENDED: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})

_EVENT_END: Final = re.compile(rb'\}\s*(?:,\s*"sequence_number"\s*:\s*\d+\s*)?\}\s*\Z')

_NOTHING: Final = (b"", b"null")


class _Part(Struct):
    """A part of a message or a summary. A message in which the model declines has `refusal`."""

    text: str | None = None
    refusal: str | None = None


class _Environment(Struct):
    type: str | None = None


class _Item(Struct):
    """An output item, begun or finished. A function call has `arguments`, one of a custom tool `input`, others an object.

    `environment` is where a shell runs.
    """

    type: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    action: Raw = Raw()
    actions: Raw = Raw()
    operation: Raw = Raw()
    environment: _Environment | None = None
    summary: list[_Part] | None = None
    content: list[_Part] | None = None
    phase: str | None = None


class _Response(Struct):
    id: str | None = None
    model: str | None = None
    background: bool | None = None
    error: Raw = Raw()
    status: str | None = None
    usage: Raw = Raw()
    service_tier: str | None = None
    output: list[_Item] | None = None


class _Event(Struct):
    type: str | None = None
    response: _Response | None = None
    item: _Item | None = None
    output_index: int | None = None
    summary_index: int | None = None
    content_index: int | None = None
    delta: str | None = None
    error: Raw = Raw()
    code: str | None = None
    message: str | None = None


_RESPONSE: Final = Decoder(_Response)
_EVENT: Final = Decoder(_Event)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    request = decode_request(body, model)
    given = request["input"]
    raw = read_array(given) if starts_with(given, b"[") else []
    # Unless the request declines, the provider stores the response.
    is_stored = not request.is_("store", b"false")
    return request.summary_of(
        text_of(given) if starts_with(given, b'"') else Items(raw),
        _WORDING,
        blocks=[given] if starts_with(given, b'"') else raw,
        added_tools=_added_tools(given, raw),
        conversation_id=conversation_id(request["conversation"], request["prompt_cache_key"]),
        previous_response_id=request.text("previous_response_id")[:MAX_NAME] or None,
        uses_state=is_stored or request.has_any("conversation", "previous_response_id"),
        in_background=request.is_("background", b"true"),
    )


def _added_tools(given: Raw, items: list[Raw]) -> Iterator[Raw]:
    """The tools of input items: `additional_tools`, and what a search for tools gave."""
    whole = bytes(given)
    if b'"tools"' not in whole and b"\\u00" not in whole:  # the name may be written with escapes
        return
    for raw in items:
        data = bytes(raw)
        if starts_with(raw, b"{") and (b'"tools"' in data or b"\\u00" in data):
            yield from [value for name, value in read_members(raw).items() if str(name) == "tools"]


def _compared(item: Item) -> list[str]:
    return [item.call_id, _text(item)]


def _texts(item: Item) -> list[str]:
    return [_text(item)]


def _text(item: Item) -> str:
    return item.text or "\n".join(part.text for part in item.parts if part.type == "input_text")


_WORDING: Final = Wording(_texts, _compared, results_of_item)


class _Stream(StreamReader):
    """Reads a stream of events.

    Output items are assembled from their deltas, so that a cut stream keeps what came; the finished item replaces what
    was assembled, and the finished response, where it lists its output, replaces all items.
    """

    def _add_event(self, event: Event) -> None:
        if event.oversized:
            # The members behind the usage are small, and the event ends behind the response.
            if response := read_last_members(_EVENT_END.sub(b"}", event.data), "usage", _RESPONSE):
                _add_response(response, self._draft)
            self._end(event.name)
        elif data := read_struct(event.data, _EVENT):
            self._add_known(data.type or event.name, data)

    def _add_known(self, kind: str, data: _Event) -> None:
        draft, index = self._draft, data.output_index or 0
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                _add_text_delta(data.delta, draft.part((index, data.content_index or 0)), index, draft)
            case "response.output_item.added" | "response.output_item.done":
                draft.between_parts = kind.endswith("done")
                if data.item:
                    _add_item(data.item, index, draft)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                _add(data.delta, draft.part((index, 0)))
            case "response.reasoning_summary_text.delta":
                key = (index, data.summary_index or 0)
                _add(data.delta, draft.part(key) or draft.begin_thought(key, "reasoning_summary"))
            case "response.reasoning_text.delta":
                draft.add_reasoning((index, data.content_index or 0), data.delta)
            case "error" | "response.steer.failed":
                draft.fail(read_error(data.error) or name_error(data.code, data.message))
            case _:
                if data.response:
                    _add_response(data.response, draft)
                self._end(kind)

    def _end(self, kind: str) -> None:
        if kind in _TERMINAL:
            self._draft.complete = True
        if kind == "response.failed":
            self._draft.fail(name_error(message=kind))


def _add_body(body: bytes, draft: Draft) -> bool:
    response = read_struct(body, _RESPONSE)
    if response is None:
        return False
    _add_response(response, draft)
    return True


def _add_response(response: _Response, draft: Draft) -> None:
    draft.identify(response.id, response.model)
    draft.fail(read_error(response.error))
    if response.status == "failed":
        draft.fail(name_error(message="response.failed"))
    if response.background and response.status in _ENDED:
        draft.background_model = (response.model or UNNAMED_MODEL)[:MAX_MODEL]
    usage = draft.read_usage(response.usage, response.service_tier)
    draft.tokens = openai_tokens(usage, "input", "output") or draft.tokens
    if response.output:
        draft.clear_parts()
        for index, item in enumerate(response.output):
            _add_item(item, index, draft)
            if draft.truncated and draft.is_full:  # nothing of the others is kept
                break


def _add_item(item: _Item, index: int, draft: Draft) -> None:
    """Add an output item. Calls of server tools (web search, MCP ..) are not recorded."""
    match item.type:
        case "function_call" | "custom_tool_call":
            if call := draft.begin_tool_call((index, 0)):
                call.identify(item.call_id, item.name)
                call.input.add(item.arguments or item.input)
        case "local_shell_call" | "computer_call" | "apply_patch_call":
            _add_built_in(item, index, draft)
        case "shell_call" if item.environment is None or item.environment.type != _CONTAINER:
            _add_built_in(item, index, draft)
        case "reasoning" if item.summary:
            _add_thoughts(item.summary, index, "reasoning_summary", draft)
        case "reasoning":  # models of one's own show all of it
            _add_thoughts(item.content or [], index, "reasoning", draft)
        case "message" if item.phase == "commentary":
            _add_thoughts(item.content or [_Part()], index, "commentary", draft)
        case "message" if draft.text.begin(index):
            for part in item.content or ():
                draft.text.add(part.text or part.refusal)


def _add_built_in(item: _Item, index: int, draft: Draft) -> None:
    """Add a call of a tool that OpenAI declares and the client runs."""
    if call := draft.begin_tool_call((index, 0)):
        given = (each for each in (item.action, item.actions, item.operation) if bytes(each) not in _NOTHING)
        call.identify(item.call_id, (item.type or "").removesuffix("_call"))
        call.input.add(bytes(next(given, b"")).decode("utf-8", "replace"))


def _add_text_delta(delta: str | None, part: ToolCallDraft | ThoughtDraft | None, index: int, draft: Draft) -> None:
    """Add to a commentary, or to the text of the response."""
    if part is not None:
        _add(delta, part)
    else:
        draft.text.begin(index)
        draft.text.add(delta)


def _add_thoughts(parts: list[_Part], index: int, source: str, draft: Draft) -> None:
    for part_index, part in enumerate(parts):
        _add(part.text, draft.begin_thought((index, part_index), source))


def _add(text: str | None, part: ToolCallDraft | ThoughtDraft | None) -> None:
    if isinstance(part, ToolCallDraft):
        part.input.add(text)
    elif part:
        part.text.add(text)


stream_reader: Final = _Stream
body_reader: Final = partial(BodyReader, _add_body)
