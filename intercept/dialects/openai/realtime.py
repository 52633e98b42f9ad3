"""OpenAI's Realtime API over a WebSocket: the events of a response, and what is read from them.

A client requests a response with `response.create`. With voice detection the provider begins one by itself after speech.
Either way `response.created` begins it and `response.done` ends it, with its usage and its output. Beside that, or in a
session that has no responses, another model may write down what is heard: of each item events tell the text, and at its end
the usage.

Source: OpenAI API reference, "Realtime", client events and server events.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.apis import RequestSummary
from intercept.dialects.drafts import MAX_NAME, Draft, name_error, read_error
from intercept.dialects.openai import usage_only
from intercept.dialects.readers import StreamReader
from intercept.dialects.request_bodies import MAX_OTHER_MODELS, UNNAMED_MODEL, read_event, read_prompt
from intercept.dialects.strict import StrictReading
from intercept.formats.json_text import as_object, read_members, read_struct, starts_with
from intercept.formats.streams import Event
from intercept.records import TokenUsage
from intercept.tokens import openai_tokens, storable

CREATE: Final = "response.create"
CANCEL: Final = "response.cancel"
ERROR: Final = "error"
DONE: Final = "response.done"

_CREATED: Final = "response.created"
_ITEM: Final = "conversation.item.create"
_HEARD: Final = "conversation.item.input_audio_transcription."
_LIMIT: Final = "max_output_tokens"
_NO_LIMIT: Final = b'"inf"'
_NULL: Final = Raw(b"null")
_HEARD_ENDS: Final = (f"{_HEARD}completed", f"{_HEARD}failed")


class _Part(Struct, frozen=True):
    type: str = ""
    text: str = ""


class _Item(Struct, frozen=True):
    type: str = ""
    role: str = ""
    content: list[_Part] = field(default_factory=list)
    call_id: str = ""


class _Transcription(Struct, frozen=True):
    model: str | None = None


class _Input(Struct, frozen=True):
    transcription: _Transcription | None = None


class _Audio(Struct, frozen=True):
    input: _Input | None = None


class _Session(Struct, frozen=True):
    """A session, or changes of one. What is heard is named in `audio`, and in the beta beside it."""

    id: str | None = None
    model: str | None = None
    input_audio_transcription: _Transcription | None = None
    audio: _Audio | None = None

    @property
    def transcribed_by(self) -> str:
        """The model that writes down what is heard; "" where it names none."""
        heard = self.audio.input if self.audio is not None else None
        given = (self.input_audio_transcription, None if heard is None else heard.transcription)
        return next((one.model for one in given if one is not None and one.model), "")[:MAX_NAME]


class RealtimeClientEvent(Struct, frozen=True):
    """What a client sends; `event_id` is its own name for it."""

    type: str = ""
    session: _Session | None = None
    event_id: str = ""
    item: _Item = field(default_factory=_Item)
    response: Raw = Raw()

    @property
    def is_request(self) -> bool:
        """Whether a response is to come for it."""
        return self.type == CREATE

    @property
    def models(self) -> list[str]:
        """The models that it has the provider use from now on."""
        session = self.session or _Session()
        return [one for one in (session.model, session.transcribed_by) if one]


class _Named(Struct, frozen=True):
    id: str = ""


class _Error(Struct, frozen=True):
    event_id: str | None = None


class RealtimeServerEvent(Struct, frozen=True):
    """What a provider sends. It has no status: the connection was accepted."""

    type: str = ""
    response_id: str | None = None
    item_id: str | None = None
    response: _Named | None = None
    session: _Session | None = None
    error: _Error | None = None
    status = None

    @property
    def begins_response(self) -> bool:
        """Whether a response begins with it."""
        return self.type == _CREATED

    @property
    def is_heard(self) -> bool:
        """Whether it is about the transcription of what a user said. The first one of an item begins that."""
        return self.type.startswith(_HEARD)

    @property
    def responds_to(self) -> str | None:
        """The id of the response, or of the item that is transcribed, that the event is about; None where it names none."""
        if self.is_heard:
            return self.item_id
        return self.response.id if self.response is not None else self.response_id


_CLIENT_EVENT: Final = Decoder(RealtimeClientEvent)
_SERVER_EVENT: Final = Decoder(RealtimeServerEvent)
_UNKNOWN_EVENT: Final = RealtimeServerEvent()


def read_client_event(message: bytes) -> RealtimeClientEvent | None:
    """Read what a client sent; None where it is no event."""
    return read_event(message, _CLIENT_EVENT)


def read_server_event(message: bytes) -> RealtimeServerEvent:
    """Read what a provider sent; without a type where it is no event."""
    return read_struct(message, _SERVER_EVENT) or _UNKNOWN_EVENT


def _limit_of(response: Raw) -> tuple[int | None, str]:
    """How many tokens the response that a client requests may have, and the name of a member that some read in another way."""
    if not starts_with(response, b"{"):
        return None, ""
    try:
        members = read_members(response)
    except (ValueError, RecursionError):
        return None, "response"
    for name, value in members.items():
        if str(name) == _LIMIT and bytes(memoryview(value)[: len(_NO_LIMIT) + 1]) == _NO_LIMIT:
            members[name] = _NULL
    strict = StrictReading(members)
    return strict.token_limit, strict.odd_count


CallT = TypeVar("CallT")


class RealtimeCalls(Generic[CallT]):
    """The running calls of one connection, and what is recorded of the next one.

    Args:
        models: Which models its address names. The first is recorded; policies hold for all of them.
    """

    def __init__(self, *models: str) -> None:
        self._model = models[0][:MAX_NAME] if models else ""
        self._others = models[1:] if len(models) <= MAX_OTHER_MODELS else None
        self._transcribed_by = ""
        self._session_id: str | None = None
        self._text = ""
        self._tool_call_id: str | None = None
        self._waiting: list[tuple[str, CallT]] = []
        self._by_response: dict[str, CallT] = {}

    def __len__(self) -> int:
        """The number of running calls."""
        return len(self._waiting) + len(self._by_response)

    @property
    def calls(self) -> list[CallT]:
        """All running calls."""
        return [*self._by_response.values(), *[call for _, call in self._waiting]]

    def note(self, event: RealtimeClientEvent | RealtimeServerEvent) -> None:
        """Note the context of the next response: model, session, typed text, tool call."""
        if isinstance(event, RealtimeServerEvent):
            if (session := event.session) is not None:
                self._session_id = (session.id or "")[:MAX_NAME] or self._session_id
                self._model = (session.model or "")[:MAX_NAME] or self._model
                self._transcribed_by = session.transcribed_by or self._transcribed_by
        elif event.type == _ITEM:
            texts = [part.text for part in event.item.content if part.type == "input_text"]
            self._text = "\n".join(texts) if event.item.role == "user" else ""
            is_result = event.item.type == "function_call_output"
            self._tool_call_id = event.item.call_id[:MAX_NAME] or None if is_result else None

    def summarize(self, event: RealtimeClientEvent | None = None) -> RequestSummary:
        """The summary of the next response; `event` requests it, None if the provider begins it by itself."""
        token_limit, odd_count = (None, "") if event is None else _limit_of(event.response)
        summary = RequestSummary(
            model=self._model if self._model.strip() else UNNAMED_MODEL,
            other_models=self._others,
            stream=True,
            max_output_tokens=token_limit,
            odd_count=odd_count,
            user_prompt=read_prompt([self._text] if self._text else []),
            answered_tool_call_id=self._tool_call_id,
            conversation_id=self._session_id,
        )
        self._text, self._tool_call_id = "", None
        return summary

    def summarize_heard(self) -> RequestSummary:
        """The summary of a transcription, which the provider begins by itself."""
        return RequestSummary(
            model=self._transcribed_by.strip() or UNNAMED_MODEL, stream=True, conversation_id=self._session_id
        )

    def begin(self, event_id: str, call: CallT, _event: RealtimeClientEvent | None = None) -> None:
        """Note that a request goes to the provider."""
        self._waiting.append((event_id, call))

    def begin_by_provider(self, response_id: str, call: CallT) -> None:
        """Add a call for a response that the provider began by itself."""
        self._by_response[response_id] = call

    def receive(self, event: RealtimeServerEvent) -> tuple[CallT | None, bool]:
        """Return the call that an event belongs to, if there is one, and whether the event ends it; then `forget` it.

        `response.created` belongs to the oldest request that has no response yet. An error belongs to the request that it
        names, or to the oldest one where it names none.
        """
        if event.begins_response:
            if not self._waiting:
                return None, False
            _, call = self._waiting.pop(0)
            self._by_response[event.responds_to or ""] = call
            return call, False
        if event.type == ERROR:
            named = event.error.event_id if event.error is not None else None
            return next((call for id_, call in self._waiting if not named or id_ == named), None), True
        return self._by_response.get(event.responds_to or ""), event.type in (DONE, *_HEARD_ENDS)

    def forget(self, call: CallT) -> None:
        """Note that a call is over."""
        self._waiting = [pair for pair in self._waiting if pair[1] is not call]
        self._by_response = {id_: one for id_, one in self._by_response.items() if one is not call}


class _Output(Struct):
    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Details(Struct):
    error: Raw = Raw()


class _Response(Struct):
    id: str | None = None
    status: str = ""
    status_details: _Details | None = None
    usage: Raw = Raw()
    output: list[_Output] = field(default_factory=list)


class _Done(Struct):
    type: str = ""
    response: _Response = field(default_factory=_Response)
    item_id: str | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_DONE: Final = Decoder(_Done)


class _Reader(StreamReader):
    """Reads the events of one response or transcription, of which the last one has everything."""

    def _add_event(self, event: Event) -> None:
        data = None if event.oversized else read_struct(event.data, _DONE)
        if data is None:
            return
        if data.type == ERROR:
            self._draft.fail(read_error(data.error))
            return
        self._draft.identify(data.item_id if data.type.startswith(_HEARD) else data.response.id)
        if data.type in _HEARD_ENDS:
            self._draft.fail(read_error(data.error))
            self._draft.tokens = usage_only.tokens(self._draft.read_usage(data.usage))
            self._draft.complete = True
        elif data.type == DONE:
            _add_response(data.response, self._draft)
            self._draft.complete = True


def _add_response(response: _Response, draft: Draft) -> None:
    if response.status == "failed":
        error = None if response.status_details is None else read_error(response.status_details.error)
        draft.fail(error or name_error(message="the response failed"))
    draft.tokens = tokens(draft.read_usage(response.usage)) or draft.tokens
    for index, item in enumerate(response.output):
        if item.type == "function_call" and (call := draft.begin_tool_call((index, 0))):
            call.identify(item.call_id, item.name)
            call.input.add(item.arguments)


def tokens(usage: dict[str, Any]) -> TokenUsage | None:
    """Read the usage of a response; sound and text count together, and the usage object keeps them apart."""
    details = as_object(usage.get("input_token_details"))
    read = openai_tokens(usage | {"input_tokens_details": details}, "input", "output")
    return None if read is None else replace(read, usage=storable(usage))


stream_reader: Final = _Reader
