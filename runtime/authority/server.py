"""The authority in the supervisor: decides for all workers. Each has a desk, as long as its socket lasts."""

from __future__ import annotations

import asyncio
import logging

from limits.authority import Authority
from runtime.authority.messages import (
    FROM_WORKER,
    Charge,
    DatabaseState,
    DecisionReply,
    End,
    FrameError,
    FromWorker,
    Outbox,
    Ping,
    Pong,
    Restoration,
    Start,
    ToWorker,
    UsageReply,
    UsageRequest,
    read_frames,
)

_log = logging.getLogger(__name__)


class ServerAuthority:
    """Decides for the workers of a server, on one event loop.

    Args:
        authority: What decides.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._desks: set[Desk] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Decide for a worker that serves, until it is gone; what it holds is freed then.

        Nothing is read while it reads nothing. One that violates the protocol ends as its socket is closed.
        """
        desk = self.open_desk()
        sending = asyncio.create_task(desk.outbox.send(writer))  # noqa: TID251 - cancelled below
        try:
            async for messages in read_frames(reader, FROM_WORKER):
                for message in messages:
                    desk.received(message)
                await writer.drain()
        except FrameError as error:
            _log.error("closing the link to a worker: %s", error)
        except ConnectionError:
            pass  # it is gone
        finally:
            self.close_desk(desk)
            sending.cancel()
            writer.close()

    def open_desk(self) -> Desk:
        """Serve one more worker."""
        desk = Desk(self.authority)
        self._desks.add(desk)
        if self.authority.unavailable:
            desk.send_state()
        return desk

    def close_desk(self, desk: Desk) -> None:
        """Serve a worker no more, and give back what it holds."""
        self._desks.discard(desk)
        desk.close()

    def send_state(self) -> None:
        """Tell all workers whether the server decides alone."""
        for desk in self._desks:
            desk.send_state()


class Desk:
    """The state of one worker at the authority. It does no I/O.

    Attributes:
        outbox: Messages for the worker.
    """

    def __init__(self, authority: Authority) -> None:
        self.outbox: Outbox[ToWorker] = Outbox()
        self._authority = authority
        # By the worker's numbers: its tickets, and decisions in progress.
        self._tickets: dict[int, int] = {}
        self._deciding: dict[int, asyncio.Task[None]] = {}
        self._usage_tasks: set[asyncio.Task[None]] = set()

    def received(self, message: FromWorker) -> None:
        """Handle a message of the worker.

        Raises:
            FrameError: Two requests have the same number.
        """
        match message:
            case Start():
                self._start(message)
            case Charge(number, amounts, reserve):
                if (ticket := self._tickets.get(number)) is not None:
                    self._authority.charge(ticket, amounts, reserve)
            case End(number):
                if (ticket := self._tickets.pop(number, None)) is not None:
                    self._authority.end(ticket)
                elif (deciding := self._deciding.get(number)) is not None:
                    deciding.cancel()
            case UsageRequest():
                asked = asyncio.create_task(self._work_out_usage(message))  # noqa: TID251 - cancelled with the desk
                self._usage_tasks.add(asked)
                asked.add_done_callback(self._usage_tasks.discard)
            case Restoration(limit, used, begin_ns):
                self._authority.restore(limit, used, begin_ns)
            case Ping():
                self.outbox.put(Pong, Pong())

    def send_state(self) -> None:
        """Tell the worker whether the server decides alone."""
        self.outbox.put(DatabaseState, DatabaseState(self._authority.unavailable))

    def close(self) -> None:
        """The worker is gone: give back what it holds."""
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            self._authority.end(ticket)
        for task in (*self._deciding.values(), *self._usage_tasks):
            task.cancel()

    def _start(self, start: Start) -> None:
        if start.number in self._tickets or start.number in self._deciding:
            raise FrameError(f"two requests have the number {start.number}")
        task = asyncio.create_task(self._decide(start))  # noqa: TID251 - cancelled with its request, or with the desk
        self._deciding[start.number] = task
        task.add_done_callback(lambda _: self._deciding.pop(start.number))

    async def _decide(self, start: Start) -> None:
        decision = await self._authority.start(start.limits, start.reserve)
        if decision.ticket is not None:
            self._tickets[start.number] = decision.ticket
        self.outbox.put((Start, start.number), DecisionReply(start.number, decision))

    async def _work_out_usage(self, request: UsageRequest) -> None:
        states = await self._authority.usage(request.most)
        self.outbox.put((UsageRequest, request.number), UsageReply(request.number, tuple(states)))
