"""OpenAI's responses over a WebSocket: which event belongs to which response.

A client asks for a response with `response.create`, whose fields are those of the request body over HTTP, or replaces one
that is under way with `response.steer`. The provider sends the events that it would stream over HTTP. Several responses may
be under way: each is in a lane (`stream_id`), and a lane has one after the other. In a lane `response.created` belongs to
the oldest request that continues the same response, else to the oldest that has none yet.

A request that steers names a response and no lane. That response ends, and its successor begins; or the request fails; or
it is pending until the client sends the results of tools, and is a part of that request then.

Source: OpenAI, "Responses over WebSocket"; the same events as in `intercept.dialects.openai.responses`.
"""

from __future__ import annotations

from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from intercept.dialects.drafts import MAX_NAME
from intercept.dialects.request_bodies import read_event
from intercept.formats.json_text import read_struct

CREATE: Final = "response.create"
STEER: Final = "response.steer"
ERROR: Final = "error"
MAX_LANE_CHARACTERS: Final = 256
"""Characters of a lane's name that count."""

_CREATED: Final = "response.created"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_STEER_ENDS: Final = frozenset({"response.steer.failed", "response.steer.pending"})

CallT = TypeVar("CallT")


class ResponsesClientEvent(Struct, frozen=True):
    """An event of a client: `generate` is false if it only requests an id, to warm up.

    `previous_response_id` is the response that it continues or steers.
    """

    type: str = ""
    stream_id: str = ""
    generate: bool = True
    previous_response_id: str | None = None

    @property
    def is_request(self) -> bool:
        """Whether a response is to come for it."""
        return self.type in {CREATE, STEER}


class _Response(Struct, frozen=True):
    id: str = ""
    previous_response_id: str | None = None


class _Steer(Struct, frozen=True):
    previous_response_id: str = ""


class ServerEvent(Struct, frozen=True):
    """What a provider sends. `status` is that of an error."""

    type: str = ""
    stream_id: str | None = None
    response_id: str | None = None
    response: _Response | None = None
    status: int | None = None
    steer: _Steer | None = None

    @property
    def responds_to(self) -> str | None:
        """The id of the response that the event is about, where it names one."""
        return self.response.id if self.response is not None else self.response_id


_CLIENT_EVENT: Final = Decoder(ResponsesClientEvent)
_SERVER_EVENT: Final = Decoder(ServerEvent)
_UNKNOWN_EVENT: Final = ServerEvent()


def read_client_event(message: bytes) -> ResponsesClientEvent | None:
    """Read what a client sent; None where it is no event."""
    return read_event(message, _CLIENT_EVENT)


def read_server_event(message: bytes) -> ServerEvent:
    """Read what a provider sent; without a type where it is no event."""
    return read_struct(message, _SERVER_EVENT) or _UNKNOWN_EVENT


def _bounded(response_id: str | None) -> str:
    """As much of the id of a response as is held, "" for none."""
    return (response_id or "")[:MAX_NAME]


class _Waiting(NamedTuple, Generic[CallT]):
    """A call that has no response yet, the response that it continues, and whether it steers that."""

    call: CallT
    continues: str
    steers: bool


class Lanes(Generic[CallT]):
    """The running calls of one connection."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting[CallT]]] = {}
        self._created: dict[str, list[CallT]] = {}
        self._by_response: dict[str, CallT] = {}

    def __len__(self) -> int:
        """The number of running calls."""
        return len(self.calls)

    @property
    def calls(self) -> list[CallT]:
        """All running calls."""
        created = [call for calls in self._created.values() for call in calls]
        return [*created, *(one.call for waiting in self._waiting.values() for one in waiting)]

    def lane_of(self, event: ResponsesClientEvent) -> str:
        """The lane of a request; one that steers is in that of the response that it names."""
        steered = self._by_response.get(_bounded(event.previous_response_id)) if event.type == STEER else None
        lanes = (lane for lane, calls in self._created.items() if any(call is steered for call in calls))
        return next(lanes, event.stream_id[:MAX_LANE_CHARACTERS])

    def current(self, lane: str) -> CallT | None:
        """The call of a lane that a steering request replaces: the one that began last."""
        calls = self._created.get(lane) or [one.call for one in self._waiting.get(lane, ())]
        return calls[-1] if calls else None

    def begin(self, lane: str, call: CallT, event: ResponsesClientEvent) -> None:
        """Note that a request goes to the provider."""
        self._waiting.setdefault(lane, []).append(
            _Waiting(call, _bounded(event.previous_response_id), event.type == STEER)
        )

    def receive(self, event: ServerEvent) -> tuple[CallT | None, bool]:
        """Return the call that an event belongs to, if there is one, and whether the event ends it; then `forget` it."""
        lane = (event.stream_id or "")[:MAX_LANE_CHARACTERS]
        if event.type == _CREATED:
            return self._create(lane, event.response or _Response()), False
        if event.type in _STEER_ENDS:
            return self._steering(event.steer or _Steer()), True
        waiting, created = self._waiting.get(lane), self._created.get(lane)
        if event.type == ERROR:
            call = waiting[0].call if waiting else created[0] if created else None
        else:
            call = self._by_response.get(_bounded(event.responds_to)) or (created[0] if created else None)
        return call, event.type in _ENDS or event.type == ERROR

    def forget(self, call: CallT) -> None:
        """Note that a call is over."""
        waiting = {lane: [one for one in some if one.call is not call] for lane, some in self._waiting.items()}
        created = {lane: [one for one in calls if one is not call] for lane, calls in self._created.items()}
        self._waiting = {lane: some for lane, some in waiting.items() if some}
        self._created = {lane: calls for lane, calls in created.items() if calls}
        self._by_response = {id_: one for id_, one in self._by_response.items() if one is not call}

    def _steering(self, steer: _Steer) -> CallT | None:
        """The oldest request that steers a response and has no successor yet."""
        steered = _bounded(steer.previous_response_id)
        waiting = (one for some in self._waiting.values() for one in some if one.steers)
        return next((one.call for one in waiting if one.continues == steered), None)

    def _create(self, lane: str, response: _Response) -> CallT | None:
        waiting = self._waiting.get(lane)
        if not waiting:
            return None
        continued, previous = [one.continues for one in waiting], _bounded(response.previous_response_id)
        call = waiting.pop(continued.index(previous) if previous in continued else 0).call
        if not waiting:
            del self._waiting[lane]
        self._created.setdefault(lane, []).append(call)
        if response.id:
            self._by_response[_bounded(response.id)] = call
        return call
