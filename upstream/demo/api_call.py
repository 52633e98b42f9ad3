"""A call of the demo in the terms that all three APIs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from upstream.demo.generation import generate


@dataclass(frozen=True)
class Stamp:
    """What makes a response unique: letters and digits for its ids, and when it began, in seconds since 1970."""

    key: str
    created: int


class ApiCall(ABC):
    """A parsed request, and its response in the shape of its API.

    Each API has a class of its own. It raises `msgspec.DecodeError` for a body that is not one of its requests, which
    `decoder` reads.

    Attributes:
        model: The requested model.
        streaming: Whether the response is a stream of events.
    """

    decoder: ClassVar[Decoder[Any]]

    def __init__(self, raw: bytes, stamp: Stamp) -> None:
        self._raw = raw
        self._request = self.decoder.decode(raw)
        self._stamp = stamp
        self._generation = generate(self._request.generation_request(len(raw)))
        self.model: str = self._request.model
        self.streaming = bool(self._request.stream)

    @abstractmethod
    def body(self) -> Mapping[str, Any]:
        """The whole response as one JSON object."""

    @abstractmethod
    def events(self) -> Iterator[bytes]:
        """The response as server-sent events."""

    @abstractmethod
    def error_event(self, number: int) -> bytes:
        """The event that ends a failed stream, where it is event `number`, counted from 0."""


class Part(Struct, frozen=True):
    """A piece of a message: its text, or the tool call that it is the result of."""

    type: str = ""
    text: str | None = None
    tool_use_id: str = ""


Content = str | list[Part] | None
"""The content of a message, in any of the APIs."""


def last_text(content: Content) -> str:
    """The text of a string, or of the last part that has one."""
    if isinstance(content, list):
        return next((part.text for part in reversed(content) if part.text), "")
    return content or ""


class HasRole(Protocol):
    """A message of a conversation."""

    @property
    def role(self) -> str:
        """Who wrote it."""


T = TypeVar("T", bound=HasRole)


def last_message(messages: Sequence[T], otherwise: T) -> T:
    """The last message that is not of the client program itself: Claude Code adds some after its user's."""
    return next((message for message in reversed(messages) if message.role not in {"system", "developer"}), otherwise)


def data_event(data: Mapping[str, Any]) -> bytes:
    """An event without a name, as chat completions sends them."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def typed_event(data: Mapping[str, Any]) -> bytes:
    """An event named by the `type` of its data, as messages and responses send them."""
    return f"event: {data['type']}\n".encode() + data_event(data)
