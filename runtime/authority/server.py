"""The authority in the supervisor: decides for all workers. Each has a desk, as long as its socket lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from limits.authority import HostedAuthority
from limits.limit import Decision
from runtime.authority.messages import (
    MAX_ITEMS,
    DecisionReply,
    FrameError,
    FromWorker,
    Start,
    ToWorker,
    UsageReply,
    UsageRequest,
)


class ServerAuthority:
    """Decides for the workers of a server, on one event loop.

    Args:
        authority: What decides.

    Attributes:
        desks: One for each worker.
    """

    def __init__(self, authority: HostedAuthority) -> None:
        self.authority = authority
        self.desks: set[Desk] = set()

    def open_desk(self, wake: Callable[[], None]) -> Desk:
        """Serve one more worker; `wake` is called when there is a message for it."""
        desk = Desk(self, wake)
        self.desks.add(desk)
        desk.wake()
        return desk

    def send_state(self) -> None:
        """Tell all workers whether the server decides alone, where that changed."""
        for desk in self.desks:
            desk.wake()


class Desk:
    """The state of one worker at the authority. It does no I/O; a link carries its messages.

    Attributes:
        wake: Called when there is a message for the worker, and perhaps when there is none.
    """

    def __init__(self, server: ServerAuthority, wake: Callable[[], None]) -> None:
        self._server = server
        self._authority = server.authority
        self.wake = wake
        self._knows_unavailable = False
        # By the worker's numbers: its tickets, and decisions in progress.
        self._tickets: dict[int, int] = {}
        self._deciding: dict[int, asyncio.Task[None]] = {}
        self._usage_tasks: set[asyncio.Task[None]] = set()
        self._outgoing = ToWorker()

    def received(self, message: FromWorker) -> None:
        """Handle a message of the worker.

        Raises:
            FrameError: Two requests have the same number.
        """
        for charge in message.charges:
            if (held := self._tickets.get(charge.number)) is not None:
                self._authority.charge(held, charge.amounts, charge.reserve)
        for number in message.ends:
            self._end(number)
        for start in message.starts:
            self._start(start)
        for request in message.usage_requests:
            self._send_usage(request)
        for restoration in message.restorations:
            self._authority.restore(restoration.limit, restoration.used, restoration.begin_ns)
        if message.is_ping:
            self._outgoing.is_pong = True
            self.wake()

    def take_outgoing(self) -> ToWorker | None:
        """Return the next message; None if there is none."""
        outgoing, unavailable = self._outgoing, self._authority.unavailable
        if unavailable != self._knows_unavailable:
            self._knows_unavailable = outgoing.database_unavailable = unavailable
        elif not (outgoing.decisions or outgoing.usages or outgoing.is_pong):
            return None
        self._outgoing = later = ToWorker()
        outgoing.decisions, later.decisions = outgoing.decisions[:MAX_ITEMS], outgoing.decisions[MAX_ITEMS:]
        outgoing.usages, later.usages = outgoing.usages[:MAX_ITEMS], outgoing.usages[MAX_ITEMS:]
        return outgoing

    def close(self) -> None:
        """The worker is gone: give back what it holds."""
        self._server.desks.discard(self)
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            self._authority.end(ticket)
        for task in (*self._deciding.values(), *self._usage_tasks):
            task.cancel()

    def _start(self, start: Start) -> None:
        if start.number in self._tickets or start.number in self._deciding:
            raise FrameError(f"two requests have the number {start.number}")
        decision = self._authority.start_now(start.limits, start.reserve)
        if decision is not None:
            self._decided(start, decision)
            return
        task = asyncio.create_task(self._decide(start))  # noqa: TID251 - cancelled with its request, or with the desk
        self._deciding[start.number] = task
        task.add_done_callback(lambda _: self._deciding.pop(start.number))

    async def _decide(self, start: Start) -> None:
        self._decided(start, await self._authority.start(start.limits, start.reserve))

    def _decided(self, start: Start, decision: Decision) -> None:
        if decision.ticket is not None:
            self._tickets[start.number] = decision.ticket
        self._outgoing.decisions.append(DecisionReply(start.number, decision))
        self.wake()

    def _end(self, number: int) -> None:
        if (ticket := self._tickets.pop(number, None)) is not None:
            self._authority.end(ticket)
        elif (task := self._deciding.get(number)) is not None:
            task.cancel()

    def _send_usage(self, request: UsageRequest) -> None:
        task = asyncio.create_task(self._work_out_usage(request))  # noqa: TID251 - cancelled with the desk
        self._usage_tasks.add(task)
        task.add_done_callback(self._usage_tasks.discard)

    async def _work_out_usage(self, request: UsageRequest) -> None:
        states = await self._authority.usage(request.most)
        self._outgoing.usages.append(UsageReply(request.number, tuple(states)))
        self.wake()
