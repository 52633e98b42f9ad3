"""Anthropic's dialect: messages, the results of batches of them, and errors.

Source: the Anthropic API reference, "Messages", "Streaming messages", "Retrieve Message Batch results", "Errors" and "Rate
limits".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Literal, Self
from uuid import UUID

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.apis import Dialect, RequestSummary
from intercept.conversations import Item, Items, Part
from intercept.dialects.batch_lines import BatchResult, make_result
from intercept.dialects.drafts import Draft, ThoughtDraft, ToolCallDraft, name_error, read_error
from intercept.dialects.readers import BodyReader, EventDecoder, StreamReader
from intercept.dialects.request_bodies import MAX_MODEL, Wording, decode_request
from intercept.dialects.tool_results import result, results_of_parts
from intercept.formats.json_text import as_object, read_array, read_struct, text_of
from intercept.formats.streams import Event
from intercept.records import TokenUsage, ToolResult
from intercept.tokens import BATCH_TIER, SERVICE_TIER, count, disjoint_tokens, provider_price, storable

MAX_SESSION_HINT: Final = 4 * 1024
"""Characters of `metadata.user_id`; a longer one hints at nothing."""

_INVALID: Final = "invalid_request_error"
_ERRORS: Final = {
    **dict.fromkeys((400, 405, 415, 426), _INVALID),
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    **dict.fromkeys((503, 529), "overloaded_error"),
    504: "timeout_error",
}
_OTHER_ERROR: Final = "api_error"
_UNUSUAL: Final = ((SERVICE_TIER, BATCH_TIER), ("speed", "fast"))
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class AnthropicErrorDetail(Struct):
    """What is wrong, as Anthropic words it."""

    type: str
    message: str


class AnthropicError(Struct):
    """An error of the bridge on the routes of the type `anthropic`."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    message: str
    request_id: UUID

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:  # noqa: ARG003
        """Word the error of an HTTP status."""
        return cls("error", AnthropicErrorDetail(_ERRORS.get(status, _OTHER_ERROR), message), message, request_id)


DIALECT: Final = Dialect(
    name="anthropic",
    error=AnthropicError,
    request_id_header="Request-Id",
    desk_headers="anthropic-ratelimit-",
    ping=b'event: ping\ndata: {"type": "ping"}\n\n',
    paths=re.compile(r"(/anthropic)?(/v1)*/messages|/api/|.*/publishers/anthropic/"),
    models_path="/v1/models",
    check_headers=(("anthropic-version", "2023-06-01"),),
)


class _Metadata(Struct):
    user_id: Raw = Raw()


