"""OpenAI's chat completions: `POST /v1/chat/completions`.

Source: the OpenAI API reference, "Chat", with the habits of servers that imitate it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.apis import Reader, RequestSummary
from intercept.drafts import MAX_NAME, Draft, ToolCall
from intercept.json_text import as_index, as_object, as_objects, as_text, read
from intercept.readers import BodyReader, StreamReader
from intercept.request_bodies import RequestBody, decode_request, last_turn, tool_call_id, user_prompt
from intercept.sse import Event
from intercept.tokens import openai_tokens


class _Request(RequestBody):
    messages: Raw = Raw()


class _Completion(Struct):
    """A whole completion, or a chunk of one."""

    id: Any = None
    choices: Any = None
    usage: Any = None
    error: Any = None


_REQUEST: Final = Decoder(_Request)
_COMPLETION: Final = Decoder(_Completion)


def parse_request(body: bytes) -> RequestSummary:
    """Read a request.

    Raises:
        InvalidRequestError: The body cannot be relayed.
    """
    request = decode_request(body, _REQUEST)
    message = last_turn(request.messages)
    role = message.get("role")
    return RequestSummary(
        model=request.model,
        stream=bool(request.stream),
        user_prompt=user_prompt(_text(message.get("content"))) if role == "user" else None,
        answered_tool_call_id=tool_call_id(message.get("tool_call_id")) if role == "tool" else None,
    )


def _text(content: object) -> str:
    texts = [as_text(part.get("text")) for part in as_objects(content) if part.get("type") == "text"]
    return as_text(content) or next(filter(None, reversed(texts)), "")


class _Stream(StreamReader):
    """Reads a stream of chunks. Of a usage sent several times the last one counts: they are running totals."""

    def __init__(self) -> None:
        super().__init__()
        self._open_calls: dict[int, ToolCall] = {}

    def _take(self, event: Event) -> None:
        if event.data.startswith(b"[DONE]"):
            self._draft.complete = True
        elif chunk := read(event.data, _COMPLETION):
            _take_envelope(chunk, self._draft)
            self._take_choice(_first_choice(chunk.choices))

    def _take_choice(self, choice: dict[str, Any]) -> None:
        for delta in as_objects(as_object(choice.get("delta")).get("tool_calls")):
            if call := self._call(delta):
                _take_call(delta, call)
        if choice.get("finish_reason"):
            self._draft.open_ended = True  # the usage may follow, and some servers send no [DONE]

    def _call(self, delta: dict[str, Any]) -> ToolCall | None:
        """Return the call that a delta adds to. A second id at the same index is a second call: some never count up."""
        index, call_id = as_index(delta.get("index")), as_text(delta.get("id"))
        call = self._open_calls.get(index)
        if call and (not call_id or not call.id or call_id[:MAX_NAME] == str(call.id)):
            return call
        call = self._draft.begin_tool_call(key=object())
        if call:
            self._open_calls[index] = call
        else:
            self._open_calls.pop(index, None)
        return call


def stream_reader() -> Reader:
    """Return a reader for a streamed completion."""
    return _Stream()


def body_reader() -> Reader:
    """Return a reader for a blocking completion."""
    return BodyReader(_take_body)


def _take_body(body: bytes, draft: Draft) -> bool:
    completion = read(body, _COMPLETION)
    if completion is None:
        return False
    _take_envelope(completion, draft)
    message = as_object(_first_choice(completion.choices).get("message"))
    for told in as_objects(message.get("tool_calls")):
        if call := draft.begin_tool_call(key=object()):
            _take_call(told, call)
    return True


def _take_envelope(completion: _Completion, draft: Draft) -> None:
    draft.identify(completion.id)
    draft.fail(completion.error)
    draft.tokens = openai_tokens(completion.usage, "prompt", "completion") or draft.tokens


def _first_choice(choices: object) -> dict[str, Any]:
    """Return choice 0. The others are variants that a client asked for with `n`."""
    return next((choice for choice in as_objects(choices) if as_index(choice.get("index")) == 0), {})


def _take_call(told: dict[str, Any], call: ToolCall) -> None:
    """Take a whole tool call or a delta of one, of a function (`arguments`) or a custom tool (`input`)."""
    function = as_object(told.get("function")) or as_object(told.get("custom"))
    call.identify(told.get("id"), function.get("name"))
    call.input.add(function.get("arguments") or function.get("input"))
