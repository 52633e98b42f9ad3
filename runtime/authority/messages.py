"""The messages about limits between a worker and its supervisor, as MessagePack in frames.

A worker numbers its requests. With that number it ends a request before it knows the decision: messages keep their order,
so the supervisor has seen the start by then. One message holds everything of one event loop iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import msgspec
from msgspec import Struct

from limits.limit import Amounts, Decision, Limit, LimitState
from runtime.authority.frames import FrameError, frame

MAX_ITEMS = 50
"""Items of a kind in one message; more go into the next. A request of a user in 100 groups may have 800 limits, which take
100 KB: as many of these, with as many that the worker admitted by itself, fit into a frame."""


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


class Adoption(Struct, array_like=True, frozen=True):
    """A request that the worker admitted by itself. `number` is 0 if it has ended."""

    number: int
    limits: tuple[Limit, ...]
    reserve: Amounts
    charged: Amounts


class Restoration(Struct, array_like=True, frozen=True):
    """How much of a budget is used at least, in micro-dollars, in the period that began then."""

    limit: Limit
    used: int
    begin_ns: int


class UsageRequest(Struct, array_like=True, frozen=True):
    """Requests the usage of limits, of at most `most` keys each; with 0 the reports of all others.

    `ALIVE` only checks that the supervisor is there. The reply comes at once, with no usage.
    """

    number: int
    most: int


ALIVE: Final = UsageRequest(0, -1)


class Report(Struct, array_like=True, frozen=True):
    """The state of a worker, as JSON; empty after the last one.

    `number` is that of the request; 0 if the supervisor requested it for itself.
    """

    number: int
    said: bytes


class FromWorker(Struct, array_like=True):
    """Everything that a worker sends at once; it is handled in the order of the fields."""

    adoptions: list[Adoption] = []
    charges: list[Charge] = []
    ends: list[int] = []
    starts: list[Start] = []
    usage_requests: list[UsageRequest] = []
    reports: list[Report] = []
    restorations: list[Restoration] = []


class Use(Struct, array_like=True, frozen=True):
    """`LimitState` without its limit: that is the one of the request with this index, which the worker knows."""

    index: int
    used: int
    remaining: int
    retry_after_ns: int
    reset_ns: int
    reserved: int

    @classmethod
    def of(cls, index: int, state: LimitState) -> Self:
        """The state of the limit with an index."""
        return cls(index, state.used, state.remaining, state.retry_after_ns, state.reset_ns, state.reserved)

    def state(self, limits: Sequence[Limit]) -> LimitState:
        """The state, with its limit.

        Raises:
            FrameError: There is no such limit.
        """
        if not 0 <= self.index < len(limits):
            raise FrameError(f"no limit has the index {self.index}")
        return LimitState(
            limits[self.index], self.used, self.remaining, self.retry_after_ns, self.reset_ns, self.reserved
        )


class DecisionReply(Struct, array_like=True, frozen=True):
    """A decision. `refused_by` is the index of a limit of the request, -1 if it is admitted."""

    number: int
    refused_by: int
    uses: tuple[Use, ...]
    retry_after_ns: int
    shadow: tuple[Use, ...]

    @classmethod
    def of(cls, number: int, limits: Sequence[Limit], decision: Decision) -> Self:
        """The decision on a request with these limits."""
        refused_by = -1 if decision.refused_by is None else limits.index(decision.refused_by.limit)
        uses = tuple([Use.of(index, state) for index, state in enumerate(decision.states)])
        shadow = tuple([Use.of(limits.index(state.limit), state) for state in decision.shadow])
        return cls(number, refused_by, uses, decision.retry_after_ns, shadow)

    def decision(self, limits: Sequence[Limit]) -> Decision:
        """The decision, whose ticket is the number of the request.

        Raises:
            FrameError: It is not about these limits.
        """
        states = tuple([use.state(limits) for use in self.uses])
        shadow = tuple([use.state(limits) for use in self.shadow])
        if self.refused_by < 0:
            return Decision(self.number, states, None, 0, shadow)
        if self.refused_by >= len(states):
            raise FrameError(f"no limit has the index {self.refused_by}")
        return Decision(None, states, states[self.refused_by], self.retry_after_ns, shadow)


class UsageReply(Struct, array_like=True, frozen=True):
    """How much of the limits is used, by all workers."""

    number: int
    states: tuple[LimitState, ...]


class ToWorker(Struct, array_like=True):
    """Everything that the supervisor sends at once.

    Attributes:
        wanted: Numbers of requests for a report.
        database_unavailable: Whether the server decides alone, without the database; None is as before.
        shares: Among how many workers of all servers a limit is shared; 0 is as before.
    """

    decisions: list[DecisionReply] = []
    usages: list[UsageReply] = []
    wanted: list[int] = []
    reports: list[Report] = []
    database_unavailable: bool | None = None
    shares: int = 0


_ENCODER: Final = msgspec.msgpack.Encoder()
_FROM_WORKER: Final = msgspec.msgpack.Decoder(FromWorker)
_TO_WORKER: Final = msgspec.msgpack.Decoder(ToWorker)


def encode(message: FromWorker | ToWorker) -> bytes:
    """A message in its frame.

    Raises:
        FrameError: It is too large.
    """
    return frame(_ENCODER.encode(message))


def decode_from_worker(payload: bytes) -> FromWorker:
    """Read a message of a worker.

    Raises:
        FrameError: It is not one.
    """
    try:
        return _FROM_WORKER.decode(payload)
    except msgspec.DecodeError as error:
        raise FrameError(f"not a message of a worker: {error}") from error


def decode_to_worker(payload: bytes) -> ToWorker:
    """Read a message of the supervisor.

    Raises:
        FrameError: It is not one.
    """
    try:
        return _TO_WORKER.decode(payload)
    except msgspec.DecodeError as error:
        raise FrameError(f"not a message of the supervisor: {error}") from error
