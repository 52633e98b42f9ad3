"""Google's Gemini API and Vertex AI: to generate content, to count tokens, to embed. Requests, and responses both ways.

A stream is one of server-sent events (`alt=sse`), or one JSON array that is written element by element.

Sources: the references of the Gemini API ("Generating content", "Embeddings", "Counting tokens") and of Vertex AI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from intercept.apis import RequestSummary
from intercept.conversations import Item, Items
from intercept.dialects.drafts import MAX_ERROR_BYTES, Draft, ThoughtDraft, read_error
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import Wording, decode_request
from intercept.dialects.tool_results import result
from intercept.formats.json_text import last_objects, read_array, read_struct, text_of
from intercept.formats.streams import ArrayDecoder, Event
from intercept.records import Reading, TokenUsage, ToolResult
from intercept.tokens import count, google_tokens

_SPACE: Final = b" \t\r\n"


class _Call(Struct, rename="camel"):
    """A function call. `args` stays JSON text, as it was sent."""

    id: str | None = None
    name: str | None = None
    args: Raw = Raw()
    partial_args: Raw = Raw()
    will_continue: bool | None = None


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _Call | None = None


class _Parts(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    index: int | None = None
    content: _Parts | None = None
    finish_reason: str | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Response(Struct, rename="camel"):
    response_id: str | None = None
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = Raw()
    error: Raw = Raw()


class _Failed(Struct):
    error: Raw = Raw()


_RESPONSE: Final = Decoder(_Response)
_FAILED: Final = Decoder(_Failed)


class _Assembly:
    """Puts responses into a draft: the only one of a body, or those of a stream, one after the other."""

    def __init__(self, draft: Draft) -> None:
        self.finished = False
        self._draft = draft
        self._parts_begun = 0
        self._thought: ThoughtDraft | None = None

    def add_response(self, data: bytes) -> bool:
        """Add a response to the draft; return whether it was a JSON object."""
        response = read_struct(data, _RESPONSE)
        if response is None:
            return False
        self._draft.identify(response.response_id)
        self._draft.fail(read_error(response.error))
        # Each usage is the total so far, and replaces the previous one.
        self._draft.tokens = tokens(self._draft.read_usage(response.usage_metadata)) or self._draft.tokens
        candidates = response.candidates or []
        for candidate in candidates:
            if not candidate.index:
                self._add_candidate(candidate)
        if not candidates and response.prompt_feedback is not None and response.prompt_feedback.block_reason:
            self.finished = True
        return True

    def _add_candidate(self, candidate: _Candidate) -> None:
        for part in (candidate.content and candidate.content.parts) or ():
            if part.function_call is not None:
                self._add_call(part.function_call)
            elif part.text:
                self._add_text(part.text, is_thought=bool(part.thought))
        self.finished = self.finished or bool(candidate.finish_reason)

    def _add_text(self, text: str, *, is_thought: bool) -> None:
        if not is_thought:
            self._thought = None
            self._draft.text.add(text)
            return
        if self._thought is None:
            self._thought = self._draft.begin_thought(self._next(), "thinking")
        if self._thought is not None:
            self._thought.text.add(text)

    def _add_call(self, call: _Call) -> None:
        self._thought = None
        if call.name and (drafted := self._draft.begin_tool_call(self._next())) is not None:
            drafted.identify(call.id, call.name)
            drafted.initial.add(bytes(call.args).decode("utf-8", "replace"))
            if call.will_continue or call.partial_args:
                drafted.initial.truncated = True  # arguments that come piece by piece, each with its path, are not read

    def _next(self) -> int:
        self._parts_begun += 1
        return self._parts_begun - 1


class _Stream(StreamReader):
    """Reads a stream of responses. Its only end is that of the array, if it is one."""

    def __init__(self, array: ArrayDecoder | None = None) -> None:
        super().__init__(array)
        self._assembly = _Assembly(self._draft)
        self._bare = _BareError()
        self._array = array

    def feed(self, chunk: bytes) -> None:
        if self._array is None:
            self._bare.feed(chunk)
        super().feed(chunk)

    def result(self) -> Reading:
        super().result()
        self._draft.fail(self._bare.error())
        if self._array is not None:
            self._draft.complete = self._array.closed and self._assembly.finished
        return super().result()

    def _add_event(self, event: Event) -> None:
        for data in last_objects(event.data, "usageMetadata") if event.oversized else (event.data,):
            self._assembly.add_response(data)
        self._draft.open_ended = self._array is None and self._assembly.finished


class _BareError:
    """Finds an error that is bare JSON in a stream of events, at the beginning of a line."""

    def __init__(self) -> None:
        self._before = b"\n"
        self._body: bytearray | None = None

    def feed(self, chunk: bytes) -> None:
        if self._body is None:
            data = self._before + chunk
            self._before = data[-1:]
            starts = [at for at in (data.find(b"\n{"), data.find(b"\r{")) if at >= 0]
            if not starts:
                return
            self._body, chunk = bytearray(), data[min(starts) + 1 :]
        self._body += chunk[: MAX_ERROR_BYTES - len(self._body)]

    def error(self) -> Any:
        if self._body is None:
            return None
        failed = read_struct(bytes(self._body).strip(_SPACE), _FAILED)
        return read_error(failed.error) if failed else None


class _Body:
    """Reads a body in JSON: one response, or an array of those of a stream."""

    def __init__(self) -> None:
        self._inner: StreamReader | BodyReader | None = None
        self._keeps_text = False

    def keep_text(self) -> None:
        self._keeps_text = True

    def feed(self, chunk: bytes) -> None:
        if self._inner is None:
            if not chunk.strip(_SPACE):
                return
            is_array = chunk.lstrip(_SPACE).startswith(b"[")
            self._inner = _Stream(ArrayDecoder()) if is_array else BodyReader(_add_body)
            if self._keeps_text:
                self._inner.keep_text()
        self._inner.feed(chunk)

    def result(self) -> Reading:
        return Reading() if self._inner is None else self._inner.result()


def _add_body(body: bytes, draft: Draft) -> bool:
    return _Assembly(draft).add_response(body)


def tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read `usageMetadata`; None without counts. If there is a total, a missing count is zero."""
    names = ("prompt", "candidates", "thoughts", "cachedContent", "toolUsePrompt", "total")
    return google_tokens(usage, [count(usage.get(f"{name}TokenCount")) for name in names])


stream_reader: Final = _Stream
body_reader: Final = _Body


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


def _results(item: Item) -> Iterator[ToolResult]:
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
