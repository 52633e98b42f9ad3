"""One request to the demo and its answer, in the terms all three APIs share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct


@dataclass(frozen=True)
class Stamp:
    """What makes an answer unique: letters and digits for its ids, and when it began, in seconds since 1970."""

    key: str
    created: int


class Exchange(Protocol):
    """A request that was understood, and its answer in the shape of its API."""

    @property
    def model(self) -> str:
        """The model that was asked for."""

    @property
    def streaming(self) -> bool:
        """Whether the answer is to come as events."""

    def body(self) -> Mapping[str, Any]:
        """The whole answer as one JSON object."""

    def events(self) -> Iterator[bytes]:
        """The answer as server-sent events."""

    def error_event(self, number: int) -> bytes:
        """The event that ends a failed stream, where it is event `number`, counted from 0."""


class Part(Struct, frozen=True):
    """A piece of a message: its text, or the tool call that it is the result of."""

    type: str = ""
    text: str | None = None
    tool_use_id: str = ""


Content = str | list[Part] | None
"""What a message says, in any of the APIs."""


def last_text(content: Content) -> str:
    """The text of a string, or of the last part that has one."""
    if isinstance(content, list):
        return next((part.text for part in reversed(content) if part.text), "")
    return content or ""


class Turn(Protocol):
    """An item of a conversation."""

    @property
    def role(self) -> str:
        """Whose word it is."""


T = TypeVar("T", bound=Turn)


def last_turn(turns: Sequence[T], otherwise: T) -> T:
    """The last item that is not the client program's own word: Claude Code puts some behind what its user wrote."""
    return next((turn for turn in reversed(turns) if turn.role not in {"system", "developer"}), otherwise)


def data_event(data: Mapping[str, Any]) -> bytes:
    """An event without a name, as chat completions sends them."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def typed_event(data: Mapping[str, Any]) -> bytes:
    """An event named by the `type` of its data, as messages and responses send them."""
    return f"event: {data['type']}\n".encode() + data_event(data)
