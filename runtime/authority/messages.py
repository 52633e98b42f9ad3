"""The messages about limits between a worker and its supervisor: MessagePack in frames with four bytes of length.

A worker numbers its requests. With that number it ends a request before it knows the decision: messages keep their order,
so the supervisor has seen the start by then. One message holds everything of one event loop iteration.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from limits.limit import Amounts, Decision, Limit, LimitState

HEADER_BYTES = 4

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The largest message. What one event loop iteration brings is far smaller."""

MAX_ITEMS = 50
"""Requests in one message; more go into the next. One of a user in 100 groups may have 800 limits, which take 100 KB."""


class FrameError(Exception):
    """The received bytes are not a frame, or not a message of the other side."""


class Start(Struct, array_like=True, frozen=True):
    """A request needs a decision."""

    number: int
    limits: tuple[Limit, ...]
    reserve: Amounts


class Charge(Struct, array_like=True, frozen=True):
    """What a request has used since its start, and what is reserved for it from now on; None is as before."""

    number: int
    amounts: Amounts
    reserve: Amounts | None


class Restoration(Struct, array_like=True, frozen=True):
    """How much of a budget is used at least, in micro-dollars, in the period that began then."""

    limit: Limit
    used: int
    begin_ns: int


class UsageRequest(Struct, array_like=True, frozen=True):
    """Requests how much of the limits is used, of at most `most` keys each."""

    number: int
    most: int


class FromWorker(Struct, array_like=True):
    """Everything that a worker sends at once; it is handled in the order of the fields.

    `is_ping` asks the supervisor to answer.
    """

    charges: list[Charge] = []
    ends: list[int] = []
    starts: list[Start] = []
    usage_requests: list[UsageRequest] = []
    restorations: list[Restoration] = []
    is_ping: bool = False


class DecisionReply(Struct, array_like=True, frozen=True):
    """What is decided about a request. The ticket in it is the supervisor's own; the worker knows its number."""

    number: int
    decision: Decision


class UsageReply(Struct, array_like=True, frozen=True):
    """How much of the limits is used, by all workers."""

    number: int
    states: tuple[LimitState, ...]


class ToWorker(Struct, array_like=True):
    """Everything that the supervisor sends at once.

    Attributes:
        is_pong: Whether it answers a ping.
        database_unavailable: Whether the server decides alone, without the database; None is as before.
    """

    decisions: list[DecisionReply] = []
    usages: list[UsageReply] = []
    is_pong: bool = False
    database_unavailable: bool | None = None


M = TypeVar("M", FromWorker, ToWorker)
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: FromWorker | ToWorker) -> bytes:
    """Put a message into a frame.

    Raises:
        FrameError: It is too large.
    """
    payload = _ENCODER.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(payload)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


class MessageReader(Generic[M]):
    """Reads the messages of the other side. It holds at most one unfinished frame and the last received bytes.

    Args:
        type_: `FromWorker` in a supervisor, `ToWorker` in a worker.
    """

    def __init__(self, type_: type[M]) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(type_)
        self._received = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """Take what arrived; return all messages that are whole now.

        Raises:
            FrameError: A frame is too large, or has no such message. Nothing more can be read.
        """
        received = self._received
        received += data
        messages: list[M] = []
        start = 0
        while (begin := start + HEADER_BYTES) <= len(received):
            size = int.from_bytes(received[start:begin], "big")
            if size > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {size} bytes; at most {MAX_FRAME_BYTES} are allowed")
            if begin + size > len(received):
                break
            try:
                messages.append(self._decoder.decode(bytes(received[begin : begin + size])))
            except msgspec.DecodeError as error:
                raise FrameError(f"not a message of the other side: {error}") from error
            start = begin + size
        del received[:start]
        return messages
