"""The authority in a worker: asks the supervisor, which decides for all workers of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from msgspec import structs

from limits.authority import AuthorityUnavailableError
from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from runtime.authority.messages import (
    TO_WORKER,
    Charge,
    DatabaseState,
    DecisionReply,
    End,
    FrameError,
    FromWorker,
    Outbox,
    Ping,
    Restoration,
    Start,
    ToWorker,
    UsageReply,
    UsageRequest,
    read_frames,
)

TICK_SECONDS = 0.25
"""Time between two checks for an answer. A pause of this process counts as one tick, however long it is."""

PING_TICKS = 4
"""Ticks between two pings: one a second."""

ANSWER_TICKS = 4
"""Ticks after a ping in which nothing came of the supervisor, so that it counts as unavailable."""

MAX_WAITING = 10_000
"""Requests that wait for the supervisor; one more is refused."""

_log = logging.getLogger(__name__)


class WorkerAuthority:
    """The supervisor's decisions in a worker, on one event loop. It does no I/O; a link carries its messages.

    Attributes:
        outbox: Messages for the supervisor. Of several charges of a request the last one counts.
        unavailable: Whether the supervisor does not answer, so that nothing is admitted.
        database_unavailable: Whether the supervisor decides alone, without the database of a cluster.
        scope: Whose requests the supervisor counts together: those of this `server`, or of a `cluster`.
    """

    def __init__(self) -> None:
        self.outbox: Outbox[FromWorker] = Outbox()
        self.unavailable = False
        self.database_unavailable = False
        self.scope: Literal["server", "cluster"] = "server"
        self._number = 0
        self._unheard: int | None = None
        self._undecided: dict[int, asyncio.Future[Decision]] = {}
        self._running: set[int] = set()
        self._usages: dict[int, asyncio.Future[Sequence[LimitState]]] = {}

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request; see `limits.authority.Authority`.

        Raises:
            AuthorityUnavailableError: The supervisor did not answer the last ping within a second.
        """
        if self.unavailable or len(self._undecided) >= MAX_WAITING:
            raise AuthorityUnavailableError
        self._number += 1
        number = self._number
        waiting: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._undecided[number] = waiting
        self.outbox.put((Start, number), Start(number, tuple(limits), reserve))
        try:
            return await waiting
        except asyncio.CancelledError:
            self.end(number)
            raise

    def charge(self, number: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start; see `limits.authority.Authority`."""
        if number not in self._running:
            return
        before = self.outbox.find((Charge, number))
        if reserve is None and isinstance(before, Charge):
            reserve = before.reserve
        self.outbox.put((Charge, number), Charge(number, amounts, reserve))

    def end(self, number: int) -> None:
        """A request is over, decided or not. Again is harmless."""
        known = self._undecided.pop(number, None) is not None or number in self._running
        self._running.discard(number)
        if known:
            self._give_back(number)

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Have at least this much of a budget used in a period; see `limits.authority.Authority`."""
        restoration = Restoration(limit, used, begin_ns)
        self.outbox.put(restoration, restoration)

    async def usage(self, most: int) -> Sequence[LimitState]:
        """How much of the limits all workers use; nothing is known while the supervisor does not answer."""
        if self.unavailable:
            return ()
        self._number += 1
        number = self._number
        self._usages[number] = asyncio.get_running_loop().create_future()
        self.outbox.put((UsageRequest, number), UsageRequest(number, most))
        try:
            return await self._usages[number]
        finally:
            self._usages.pop(number, None)

    def tick(self, *, ping: bool = False) -> None:
        """Notice a supervisor that does not answer a ping; with `ping`, send another one."""
        if self._unheard is not None:
            self._unheard += 1
            if self._unheard == ANSWER_TICKS and not self.unavailable:
                self._give_up()
        if ping:
            self.outbox.put(Ping, Ping())
            self._unheard = self._unheard or 0

    def received(self, message: ToWorker) -> None:
        """Handle a message of the supervisor."""
        self._unheard = None
        if self.unavailable:
            self.unavailable = False
            _log.info("the supervisor answers: requests are admitted again")
        match message:
            case DecisionReply(number, decision):
                waiting = self._undecided.pop(number, None)
                if waiting is None:  # its end is on the way
                    return
                if decision.ticket is not None:
                    self._running.add(number)
                    decision = structs.replace(decision, ticket=number)
                if not waiting.done():
                    waiting.set_result(decision)
            case UsageReply(number, states):
                if (asked := self._usages.get(number)) is not None and not asked.done():
                    asked.set_result(states)
            case DatabaseState(unavailable):
                self.database_unavailable = unavailable

    def _give_back(self, number: int) -> None:
        """End a request at the supervisor, unless that does not know it."""
        if not self.outbox.remove((Start, number)):
            self.outbox.put((End, number), End(number))

    def _give_up(self) -> None:
        """Refuse all that waits. What the supervisor admits of it later is given back."""
        self.unavailable = True
        _log.warning("the supervisor does not answer: requests are refused")
        undecided, self._undecided = self._undecided, {}
        for number, waiting in undecided.items():
            self._give_back(number)
            if not waiting.done():
                waiting.set_exception(AuthorityUnavailableError())
        for number, asked in self._usages.items():
            self.outbox.remove((UsageRequest, number))
            if not asked.done():
                asked.set_result(())


class WorkerLink:
    """A worker's end of the socket.

    Args:
        on_lost: Called when the supervisor is gone, or violates the protocol.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_lost: Callable[[], None]) -> None:
        self.authority = WorkerAuthority()
        self._writer = writer
        self._on_lost = on_lost
        self._tasks: list[asyncio.Task[None]] = []
        self._begin(self._receive(reader))

    def serve(self) -> None:
        """Report to the supervisor that this worker serves."""
        self._writer.write(b"\n")
        self._begin(self.authority.outbox.send(self._writer))
        self._begin(self._tick())

    def close(self) -> None:
        """End it, with the worker."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))  # noqa: TID251 - cancelled by `close`

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        try:
            async for messages in read_frames(reader, TO_WORKER):
                for message in messages:
                    self.authority.received(message)
        except FrameError as error:
            _log.error("closing the link to the supervisor: %s", error)
        self._on_lost()

    async def _tick(self) -> None:
        while True:
            for number in range(PING_TICKS):
                self.authority.tick(ping=number == 0)
                await asyncio.sleep(TICK_SECONDS)
