"""Requests of Google's Gemini API and of Vertex AI: to generate content, to count tokens, to embed.

Sources: the references of the Gemini API ("Generating content", "Embeddings", "Counting tokens") and of Vertex AI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.dialects.request_bodies import Wording, decode_request
from intercept.dialects.tool_results import result
from intercept.formats.json_text import read_array, read_struct, text_of
from intercept.items import Item, Items
from intercept.records import ToolResult

_NOTHING: Final = (b"", b"null")


class _Content(Struct):
    """What one side says. A client's need not have a role."""

    role: str = "user"
    parts: Raw = field(default_factory=Raw)


class _FunctionResponse(Struct):
    id: str = ""
    name: str = ""
    response: Raw = field(default_factory=Raw)


class _Given(Struct):
    """What a function gave: under `output`, or under `error` if it failed."""

    error: Raw = Raw()


class _RequestPart(Struct):
    """A part of a request, whose names may be written in either way."""

    raw_text: Raw = field(default_factory=Raw, name="text")
    function_response: _FunctionResponse | None = None
    functionResponse: _FunctionResponse | None = None  # noqa: N815 - the member's name

    @property
    def text(self) -> str:
        """Its text, "" if it has none."""
        return text_of(self.raw_text)

    @property
    def result(self) -> _FunctionResponse | None:
        """The result of a function call, if it is one."""
        return self.functionResponse or self.function_response


_CONTENT: Final = Decoder(_Content)
_REQUEST_PART: Final = Decoder(_RequestPart)
_GIVEN: Final = Decoder(_Given)


class _Contents(Items):
    """The contents of a request, as items of a conversation."""

    def _decode(self, raw: Raw) -> Item:
        content = read_struct(raw, _CONTENT) or _Content()
        return Item(role=content.role or "user", content=content.parts)


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request to generate content, as `RequestParser` says."""
    request = decode_request(body, model)
    return request.summary_of(_Contents(read_array(request["contents"])), _WORDING, tags="")


def parse_plain_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request without a prompt, as `RequestParser` says: to count tokens, or to embed."""
    return decode_request(body, model).summary()


def _parts(item: Item) -> list[_RequestPart]:
    """The parts of a content that are objects, the last `MAX_PARTS` of it."""
    return [part for raw in item.last if (part := read_struct(raw, _REQUEST_PART)) is not None]


def _results(item: Item, _raw: Raw) -> Iterator[ToolResult]:
    for part in reversed(_parts(item)):
        if (found := part.result) is not None and found.id:
            given = read_struct(found.response, _GIVEN)
            is_error = given is not None and bytes(given.error) not in _NOTHING
            yield result(found.id, found.response, is_error)


def _texts(item: Item) -> list[str]:
    return [part.text for part in _parts(item)]


def _compared(item: Item) -> list[str]:
    return [part.text or _result_key(part.result) for part in _parts(item)]


def _result_key(result: _FunctionResponse | None) -> str:
    return (result.id or result.name) if result else ""


_WORDING: Final = Wording(_texts, _compared, _results)
