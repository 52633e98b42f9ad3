"""The authority in the supervisor: decides for all workers. Each has a desk, as long as its socket lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from limits.authority import HostedAuthority
from limits.limit import Decision
from runtime.authority.frames import FrameError
from runtime.authority.messages import (
    ALIVE,
    MAX_ITEMS,
    Adoption,
    DecisionReply,
    FromWorker,
    Report,
    Start,
    ToWorker,
    UsageReply,
    UsageRequest,
)
from runtime.authority.rounds import Rounds


class ServerAuthority:
    """Decides for the workers of a server, on one event loop.

    Args:
        authority: What decides.
        elsewhere: What other servers say of themselves, as JSON.
    """

    def __init__(self, authority: HostedAuthority, elsewhere: Callable[[], Sequence[bytes]] = tuple) -> None:
        self._authority = authority
        self._elsewhere = elsewhere
        self._rounds: Rounds[Desk] = Rounds()

    def open_desk(self, wake: Callable[[], None]) -> Desk:
        """Serve one more worker; `wake` is called when there is a message for it."""
        desk = Desk(self._authority, self._rounds, self._elsewhere, wake)
        self._rounds.join(desk)
        self.send_state()  # there is one share more
        return desk

    def send_state(self) -> None:
        """Send all workers, if it changed, whether the server decides alone, and among how many limits are shared."""
        for desk in self._rounds.participants:
            desk.wake()

    def reports(self) -> list[bytes]:
        """The last reports of the workers, as JSON; new ones are requested for the next time."""
        for desk in self._rounds.participants:
            desk.request_report()
        return [desk.said for desk in self._rounds.participants if desk.said]


class Desk:
    """The state of one worker at the authority. It does no I/O; a link carries its messages.

    Attributes:
        wake: Called when there is a message for the worker, and perhaps when there is none.
        said: The last report of the worker, as JSON; empty until there is one.
    """

    def __init__(
        self,
        authority: HostedAuthority,
        rounds: Rounds[Desk],
        elsewhere: Callable[[], Sequence[bytes]],
        wake: Callable[[], None],
    ) -> None:
        self._authority = authority
        self._rounds = rounds
        self._elsewhere = elsewhere
        self.wake = wake
        self.said = b""
        self._owes_report = False
        self._knows_unavailable = False
        self._known_shares = 0
        # By the worker's numbers: its tickets, and decisions in progress.
        self._tickets: dict[int, int] = {}
        self._deciding: dict[int, asyncio.Task[None]] = {}
        self._usage_tasks: set[asyncio.Task[None]] = set()
        self._outgoing = ToWorker()

    def received(self, message: FromWorker) -> None:
        """Handle a message of a worker.

        Raises:
            FrameError: Two requests have the same number.
        """
        for adoption in message.adoptions:
            self._adopt(adoption)
        for charge in message.charges:
            if (held := self._tickets.get(charge.number)) is not None:
                self._authority.charge(held, charge.amounts, charge.reserve)
        for number in message.ends:
            self._end(number)
        for start in message.starts:
            self._start(start)
        for request in message.usage_requests:
            self._send_usage(request)
        for report in message.reports:
            self.said = report.said
            self._owes_report = self._owes_report and report.number != 0
            self._rounds.reported(self, report.number, report.said)
        for restoration in message.restorations:
            self._authority.restore(restoration.limit, restoration.used, restoration.begin_ns)

    def take_outgoing(self) -> ToWorker | None:
        """Return the next message; None if there is none."""
        outgoing, unavailable = self._outgoing, self._authority.unavailable
        shares = len(self._rounds.participants) * self._authority.servers
        if (unavailable, shares) != (self._knows_unavailable, self._known_shares):
            self._knows_unavailable = outgoing.database_unavailable = unavailable
            self._known_shares = outgoing.shares = shares
        elif not (outgoing.decisions or outgoing.usages or outgoing.wanted or outgoing.reports):
            return None
        self._outgoing = later = ToWorker()
        outgoing.decisions, later.decisions = outgoing.decisions[:MAX_ITEMS], outgoing.decisions[MAX_ITEMS:]
        outgoing.usages, later.usages = outgoing.usages[:MAX_ITEMS], outgoing.usages[MAX_ITEMS:]
        outgoing.reports, later.reports = outgoing.reports[:MAX_ITEMS], outgoing.reports[MAX_ITEMS:]
        return outgoing

    def close(self) -> None:
        """The worker is gone: give back what it holds."""
        self._rounds.leave(self)
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            self._authority.end(ticket)
        for task in (*self._deciding.values(), *self._usage_tasks):
            task.cancel()

    def request_report(self) -> None:
        """Request a report of the worker, unless it still owes one."""
        if not self._owes_report:
            self._owes_report = True
            self.want_report(0)

    def want_report(self, number: int) -> None:
        """Request a report of the worker."""
        self._outgoing.wanted.append(number)
        self.wake()

    def send_report(self, number: int, said: bytes) -> None:
        """Send it the report of another one; empty after the last one."""
        self._outgoing.reports.append(Report(number, said))
        self.wake()

    def _check_new(self, number: int) -> None:
        if number in self._tickets or number in self._deciding:
            raise FrameError(f"two requests have the number {number}")

    def _adopt(self, adoption: Adoption) -> None:
        self._check_new(adoption.number)
        ticket = self._authority.count(adoption.limits, adoption.reserve, adoption.charged)
        if adoption.number:
            self._tickets[adoption.number] = ticket
        else:
            self._authority.end(ticket)

    def _start(self, start: Start) -> None:
        self._check_new(start.number)
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
        self._outgoing.decisions.append(DecisionReply.of(start.number, start.limits, decision))
        self.wake()

    def _end(self, number: int) -> None:
        if (ticket := self._tickets.pop(number, None)) is not None:
            self._authority.end(ticket)
        elif (task := self._deciding.get(number)) is not None:
            task.cancel()

    def _send_usage(self, request: UsageRequest) -> None:
        if request == ALIVE:
            self._outgoing.usages.append(UsageReply(request.number, ()))
            self.wake()
            return
        if not request.most:
            for said in self._elsewhere():
                self.send_report(request.number, said)
            self._rounds.request_reports(self, request.number)
            return
        task = asyncio.create_task(self._work_out_usage(request))  # noqa: TID251 - cancelled with the desk
        self._usage_tasks.add(task)
        task.add_done_callback(self._usage_tasks.discard)

    async def _work_out_usage(self, request: UsageRequest) -> None:
        states = await self._authority.usage(request.most)
        self._outgoing.usages.append(UsageReply(request.number, tuple(states)))
        self.wake()
