"""The authority in a worker: asks the supervisor, and decides alone while it does not answer.

What the supervisor admits is remembered here, so that a worker that is alone knows what it has admitted. What it admits
alone is counted by the supervisor once it answers again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from limits.limiter import Limiter
from runtime.authority.alone import Alone, Request, adoption_of, is_near
from runtime.authority.messages import (
    ALIVE,
    Charge,
    DecisionReply,
    FromWorker,
    Report,
    Restoration,
    Start,
    ToWorker,
    UsageRequest,
)
from runtime.authority.outgoing import Outgoing
from runtime.authority.polls import Poll

TICK_SECONDS = 0.25
"""Time between two checks of what waits for a reply. A pause of this process counts as one tick, however long it is."""

ANSWER_TICKS = 12
"""Ticks without a message after which the supervisor counts as unavailable."""

DECISION_TICKS = 40
"""Ticks that a decision may take if the supervisor is there but waits for the database."""

MAX_WAITING = 10_000
"""Requests that wait for the supervisor; one more, and it counts as unavailable."""

MAX_ADMITTED_ALONE = 10_000
"""Requests admitted alone that are remembered for the supervisor; the oldest is forgotten first."""

HURRY_NS = 1_000_000_000
"""After this time the states of limits in a decision are stale."""

_log = logging.getLogger(__name__)


class WorkerAuthority:
    """The supervisor's decisions in a worker, on one event loop. It does no I/O; a link carries its messages.

    Args:
        local: Decides while this process is alone.
        wake: Called when there is a message to send at once.
        wake_later: Called when there is a message that may wait for others.
        now_ns: A monotonic clock, in nanoseconds.

    Attributes:
        report: Makes the report of this process, as JSON.
        unavailable: Whether the supervisor does not answer, so that this process decides alone.
        database_unavailable: Whether the supervisor decides alone, without the database of a cluster.
        scope: Whose requests the supervisor counts together: those of this `server`, or of a `cluster`.
    """

    def __init__(
        self,
        local: Limiter,
        *,
        wake: Callable[[], None],
        wake_later: Callable[[], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._own = Alone(local, now_ns)
        self._wake = wake
        self._wake_later = wake_later
        self._now_ns = now_ns
        self.report: Callable[[], bytes] = bytes
        self.unavailable = False
        self.database_unavailable = False
        self._shares = 1
        self.scope: Literal["server", "cluster"] = "server"
        self._number = 0
        self._tick = 0
        self._heard = 0
        self._undecided: dict[int, Request] = {}
        self._polls: dict[int, Poll] = {}
        self._running: dict[int, Request] = {}
        # Decided alone: all that was admitted, and what the supervisor has yet to decide.
        self._alone: dict[int, Request] = {}
        self._late: dict[int, Request | None] = {}
        self._outgoing = Outgoing()

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request; see `limits.authority.Authority`. Waits for `DECISION_TICKS` at most."""
        self._number += 1
        number = self._number
        request = Request(tuple(limits), reserve, self._tick, self._now_ns())
        if not self.unavailable and len(self._undecided) >= MAX_WAITING:
            self._stand_alone()
        if self.unavailable:
            decision = self._decide_alone(number, request)
            if decision.ticket is not None:
                self._remember(number, request)
            return decision
        request.future = asyncio.get_running_loop().create_future()
        self._undecided[number] = request
        self._outgoing.starts[number] = Start(number, request.limits, reserve)
        self._wake()
        try:
            return await request.future
        except asyncio.CancelledError:
            self.end(number)
            raise

    def charge(self, number: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start; see `limits.authority.Authority`."""
        request = self._running.get(number)
        if request is None:
            return
        self._own.charge(request, amounts, reserve)
        if number in self._alone or number in self._late:
            return
        if reserve is None and (before := self._outgoing.charges.get(number)) is not None:
            reserve = before.reserve
        self._outgoing.charges[number] = Charge(number, amounts, reserve)
        self._wake_later()

    def end(self, number: int) -> None:
        """A request is over, decided or not. Again is harmless."""
        if self._outgoing.starts.pop(number, None) is not None:  # the supervisor does not know it
            del self._undecided[number]
            return
        was_undecided = self._undecided.pop(number, None) is not None
        request = self._running.pop(number, None)
        if request is not None:
            self._own.end(request)
            if number in self._alone or number in self._late:
                return
        if was_undecided or request is not None:
            self._outgoing.ends.append(number)
            if request is None or request.near or self._now_ns() - request.at_ns > HURRY_NS:
                self._wake()
            else:
                self._wake_later()

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Have at least this much of a budget used in a period; see `limits.authority.Authority`."""
        self._own.restore(limit, used, begin_ns)
        self._outgoing.restorations.append(Restoration(limit, used, begin_ns))
        self._wake_later()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """How much of the limits all workers use; of this one alone while the supervisor does not answer."""
        states: Sequence[LimitState] = await self._poll(most) if not self.unavailable else self._own.usage(most)
        return states

    async def reports(self) -> list[bytes]:
        """The reports of the other workers and servers, as JSON; none while the supervisor does not answer."""
        said: list[bytes] = await self._poll(0) if not self.unavailable else []
        return said

    @property
    def waiting(self) -> bool:
        """Whether something waits for a reply, so that `tick` has to be called every `TICK_SECONDS`."""
        return not self.unavailable and bool(self._undecided or self._polls)

    def tick(self) -> None:
        """Stop waiting for a supervisor that has sent nothing for `ANSWER_TICKS`, and check whether it is there."""
        self._tick += 1
        if not self.waiting:
            return
        oldest: list[Request | Poll] = [*islice(self._undecided.values(), 1), *islice(self._polls.values(), 1)]
        waited = self._tick - min(one.tick for one in oldest)
        if min(waited, self._tick - self._heard) >= ANSWER_TICKS or waited >= DECISION_TICKS:
            self._stand_alone()
        elif ALIVE not in self._outgoing.usage_requests:
            self._outgoing.usage_requests.append(ALIVE)

    def take_outgoing(self) -> FromWorker | None:
        """Return the next message; None if there is none."""
        return self._outgoing.take()

    def received(self, message: ToWorker) -> None:
        """Handle a message of the supervisor."""
        self._heard = self._tick
        if self.unavailable:
            self._return()
        if message.database_unavailable is not None:
            self.database_unavailable = message.database_unavailable
        self._shares = message.shares or self._shares
        for reply in message.decisions:
            self._decided(reply)
        for usage in message.usages:
            if (poll := self._polls.pop(usage.number, None)) is not None:
                poll.resolve(usage.states)
        for report in message.reports:
            self._reported(report)
        for number in message.wanted:
            self._outgoing.reports.append(Report(number, self.report()))
            self._wake()

    def _decided(self, reply: DecisionReply) -> None:
        request = self._undecided.pop(reply.number, None)
        if request is None:
            self._decided_late(reply)
            return
        decision = reply.decision(request.limits)
        if decision.ticket is not None:
            request.near = request.reserve != NOTHING or is_near(decision)
            self._running[reply.number] = request
            self._own.remember(request)
        if request.future is not None and not request.future.done():  # else its request is about to end it
            request.future.set_result(decision)

    def _decided_late(self, reply: DecisionReply) -> None:
        """Make the counts of the supervisor agree with what was decided alone."""
        if reply.number not in self._late:
            return
        request = self._late.pop(reply.number)
        admitted = reply.refused_by < 0
        if request is None:
            if admitted:
                self._outgoing.ends.append(reply.number)
        elif not admitted:
            self._outgoing.adoptions.append(adoption_of(reply.number, request))
        else:
            if request.charged != NOTHING:
                self._outgoing.charges[reply.number] = Charge(reply.number, request.charged, request.reserve)
            if request.ended:
                self._outgoing.ends.append(reply.number)
        self._wake()

    def _reported(self, report: Report) -> None:
        poll = self._polls.get(report.number)
        if poll is None:
            return
        if report.said:
            poll.said.append(report.said)
        else:
            del self._polls[report.number]
            poll.resolve(poll.said)

    async def _poll(self, most: int) -> Any:
        self._number += 1
        number = self._number
        poll = Poll(most, asyncio.get_running_loop().create_future(), self._tick)
        self._polls[number] = poll
        self._outgoing.usage_requests.append(UsageRequest(number, most))
        self._wake()
        try:
            return await poll.future
        finally:
            self._polls.pop(number, None)

    def _decide_alone(self, number: int, request: Request) -> Decision:
        decision = self._own.decide(request, self._shares)
        if decision.ticket is None:
            return decision
        self._running[number] = request
        return msgspec.structs.replace(decision, ticket=number)

    def _remember(self, number: int, request: Request) -> None:
        self._alone[number] = request
        if len(self._alone) > MAX_ADMITTED_ALONE:
            del self._alone[next(iter(self._alone))]

    def _stand_alone(self) -> None:
        """Decide alone on all that waits, and on all that arrives."""
        self.unavailable = True
        _log.warning("limits are process-local: the supervisor does not answer")
        self._own.recall(self._running.values())
        undecided, self._undecided = self._undecided, {}
        unsent, self._outgoing.starts = self._outgoing.starts, {}
        for number, request in undecided.items():
            sent = number not in unsent
            if request.future is None or request.future.done():  # cancelled
                if sent:
                    self._outgoing.ends.append(number)
                continue
            decision = self._decide_alone(number, request)
            admitted = decision.ticket is not None
            if sent:
                self._late[number] = request if admitted else None
            elif admitted:
                self._remember(number, request)
            request.future.set_result(decision)
        polls, self._polls = self._polls, {}
        for poll in polls.values():
            poll.resolve(self._own.usage(poll.most) if poll.most else [])
        self._outgoing.usage_requests = [ALIVE]  # its reply means that the supervisor is back
        self._wake()

    def _return(self) -> None:
        """Report to the supervisor what was admitted without it."""
        self.unavailable = False
        _log.info("the supervisor answers: limits are shared again")
        self._outgoing.adoptions += [adoption_of(number, request) for number, request in self._alone.items()]
        self._alone.clear()
        self._wake()
