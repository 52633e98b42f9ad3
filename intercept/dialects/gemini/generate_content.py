"""Responses of Google's Gemini API and of Vertex AI: `generateContent`, blocking and streamed.

A stream is one of server-sent events (`alt=sse`), or one JSON array that is written element by element. Sources: the
references of the Gemini API ("Generating content", "Embeddings", "Counting tokens") and of Vertex AI.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.dialects.drafts import MAX_ERROR_BYTES, Draft, ThoughtDraft, ToolCallDraft, read_error
from intercept.dialects.gemini.streamed_arguments import PartialArgument, StreamedArguments
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.formats.json_text import read_struct
from intercept.formats.last_members import last_objects
from intercept.formats.streams.json_array import ArrayDecoder
from intercept.formats.streams.sse import Event
from intercept.records import Reading, TokenUsage
from intercept.tokens import count, google_tokens

_SPACE: Final = b" \t\r\n"


class _Call(Struct, rename="camel"):
    """A function call. `args` stays JSON text, as it was sent."""

    id: str | None = None
    name: str | None = None
    args: Raw = Raw()
    partial_args: list[PartialArgument] | None = None
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
        self._number = 0  # of the call
        self._thought: ThoughtDraft | None = None
        self._call: ToolCallDraft | None = None
        self._arguments: StreamedArguments | None = None

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

    def flush_arguments(self) -> None:
        """Add unfinished arguments to the draft, as far as they came."""
        if self._arguments is None or self._call is None:
            return
        id_, name = str(self._call.id), str(self._call.name)
        self._call = self._draft.begin_tool_call(self._number)
        if self._call is not None:
            self._call.identify(id_, name)
            self._call.initial.add(self._arguments.text())
        self._draft.truncated = self._draft.truncated or self._arguments.truncated

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
        if call.name:
            self.flush_arguments()
            self._arguments = StreamedArguments() if call.will_continue or call.partial_args is not None else None
            self._number = self._next()
            self._call = self._draft.begin_tool_call(self._number)
            if self._call is not None:
                self._call.identify(call.id, call.name)
                self._call.initial.add(bytes(call.args).decode("utf-8", "replace"))
        if self._arguments is not None:
            for piece in call.partial_args or ():
                self._arguments.add(piece)
            if not call.will_continue:
                self.flush_arguments()
                self._arguments = None

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
        self._assembly.flush_arguments()
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
