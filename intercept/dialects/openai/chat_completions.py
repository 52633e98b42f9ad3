"""OpenAI's chat completions, `POST /v1/chat/completions`, and legacy completions, whose responses have the same envelope.

Source: the OpenAI API reference, "Chat" and "Completions", with the habits of servers that imitate it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from intercept.apis import InvalidRequestError, RequestSummary
from intercept.blocks import NO_MEMBER
from intercept.conversations import Item, Items, conversation_id
from intercept.dialects.drafts import MAX_NAME, Draft, ResponseText, ToolCallDraft, read_error
from intercept.dialects.openai.stream_usage import INCLUDE_USAGE, MAX_OPTIONS_BYTES
from intercept.dialects.readers import BodyReader, StreamReader
from intercept.dialects.request_bodies import RequestBody, Wording, decode_request
from intercept.dialects.tool_results import results_of_message
from intercept.formats.json_text import read_array, read_members, read_struct
from intercept.formats.streams import Event
from intercept.tokens import openai_tokens

MAX_CONTENT_PARTS: Final = 64
"""Parts of the content of a message whose text is kept, where it is a list."""


class _Function(Struct):
    """What is called: a function has `arguments`, a custom tool `input`."""

    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class _Call(Struct):
    """A whole tool call, or a delta of one."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Function | None = None


class _Message(Struct):
    """A whole message, or a delta of one. llama.cpp, vLLM and DeepSeek have `reasoning_content`, OpenRouter `reasoning`.

    Its text is a string or, as Mistral has it, a list of parts.
    """

    tool_calls: list[_Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    content: str | list[Raw] | None = None
    refusal: str | None = None


class _Part(Struct):
    text: str | None = None


class _Choice(Struct):
    """A choice. Legacy completions have their text here."""

    index: int | None = None
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    text: str | None = None


class _Completion(Struct):
    """A whole completion, or a chunk of one."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = Raw()
    service_tier: str | None = None
    error: Raw = Raw()


_COMPLETION: Final = Decoder(_Completion)
_PART: Final = Decoder(_Part)
_THOUGHT: Final = "reasoning"  # the key of a message's only thought


def parse_request(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says."""
    request = decode_request(body, model)
    return request.summary_of(
        Items(read_array(request["messages"])),
        _WORDING,
        conversation_id=conversation_id(NO_MEMBER, request["prompt_cache_key"]),
        stream_options=read_stream_options(request),
        uses_state=request.is_("store", b"true"),
    )


def read_stream_options(request: RequestBody) -> bytes | None:
    """Return the value of `stream_options` in the bytes that were sent; None where there is none.

    Raises:
        InvalidRequestError: It is too large, or says twice whether the usage is wanted.
    """
    options = bytes(request["stream_options"])
    if len(options) > MAX_OPTIONS_BYTES or "stream_options" in request.unread:
        raise InvalidRequestError(f"stream_options is too large: at most {MAX_OPTIONS_BYTES} bytes")
    members = read_members(options) if options.startswith(b"{") else {}
    if sum(name.casefold() == INCLUDE_USAGE for name in members) > 1:
        raise InvalidRequestError(f"{INCLUDE_USAGE} is there more than once: parsers differ in which one counts")
    return options or None


def _compared(message: Item) -> list[str]:
    return [message.tool_call_id, *_texts(message)]


def _texts(message: Item) -> list[str]:
    return [message.text, *[part.text for part in message.parts if part.type == "text"]]


_WORDING: Final = Wording(_texts, _compared, results_of_message)


class _Stream(StreamReader):
    """Reads a stream of chunks. Of a usage sent several times the last one counts: they are running totals."""

    def __init__(self) -> None:
        super().__init__()
        self._open_calls: dict[int, ToolCallDraft] = {}

    def _add_event(self, event: Event) -> None:
        if event.data.startswith(b"[DONE]"):
            self._draft.complete = True
        elif chunk := read_struct(event.data, _COMPLETION):
            _add_envelope(chunk, self._draft)
            if choice := _first_choice(chunk):
                self._add_choice(choice)

    def _add_choice(self, choice: _Choice) -> None:
        _add_text(choice, self._draft.text)
        if choice.delta:
            if thought := choice.delta.reasoning_content or choice.delta.reasoning:
                self._draft.add_reasoning(_THOUGHT, thought)
            for delta in choice.delta.tool_calls or ():
                if call := self._call(delta):
                    _add_call(delta, call)
        if choice.finish_reason:
            self._draft.open_ended = True  # the usage may follow, and some servers send no [DONE]

    def _call(self, delta: _Call) -> ToolCallDraft | None:
        """Return the call that a delta adds to. A second id at the same index is a second call: some never count up."""
        index, call_id = delta.index or 0, delta.id or ""
        call = self._open_calls.get(index)
        if call and (not call_id or not call.id or call_id[:MAX_NAME] == str(call.id)):
            return call
        call = self._draft.begin_tool_call(key=object())
        if call:
            self._open_calls[index] = call
        else:
            self._open_calls.pop(index, None)
        return call


def _add_body(body: bytes, draft: Draft) -> bool:
    completion = read_struct(body, _COMPLETION)
    if completion is None:
        return False
    _add_envelope(completion, draft)
    choice = _first_choice(completion)
    if choice:
        _add_text(choice, draft.text)
    if choice and choice.message:
        draft.add_reasoning(_THOUGHT, choice.message.reasoning_content or choice.message.reasoning)
        for delta in choice.message.tool_calls or ():
            if (call := draft.begin_tool_call(key=object())) is None:
                break
            _add_call(delta, call)
    return True


def _add_envelope(completion: _Completion, draft: Draft) -> None:
    if not draft.response_id or not draft.model:  # Azure's first chunk has neither
        draft.identify(completion.id, completion.model)
    if completion.error:
        draft.fail(read_error(completion.error))
    if completion.usage and (usage := draft.read_usage(completion.usage, completion.service_tier)):
        draft.tokens = openai_tokens(usage, "prompt", "completion") or draft.tokens


def _first_choice(completion: _Completion) -> _Choice | None:
    """Return choice 0. The others are variants that a client requests with `n`."""
    for choice in completion.choices or ():
        if not choice.index:
            return choice
    return None


def _add_text(choice: _Choice, text: ResponseText) -> None:
    text.add(choice.text)
    for message in filter(None, (choice.message, choice.delta)):
        if isinstance(message.content, list):
            for raw in message.content[:MAX_CONTENT_PARTS]:
                text.add((read_struct(raw, _PART) or _Part()).text)
            text.truncated = text.truncated or len(message.content) > MAX_CONTENT_PARTS
        else:
            text.add(message.content)
        text.add(message.refusal)


def _add_call(delta: _Call, call: ToolCallDraft) -> None:
    call.identify(delta.id, None)
    for function in filter(None, (delta.function, delta.custom)):
        call.identify(None, function.name)
        call.input.add(function.arguments or function.input)


stream_reader: Final = _Stream
body_reader: Final = partial(BodyReader, _add_body)


def parse_completion(body: bytes, model: str = "") -> RequestSummary:
    """Read a request, as `RequestParser` says. Of several prompts none is recorded."""
    request = decode_request(body, model)
    return request.summary([request.text("prompt")], stream_options=read_stream_options(request))
