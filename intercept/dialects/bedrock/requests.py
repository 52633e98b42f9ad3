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
from intercept.dialects.anthropic import read_session_hint, tool_result
from intercept.dialects.request_bodies import Wording, decode_request
from intercept.dialects.tool_results import result, results_of_parts
from intercept.formats.json_text import read_array, read_struct
from intercept.items import Item, Items, Part
from intercept.records import ToolResult


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


def _results(message: Item, _raw: Raw) -> Iterator[ToolResult]:
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
