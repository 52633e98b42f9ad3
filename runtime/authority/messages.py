"""The messages about limits between a worker and its supervisor: MessagePack in frames with four bytes of length.

The worker first sends one line: empty when it serves, else the reason why not. From then on both sides send frames, each with
a list of messages in their order. A worker numbers its requests. With that number it ends a request before it knows the
decision: the supervisor has seen the start by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import suppress
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from limits.limit import Amounts, Decision, Limit, LimitState

HEADER_BYTES = 4

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The largest frame. What one event loop iteration brings is far smaller."""

MAX_ITEMS = 50
"""Messages in one frame; more go into the next. One of a user in 100 groups may have 800 limits, which take 100 KB."""


class FrameError(Exception):
    """The received bytes are not a frame, or not messages of the other side."""


class Start(Struct, array_like=True, frozen=True, tag=True):
    """A request needs a decision."""

    number: int
    limits: tuple[Limit, ...]
    reserve: Amounts


class Charge(Struct, array_like=True, frozen=True, tag=True):
    """What a request has used since its start, and what is reserved for it from now on; None is as before."""

    number: int
    amounts: Amounts
    reserve: Amounts | None


class End(Struct, array_like=True, frozen=True, tag=True):
    """A request is over, decided or not."""

    number: int


class Restoration(Struct, array_like=True, frozen=True, tag=True):
    """How much of a budget is used at least, in micro-dollars, in the period that began then."""

    limit: Limit
    used: int
    begin_ns: int


class UsageRequest(Struct, array_like=True, frozen=True, tag=True):
    """Requests how much of the limits is used, of at most `most` keys each."""

    number: int
    most: int


class Ping(Struct, array_like=True, frozen=True, tag=True):
    """Asks the supervisor to answer."""


class DecisionReply(Struct, array_like=True, frozen=True, tag=True):
    """What is decided about a request. The ticket in it is the supervisor's own; the worker knows its number."""

    number: int
    decision: Decision


class UsageReply(Struct, array_like=True, frozen=True, tag=True):
    """How much of the limits is used, by all workers."""

    number: int
    states: tuple[LimitState, ...]


class DatabaseState(Struct, array_like=True, frozen=True, tag=True):
    """Whether the server decides alone, without the database."""

    unavailable: bool


class Pong(Struct, array_like=True, frozen=True, tag=True):
    """Answers a ping."""


FromWorker: TypeAlias = Start | Charge | End | Restoration | UsageRequest | Ping
ToWorker: TypeAlias = DecisionReply | UsageReply | DatabaseState | Pong
M = TypeVar("M")

FROM_WORKER: Final = msgspec.msgpack.Decoder(list[FromWorker])
TO_WORKER: Final = msgspec.msgpack.Decoder(list[ToWorker])


def encode(messages: list[M]) -> bytes:
    """Put messages into a frame."""
    payload = msgspec.msgpack.encode(messages)
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


async def read_frames(
    reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[list[M]]
) -> AsyncIterator[list[M]]:
    """The messages of each frame, until the other side is gone.

    Raises:
        FrameError: A frame is too large, or has no such messages.
    """
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            size = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
            if size > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {size} bytes; at most {MAX_FRAME_BYTES} are allowed")
            try:
                messages = decoder.decode(await reader.readexactly(size))
            except msgspec.DecodeError as error:
                raise FrameError(f"not a message of the other side: {error}") from error
            yield messages


class Outbox(Generic[M]):
    """Messages for the other side, in their order, each under a key. Bounded by its keys, while the other side reads nothing.

    A message takes the place of one under the same key that is not sent yet.
    """

    def __init__(self) -> None:
        self._messages: dict[Hashable, M] = {}
        self._filled = asyncio.Event()

    def put(self, key: Hashable, message: M) -> None:
        """Have a message sent."""
        self._messages[key] = message
        self._filled.set()

    def find(self, key: Hashable) -> M | None:
        """A message that is not sent yet."""
        return self._messages.get(key)

    def remove(self, key: Hashable) -> bool:
        """Remove a message; return whether it was not sent yet."""
        return self._messages.pop(key, None) is not None

    def take(self) -> list[M]:
        """Remove and return the messages of the next frame."""
        return [self._messages.pop(key) for key in list(islice(self._messages, MAX_ITEMS))]

    async def send(self, writer: asyncio.StreamWriter) -> None:
        """Send what there is, until cancelled or the other side is gone: what an event loop iteration brings in one frame."""
        with suppress(ConnectionError):
            while await self._filled.wait():
                self._filled.clear()
                while messages := self.take():
                    writer.write(encode(messages))
                    await writer.drain()