class _Block(Struct):
    """A content block. `input` stays JSON text, as it was sent."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    thinking: str | None = None
    text: str | None = None


class _Message(Struct):
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


class _Delta(Struct):
    stop_reason: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    text: str | None = None


class _Event(Struct):
    type: str | None = None
    index: int | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_METADATA: Final = Decoder(_Metadata)
_MESSAGE: Final = Decoder(_Message)
_EVENT: Final = Decoder(_Event)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    request = decode_request(body, model)
    messages = Items(read_array(request["messages"]))
    return request.summary_of(messages, _WORDING, session_hint=read_session_hint(request["metadata"]))


def read_session_hint(metadata: Raw) -> str | None:
    """The session in `metadata`, None if there is none."""
    fields = read_struct(metadata, _METADATA)
    hint = text_of(fields.user_id) if fields else ""
    return hint if 0 < len(hint) <= MAX_SESSION_HINT else None


def _results(message: Item) -> Iterator[ToolResult]:
    return results_of_parts(message, tool_result)


def tool_result(part: Part) -> ToolResult | None:
    """The tool result in a part of a message; None if the part is none."""
    if part.type != "tool_result" or not part.tool_use_id:
        return None
    return result(part.tool_use_id, part.content, part.is_error)


def _texts(message: Item) -> list[str]:
    return [message.text, *(block.text for block in message.parts if block.type == "text")]


def _compared(message: Item) -> list[str]:
    return [message.text, *(block.text or block.tool_use_id for block in message.parts)]


_WORDING: Final = Wording(_texts, _compared, _results)


class MessageStream(StreamReader):
    """Reads a stream of events. Each usage replaces the counts it carries: they are running totals."""

    def __init__(self, events: EventDecoder | None = None) -> None:
        super().__init__(events)
        self._usage: dict[str, Any] = {}
        self._open_blocks = 0

    def _add_event(self, event: Event) -> None:
        data = read_struct(event.data, _EVENT)
        if data is None:
            return
        match data.type or event.name:
            case "content_block_delta":
                self._add_delta(data.index or 0, data.delta or _Delta())
            case "message_start":
                message = data.message or _Message()
                self._draft.identify(message.id)
                self._add_usage(message.usage)
            case "content_block_stop":
                self._open_blocks = max(self._open_blocks - 1, 0)
                self._draft.between_parts = not self._open_blocks
            case "content_block_start":
                self._open_blocks += 1
                self._draft.between_parts = False
                _add_block(data.content_block or _Block(), data.index or 0, self._draft)
            case "message_delta":
                self._add_usage(data.usage)
                self._draft.complete = self._draft.complete or self._stops(data.delta or _Delta())
            case "message_stop":
                self._draft.complete = True
            case "error":
                self._draft.fail(read_error(data.error) or name_error(message="error"))

    def _stops(self, delta: _Delta) -> bool:
        """Say whether a delta ends the message: clients wait for nothing more, and some servers send no message_stop."""
        return bool(delta.stop_reason) and not self._open_blocks

    def _add_delta(self, index: int, delta: _Delta) -> None:
        part = self._draft.part(index)
        if isinstance(part, ToolCallDraft):
            part.input.add(delta.partial_json)
        elif isinstance(part, ThoughtDraft):
            part.text.add(delta.thinking)
        else:
            self._draft.text.add(delta.text)

    def _add_usage(self, usage: Raw) -> None:
        counts = {name: value for name, value in self._draft.read_usage(usage).items() if value is not None}
        merged = {**self._usage, **counts}
        self._usage = storable(merged) or {
            name: merged[name] for name in _COUNTS if count(merged.get(name)) is not None
        }
        _add_tokens(self._usage, self._draft)


def add_body(body: bytes, draft: Draft) -> bool:
    """Add a blocking message to a draft; return whether it is one whole JSON object."""
    message = read_struct(body, _MESSAGE)
    if message is None:
        return False
    draft.identify(message.id)
    draft.fail(read_error(message.error))
    _add_tokens(draft.read_usage(message.usage), draft)
    for index, block in enumerate(message.content or ()):
        _add_block(block, index, draft)
    return True


def _add_block(block: _Block, index: int, draft: Draft) -> None:
    """Add a content block. Those of server tools and redacted thoughts are not recorded."""
    if block.type == "tool_use" and (call := draft.begin_tool_call(index)):
        call.identify(block.id, block.name)
        call.initial.add(bytes(block.input).decode("utf-8", "replace"))
    elif block.type == "thinking" and (thought := draft.begin_thought(index, "thinking")):
        thought.text.add(block.thinking)
    elif block.type == "text":
        draft.text.add(block.text)
    else:
        draft.text.interrupt()


def _add_tokens(usage: dict[str, Any], draft: Draft) -> None:
    usages = usages_of(usage)
    draft.further_tokens, draft.tokens = usages[:-1], usages[-1] if usages else None


def usages_of(usage: dict[str, Any]) -> tuple[TokenUsage, ...]:
    """Read the usage of a message, behind what is not in its counts: of compactions of the conversation, and of advisors.

    It is empty where the message has no count. Source: Anthropic, "Advisor tool" (usage and billing).
    """
    if (own := tokens(usage)) is None:
        return ()
    iterations = usage.get("iterations")
    entries = [as_object(entry) for entry in (iterations if isinstance(iterations, list) else ())]
    return *filter(None, [_further_tokens(entry, usage) for entry in entries]), own


def _further_tokens(iteration: dict[str, Any], usage: dict[str, Any]) -> TokenUsage | None:
    """Read an entry: its tier is that of the message, and so is the speed of a compaction, which is made by the same model."""
    tier, speed = ({name: value} if usage.get(name) == value else {} for name, value in _UNUSUAL)
    match iteration:
        case {"type": "compaction"}:
            return tokens(iteration | tier | speed)
        case {"type": "advisor_message", "model": str(model)} if model and (used := tokens(iteration | tier)):
            return replace(used, model=model[:MAX_MODEL])
    return None


def tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read the usage of a message; None where it has no count."""
    return disjoint_tokens(usage, _COUNTS, provider_price(usage))


class _Result(Struct):
    type: str = ""
    message: _Message = field(default_factory=_Message)


class _Line(Struct):
    custom_id: str = ""
    result: _Result = field(default_factory=_Result)


_LINE: Final = Decoder(_Line)


def read_line(line: bytes) -> BatchResult | None:
    """Read a line of a batch's results; None for a request that got no message, or one without tokens."""
    result_line = read_struct(line, _LINE)
    if result_line is None or result_line.result.type != "succeeded":
        return None
    message = result_line.result.message
    return make_result(result_line.custom_id, message.id or "", message.model or "", message.usage, usages_of)


stream_reader: Final = MessageStream
body_reader: Final = partial(BodyReader, add_body)
