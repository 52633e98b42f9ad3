"""OpenAI's responses over a WebSocket: which event belongs to which response.

A client asks for a response with `response.create`, whose fields are those of the request body over HTTP, or replaces one
that is under way with `response.steer`. The provider sends the events that it would stream over HTTP. Several responses may
be under way: each is in a lane (`stream_id`), and a lane has one after the other. In a lane `response.created` belongs to
the oldest request that has none yet. A response that is steered ends as incomplete, and its successor begins.

Source: OpenAI, "Responses over WebSocket"; the same events as in `intercept.dialects.openai.responses`.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from intercept.formats.json_text import read_struct

CREATE: Final = "response.create"
STEER: Final = "response.steer"
ERROR: Final = "error"
MAX_LANE_CHARACTERS: Final = 256
"""Characters of a lane's name that count."""

_CREATED: Final = "response.created"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})

CallT = TypeVar("CallT")


class ClientEvent(Struct, frozen=True):
    """An event of a client: `generate` is false if it only requests an id, to warm up."""

    type: str = ""
    stream_id: str = ""
    generate: bool = True

    @property
    def is_request(self) -> bool:
        """Whether a response is to come for it."""
        return self.type in {CREATE, STEER}


class _ResponseId(Struct, frozen=True):
    id: str = ""


class ServerEvent(Struct, frozen=True):
    """What a provider sends. `status` is that of an error."""

    type: str = ""
    stream_id: str | None = None
    response_id: str | None = None
    response: _ResponseId | None = None
    status: int | None = None

    @property
    def responds_to(self) -> str | None:
        """The id of the response that the event is about, where it names one."""
        return self.response.id if self.response is not None else self.response_id


_CLIENT_EVENT: Final = Decoder(ClientEvent)
_SERVER_EVENT: Final = Decoder(ServerEvent)
_UNKNOWN_EVENT: Final = ServerEvent()


def read_client_event(message: bytes) -> ClientEvent | None:
    """Read what a client sent; None where it is no event."""
    return read_struct(message, _CLIENT_EVENT)


def read_server_event(message: bytes) -> ServerEvent:
    """Read what a provider sent; without a type where it is no event."""
    return read_struct(message, _SERVER_EVENT) or _UNKNOWN_EVENT


class Lanes(Generic[CallT]):
    """The running calls of one connection."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[CallT]] = {}
        self._created: dict[str, list[CallT]] = {}
        self._by_response: dict[str, CallT] = {}

    def __len__(self) -> int:
        """The number of running calls."""
        return len(self.calls)

    @property
    def calls(self) -> list[CallT]:
        """All running calls."""
        return [call for lanes in (self._created, self._waiting) for calls in lanes.values() for call in calls]

    def current(self, lane: str) -> CallT | None:
        """The call of a lane that a steering request replaces: the one that began last."""
        calls = self._created.get(lane) or self._waiting.get(lane)
        return calls[-1] if calls else None

    def begin(self, lane: str, call: CallT) -> None:
        """Note that a request goes to the provider."""
        self._waiting.setdefault(lane, []).append(call)

    def receive(self, event: ServerEvent) -> tuple[CallT | None, bool]:
        """Return the call that an event belongs to, if there is one, and whether the event ends it; then `forget` it."""
        lane = (event.stream_id or "")[:MAX_LANE_CHARACTERS]
        if event.type == _CREATED:
            return self._create(lane, event.responds_to), False
        waiting, created = self._waiting.get(lane), self._created.get(lane)
        if event.type == ERROR:
            call = waiting[0] if waiting else created[0] if created else None
        else:
            call = self._by_response.get(event.responds_to or "") or (created[0] if created else None)
        return call, event.type in _ENDS or event.type == ERROR

    def forget(self, call: CallT) -> None:
        """Note that a call is over."""
        for lanes in (self._waiting, self._created):
            for lane, calls in list(lanes.items()):
                lanes[lane] = [one for one in calls if one is not call]
                if not lanes[lane]:
                    del lanes[lane]
        self._by_response = {id_: one for id_, one in self._by_response.items() if one is not call}

    def _create(self, lane: str, response_id: str | None) -> CallT | None:
        waiting = self._waiting.get(lane)
        if not waiting:
            return None
        call = waiting.pop(0)
        if not waiting:
            del self._waiting[lane]
        self._created.setdefault(lane, []).append(call)
        if response_id:
            self._by_response[response_id] = call
        return call
