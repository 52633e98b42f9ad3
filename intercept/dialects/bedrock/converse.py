"""Amazon Bedrock's Converse (`POST /model/{model}/converse` and `../converse-stream`), and the requests of both APIs.

The path of a request names the model. The bodies of InvokeModel are those of the models' own APIs: of Claude messages, of
Amazon Nova the same as Converse's, of others a text under `prompt` or `inputText`.

Source: the Amazon Bedrock API reference, "Converse", "ConverseStream" and "TokenUsage".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from msgspec import Raw, Struct, field, structs
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.conversations import Item, Items, Part
from intercept.dialects.anthropic import read_session_hint, tool_result
from intercept.dialects.bedrock.dialect import ERROR, BedrockEvents
from intercept.dialects.drafts import Draft, ResponseText, ToolCallDraft, name_error, read_error
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import Wording, decode_request
from intercept.dialects.tool_results import result, results_of_parts
from intercept.formats.json_text import read_array, read_struct
from intercept.formats.streams import Event
from intercept.records import TokenUsage, ToolResult
from intercept.tokens import disjoint_tokens, storable

EVENTS: Final = ("contentBlockStart", "contentBlockDelta", "messageStop", "metadata")
"""The events of a stream that are read."""

_COUNTS: Final = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_SERVER_TOOL: Final = "server_tool_use"


class _ToolUse(Struct, rename="camel"):
    """A tool call, or a delta of one, whose `input` is a piece of JSON text in a string."""

    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: Raw = Raw()


class _ToolInput(Struct):
    input: str | None = None


class _ReasoningText(Struct):
    text: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None


class _Piece(Struct):
    text: str | None = None


class _Citations(Struct):
    """Text with its sources."""

    content: list[_Piece] | None = None


class _Block(Struct, rename="camel"):
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    text: str | None = None
    citations_content: _Citations | None = None


class _Delta(Struct, rename="camel"):
    tool_use: _ToolInput | None = None
    reasoning_content: _ReasoningText | None = None
    text: str | None = None


class _Event(Struct, rename="camel"):
    content_block_index: int | None = None
    start: _Block | None = None
    delta: _Delta | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


class _Message(Struct):
    content: list[_Block] | None = None


class _Output(Struct):
    message: _Message | None = None


class _Response(Struct):
    output: _Output | None = None
    usage: Raw = Raw()


_EVENT: Final = Decoder(_Event)
_RESPONSE: Final = Decoder(_Response)


class _Stream(StreamReader):
    """Reads a stream of events."""

    def __init__(self) -> None:
        super().__init__(BedrockEvents())

    def _add_event(self, event: Event) -> None:
        add_event(event.name, event.data, self._draft)


def add_event(kind: str, data: bytes | Raw, draft: Draft) -> None:
    """Add an event to a draft. After `messageStop` a stream is open-ended, and `metadata` completes it."""
    event = read_struct(data, _EVENT) or _Event()
    index = event.content_block_index or 0
    match kind:
        case "contentBlockDelta":
            _add_delta(event.delta or _Delta(), index, draft)
        case "contentBlockStart":
            _add_block(event.start or _Block(), index, draft)
        case "messageStop":
            draft.open_ended = True
        case "metadata":
            draft.tokens = _tokens(draft.read_usage(event.usage)) or draft.tokens
            draft.complete = True
        case _ if kind == ERROR:
            draft.fail(read_error(event.error) or name_error(message=ERROR))


def add_body(body: bytes, draft: Draft) -> bool:
    """Add a blocking response to a draft; return whether it is one whole JSON object."""
    response = read_struct(body, _RESPONSE)
    if response is None:
        return False
    draft.tokens = _tokens(draft.read_usage(response.usage))
    message = (response.output or _Output()).message or _Message()
    for index, block in enumerate(message.content or ()):
        _add_block(block, index, draft)
    return True


def _add_block(block: _Block, index: int, draft: Draft) -> None:
    """Add a content block. Those of the server's tools and redacted thoughts are not recorded."""
    tool, reasoning = block.tool_use, block.reasoning_content
    if tool and tool.type != _SERVER_TOOL and (call := draft.begin_tool_call(index)):
        call.identify(tool.tool_use_id, tool.name)
        call.initial.add(bytes(tool.input).decode("utf-8", "replace"))
    if reasoning and reasoning.reasoning_text:
        draft.add_reasoning(index, reasoning.reasoning_text.text)
    _add_text(block, draft.text)


def _add_text(block: _Block, text: ResponseText) -> None:
    if block.text is not None:
        text.add(block.text)
    elif block.citations_content:
        for piece in block.citations_content.content or ():
            text.add(piece.text)
    else:
        text.interrupt()


def _add_delta(delta: _Delta, index: int, draft: Draft) -> None:
    if delta.reasoning_content:
        draft.add_reasoning(index, delta.reasoning_content.text)
    part = draft.part(index)
    if delta.tool_use and isinstance(part, ToolCallDraft):
        part.input.add(delta.tool_use.input)
    draft.text.add(delta.text)


def _tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read the counts of a usage object. Amazon Nova calls some of them `..TokenCount` when it is invoked."""
    plain = {name.replace("TokenCount", "Tokens"): value for name, value in usage.items()}
    tokens = disjoint_tokens(plain, _COUNTS)
    return tokens and structs.replace(tokens, usage=storable(usage))


event_stream_reader: Final = _Stream
body_reader: Final = partial(BodyReader, add_body)


class _ToolResult(Struct):
    id: str = field(default="", name="toolUseId")
    status: str = ""
    content: Raw = field(default_factory=Raw)


_TOOL_RESULT: Final = Decoder(_ToolResult)
_ERROR: Final = "error"


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    request = decode_request(body, model)
    return request.summary_of(
        Items(read_array(request["messages"])),
        _WORDING,
        texts=[request.text("prompt"), request.text("inputText")],
        session_hint=read_session_hint(request["metadata"]),
    )


def _results(message: Item) -> Iterator[ToolResult]:
    return results_of_parts(message, _result)


def _result(part: Part) -> ToolResult | None:
    """The result of a tool call that a part is; of InvokeModel, Claude's are those of its messages."""
    found = read_struct(part.tool_result, _TOOL_RESULT)
    if found is None or not found.id:
        return tool_result(part)
    return result(found.id, found.content, found.status == _ERROR)


def _texts(message: Item) -> list[str]:
    """The texts of a user's message. Those of Converse have no type."""
    return [message.text, *(part.text for part in message.parts if part.type in {"", "text"})]


def _compared(message: Item) -> list[str]:
    return [message.text, *(part.text or _tool_result_id(part) for part in message.parts)]


def _tool_result_id(part: Part) -> str:
    """The id of the tool call whose result a part is, "" if it is none."""
    if part.tool_use_id:
        return part.tool_use_id
    found = read_struct(part.tool_result, _TOOL_RESULT)
    return found.id if found else ""


_WORDING: Final = Wording(_texts, _compared, _results)
