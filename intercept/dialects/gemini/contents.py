"""Requests of Google's Gemini API and of Vertex AI: to generate content, to count tokens, to embed.

Sources: the references of the Gemini API ("Generating content", "Embeddings", "Counting tokens") and of Vertex AI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.callers.conversations import read_conversation
from intercept.dialects.prompts import read_prompt
from intercept.dialects.request_bodies import RequestBody, decode_request, known_blocks, last_message, read_count
from intercept.dialects.tool_results import answered_call, read_results, result
from intercept.formats.json_text import read_struct
from intercept.items import MAX_PARTS, Item, Items
from intercept.records import ToolResult

_NOTHING: Final = (b"", b"null")


class _GenerationConfig(Struct):
    """How much the model may write. Names may be written in either way."""

    maxOutputTokens: Raw = Raw()  # noqa: N815 - the member's name
    max_output_tokens: Raw = Raw()
    candidateCount: Raw = Raw()  # noqa: N815 - the member's name
    candidate_count: Raw = Raw()

    @property
    def token_limit(self) -> int | None:
        """The most tokens that it may write, in all candidates together; None for no limit."""
        token_limit = max(read_count(self.maxOutputTokens) or 0, read_count(self.max_output_tokens) or 0)
        candidates = max(read_count(self.candidateCount) or 1, read_count(self.candidate_count) or 1)
        return token_limit * candidates or None


class _Request(RequestBody):
    contents: list[Raw] = field(default_factory=list)
    generationConfig: Raw = Raw()  # noqa: N815 - the member's name
    generation_config: Raw = Raw()


class _Content(Struct):
    """What one side says. A client's need not have a role."""

    role: str = "user"
    parts: list[Raw] = field(default_factory=list)


class _FunctionResponse(Struct):
    id: str = ""
    name: str = ""
    response: Raw = field(default_factory=Raw)
    response_bytes: Raw = field(default_factory=Raw, name="response.bytes")


class _Given(Struct):
    """What a function gave: under `output`, or under `error` if it failed."""

    error: Raw = Raw()


class _RequestPart(Struct):
    """A part of a request, whose names may be written in either way."""

    text: str = ""
    function_response: _FunctionResponse | None = None
    functionResponse: _FunctionResponse | None = None  # noqa: N815 - the member's name

    @property
    def result(self) -> _FunctionResponse | None:
        """The result of a function call, if it is one."""
        return self.functionResponse or self.function_response


_REQUEST: Final = Decoder(_Request)
_CONFIG: Final = Decoder(_GenerationConfig)
_PLAIN_REQUEST: Final = Decoder(RequestBody)
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
    request = decode_request(body, _REQUEST, model)
    contents = _Contents(request.contents)
    last = last_message(contents)
    parts = _parts(last) if last else []
    return RequestSummary(
        model=request.model,
        max_output_tokens=token_limit(request.generationConfig, request.generation_config),
        user_prompt=read_prompt([part.text for part in parts]) if last and last.role == "user" else None,
        answered_tool_call_id=answered_call(last, _results),
        conversation=read_conversation(contents, _conversation_texts),
        tool_results=read_results(contents, _results),
        blocks=known_blocks(body, request, request.contents),
    )


def token_limit(*configs: Raw) -> int | None:
    """The most tokens that a model may write by some configurations: by the largest one, as either spelling may count."""
    limits = [config.token_limit or 0 for one in configs if (config := read_struct(one, _CONFIG))]
    return max(limits, default=0) or None


def parse_plain_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request without a prompt, as `RequestParser` says: to count tokens, or to embed."""
    return RequestSummary(model=decode_request(body, _PLAIN_REQUEST, model).model)


def _parts(item: Item) -> list[_RequestPart]:
    """The parts of a content that are objects, the last `MAX_PARTS` of it."""
    last = item.content[-MAX_PARTS:] if isinstance(item.content, list) else []
    return [part for raw in last if (part := read_struct(raw, _REQUEST_PART)) is not None]


def _results(item: Item, _raw: Raw) -> Iterator[ToolResult]:
    for part in reversed(_parts(item)):
        if (found := part.result) is not None and found.id:
            given = read_struct(found.response, _GIVEN)
            is_error = given is not None and bytes(given.error) not in _NOTHING
            yield result(found.id, found.response, found.response_bytes, is_error)


def _conversation_texts(item: Item) -> list[str]:
    return [part.text or _result_key(part.result) for part in _parts(item)]


def _result_key(result: _FunctionResponse | None) -> str:
    return (result.id or result.name) if result else ""
