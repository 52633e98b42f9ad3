"""Requests to Amazon Bedrock, of Converse and of InvokeModel. Their path names the model.

The bodies of InvokeModel are those of the models' own APIs: of Claude messages, of Amazon Nova the same as Converse's, of
others a text under `prompt` or `inputText`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.callers.conversations import read_conversation
from intercept.callers.tags import metadata_tags
from intercept.dialects.anthropic import read_session_hint, tool_result
from intercept.dialects.request_bodies import RequestBody, decode_request, known_blocks, last_message
from intercept.dialects.tool_results import answered_call, read_results, result, results_of_parts
from intercept.formats.json_text import read_array, read_struct, text_of
from intercept.items import Item, Items, Part
from intercept.records import ToolResult


class _Request(RequestBody):
    messages: Raw = field(default_factory=Raw)
    metadata: Raw = field(default_factory=Raw)
    prompt: Raw = field(default_factory=Raw)
    inputText: Raw = field(default_factory=Raw)  # noqa: N815 - as Amazon Titan has it


class _ToolResult(Struct):
    id: str = field(default="", name="toolUseId")
    status: str = ""
    content: Raw = field(default_factory=Raw)


_TOOL_RESULT: Final = Decoder(_ToolResult)
_ERROR: Final = "error"


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    request = decode_request(body, _Request, model)
    raw = read_array(request.messages)
    messages = Items(raw)
    last = last_message(messages)
    message = last if last and last.role == "user" else None
    parts = message.parts if message else []
    texts = [message.text if message else "", *map(_text, parts)]
    return request.summary(
        [text_of(request.prompt), text_of(request.inputText), *texts],
        answered_tool_call_id=answered_call(last, _results),
        session_hint=read_session_hint(request.metadata),
        tags=metadata_tags(request.metadata),
        conversation=read_conversation(messages, _conversation_texts),
        tool_results=read_results(messages, _results),
        blocks=known_blocks(body, request, raw),
    )


def _results(message: Item, _raw: Raw) -> Iterator[ToolResult]:
    return results_of_parts(message, _result)


def _result(part: Part) -> ToolResult | None:
    """The result of a tool call that a part is; of InvokeModel, Claude's are those of its messages."""
    found = read_struct(part.tool_result, _TOOL_RESULT)
    if found is None or not found.id:
        return tool_result(part)
    return result(found.id, found.content, found.status == _ERROR)


def _conversation_texts(message: Item) -> list[str]:
    return [message.text, *(part.text or _tool_result_id(part) for part in message.parts)]


def _text(part: Part) -> str:
    """The text of a part. Converse's have no type."""
    return part.text if part.type in {"", "text"} else ""


def _tool_result_id(part: Part) -> str:
    """The id of the tool call whose result a part is, "" if it is none."""
    if part.tool_use_id:
        return part.tool_use_id
    found = read_struct(part.tool_result, _TOOL_RESULT)
    return found.id if found else ""
