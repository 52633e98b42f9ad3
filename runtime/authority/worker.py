"""The authority in a worker: asks the supervisor, and decides alone while that does not answer.

What the supervisor admits is counted here as well, so that a worker that is alone knows what it has admitted. What it
admits alone is counted by the supervisor once it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from limits.limit import NOTHING, UNLIMITED, Amounts, Decision, Limit, LimitState
from limits.limiter import Limiter
from runtime.authority.messages import (
    MAX_ITEMS,
    Adoption,
    Answer,
    Charge,
    FromWorker,
    Question,
    Report,
    Start,
    ToWorker,
)

TICK_SECONDS = 0.25
"""From one look at what waits for an answer to the next. A pause of this process, however long, is one."""

ANSWER_TICKS = 4
"""After so many looks without an answer the supervisor counts as unavailable."""

MAX_WAITING = 10_000
"""Requests that wait for the supervisor; one more, and it counts as unavailable."""

MAX_ADMITTED_ALONE = 10_000
"""Requests admitted alone that are remembered for the supervisor; the oldest is forgotten first."""

_log = logging.getLogger(__name__)


class _Ask(Struct, eq=False):
    """A request that waits for a decision since a tick."""

    limits: tuple[Limit, ...]
    reserve: Amounts
    future: asyncio.Future[Decision]
    tick: int


class _Alone(Struct, eq=False):
    """A request that was admitted alone."""

    limits: tuple[Limit, ...]
    reserve: Amounts
    charged: Amounts = NOTHING
    ended: bool = False


class _Poll(Struct, eq=False):
    """A question that waits for its answer: the usage, or what other workers say of themselves."""

    most: int
    future: asyncio.Future[Any]
    tick: int
    said: list[bytes] = []

    def answer(self, answer: Sequence[LimitState] | list[bytes]) -> None:
        """Answer whoever waits, if somebody still does."""
        if not self.future.done():
            self.future.set_result(answer)


class WorkerAuthority:
    """The supervisor's decisions in a worker, on one event loop. It does no I/O; a link carries its messages.

    Args:
        local: Counts what this process admits, and decides while it is alone.
        wake: Told when there is something to `take`.

    Attributes:
        report: What this process says of itself, as JSON.
        unavailable: Whether the supervisor does not answer, so that this process decides alone.
    """

    def __init__(
        self,
        local: Limiter,
        *,
        wake: Callable[[], None],
    ) -> None:
        self._local = local
        self._wake = wake
        self.report: Callable[[], bytes] = bytes
        self.unavailable = False
        self._number = 0
        self._tick = 0
        self._asks: dict[int, _Ask] = {}
        self._polls: dict[int, _Poll] = {}
        # Of each request that is under way, the ticket in `local`.
        self._running: dict[int, int] = {}
        # What was decided alone: all that was admitted, and what the supervisor was asked and has yet to answer.
        self._alone: dict[int, _Alone] = {}
        self._late: dict[int, _Alone | None] = {}
        # What is to be sent.
        self._starts: dict[int, Start] = {}
        self._charges: dict[int, Charge] = {}
        self._ends: list[int] = []
        self._adoptions: list[Adoption] = []
        self._questions: list[Question] = []
        self._reports: list[Report] = []

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request; see `limits.authority.Authority`. Waits for about a second at most."""
        self._number += 1
        number = self._number
        if not self.unavailable and max(len(self._asks), len(self._adoptions)) >= MAX_WAITING:
            self._stand_alone()
        if self.unavailable:
            decision, alone = self._decide_alone(number, tuple(limits), reserve)
            if alone is not None:
                self._remember(number, alone)
            return decision
        if all(limit.maximum == UNLIMITED for limit in limits):
            return self._count(number, tuple(limits), reserve)
        ask = _Ask(tuple(limits), reserve, asyncio.get_running_loop().create_future(), self._tick)
        self._asks[number] = ask
        self._starts[number] = Start(number, ask.limits, reserve)
        self._wake()
        try:
            return await ask.future
        except asyncio.CancelledError:
            self.end(number)
            raise

    def charge(self, number: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start; see `limits.authority.Authority`."""
        ticket = self._running.get(number)
        if ticket is None:
            return
        self._local.charge(ticket, amounts, reserve)
        if (alone := self._alone.get(number) or self._late.get(number)) is not None:
            alone.charged = amounts
            alone.reserve = alone.reserve if reserve is None else reserve
            return
        if reserve is None and (before := self._charges.get(number)) is not None:
            reserve = before.reserve
        self._charges[number] = Charge(number, amounts, reserve)
        self._wake()

    def end(self, number: int) -> None:
        """A request is over, decided or not. Again is harmless."""
        if self._starts.pop(number, None) is not None:  # the supervisor has not heard of it
            del self._asks[number]
            return
        asked = self._asks.pop(number, None) is not None
        ticket = self._running.pop(number, None)
        if ticket is not None:
            self._local.end(ticket)
            if (alone := self._alone.get(number) or self._late.get(number)) is not None:
                alone.ended = True
                return
        if asked or ticket is not None:
            self._ends.append(number)
            self._wake()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """How much of the limits all workers use; of this one alone while the supervisor does not answer."""
        states: Sequence[LimitState] = await self._poll(most) if not self.unavailable else self._local.usage(most)
        return states

    async def reports(self) -> list[bytes]:
        """What the other workers say of themselves, as JSON; nothing while the supervisor does not answer."""
        said: list[bytes] = await self._poll(0) if not self.unavailable else []
        return said

    @property
    def waiting(self) -> bool:
        """Whether an answer is waited for, so that `tick` has to be called every `TICK_SECONDS`."""
        return not self.unavailable and bool(self._asks or self._polls)

    def tick(self) -> None:
        """Stop waiting for a supervisor that has not answered for `ANSWER_TICKS`."""
        self._tick += 1
        oldest: list[_Ask | _Poll] = [*islice(self._asks.values(), 1), *islice(self._polls.values(), 1)]
        if not self.unavailable and any(self._tick - one.tick >= ANSWER_TICKS for one in oldest):
            self._stand_alone()

    def take(self) -> FromWorker | None:
        """What is to be sent now; None when there is nothing more.

        Nothing is said of a request before the supervisor knows it.
        """
        adoptions, self._adoptions = self._adoptions[:MAX_ITEMS], self._adoptions[MAX_ITEMS:]
        message = FromWorker(adoptions=adoptions)
        if not self._adoptions:
            message.charges = [self._charges.popitem()[1] for _ in range(min(len(self._charges), MAX_ITEMS))]
        if not self._adoptions and not self._charges:
            message.ends, self._ends = self._ends[:MAX_ITEMS], self._ends[MAX_ITEMS:]
        if len(self._starts) <= MAX_ITEMS:
            message.starts = list(self._starts.values())
            self._starts.clear()
        else:
            message.starts = list(islice(self._starts.values(), MAX_ITEMS))
            for start in message.starts:
                del self._starts[start.number]
        message.questions, self._questions = self._questions, []
        message.reports, self._reports = self._reports, []
        return message if any(getattr(message, name) for name in message.__struct_fields__) else None

    def received(self, message: ToWorker) -> None:
        """Take what the supervisor tells."""
        if self.unavailable:
            self._return()
        for answer in message.answers:
            self._answered(answer)
        for usage in message.usages:
            if (poll := self._polls.pop(usage.number, None)) is not None:
                poll.answer(usage.states)
        for report in message.reports:
            self._reported(report)
        for number in message.wanted:
            self._reports.append(Report(number, self.report()))
            self._wake()

    def _answered(self, answer: Answer) -> None:
        ask = self._asks.pop(answer.number, None)
        if ask is None:
            self._answered_late(answer)
            return
        decision = answer.decision(ask.limits)
        if decision.ticket is not None:
            self._running[answer.number] = self._local.count(ask.limits, ask.reserve)
        if not ask.future.done():  # else its request is about to end it
            ask.future.set_result(decision)

    def _answered_late(self, answer: Answer) -> None:
        """Make what the supervisor counts agree with what was decided alone."""
        if answer.number not in self._late:
            return
        alone = self._late.pop(answer.number)
        admitted = answer.refused_by < 0
        if alone is None:
            if admitted:
                self._ends.append(answer.number)
        elif not admitted:
            self._adoptions.append(_adoption(answer.number, alone))
        else:
            if alone.charged != NOTHING:
                self._charges[answer.number] = Charge(answer.number, alone.charged, alone.reserve)
            if alone.ended:
                self._ends.append(answer.number)
        self._wake()

    def _reported(self, report: Report) -> None:
        poll = self._polls.get(report.number)
        if poll is None:
            return
        if report.said:
            poll.said.append(report.said)
        else:
            del self._polls[report.number]
            poll.answer(poll.said)

    async def _poll(self, most: int) -> Any:
        self._number += 1
        number = self._number
        poll = _Poll(most, asyncio.get_running_loop().create_future(), self._tick)
        self._polls[number] = poll
        self._questions.append(Question(number, most))
        self._wake()
        try:
            return await poll.future
        finally:
            self._polls.pop(number, None)

    def _decide_alone(self, number: int, limits: tuple[Limit, ...], reserve: Amounts) -> tuple[Decision, _Alone | None]:
        decision = self._local.start(limits, reserve)
        if decision.ticket is None:
            return decision, None
        self._running[number] = decision.ticket
        return msgspec.structs.replace(decision, ticket=number), _Alone(limits, reserve)

    def _count(self, number: int, limits: tuple[Limit, ...], reserve: Amounts) -> Decision:
        """Admit a request that nothing limits. The supervisor need not be waited for."""
        decision, alone = self._decide_alone(number, limits, reserve)
        if alone is not None:
            self._adoptions.append(_adoption(number, alone))
            self._wake()
        return decision

    def _remember(self, number: int, alone: _Alone) -> None:
        self._alone[number] = alone
        if len(self._alone) > MAX_ADMITTED_ALONE:
            del self._alone[next(iter(self._alone))]

    def _stand_alone(self) -> None:
        """Decide alone on all that waits, and on what comes."""
        self.unavailable = True
        _log.warning("limits are process-local: the supervisor does not answer")
        asks, self._asks = self._asks, {}
        unsent, self._starts = self._starts, {}
        for number, ask in asks.items():
            sent = number not in unsent
            if ask.future.done():  # cancelled
                if sent:
                    self._ends.append(number)
                continue
            decision, alone = self._decide_alone(number, ask.limits, ask.reserve)
            if sent:
                self._late[number] = alone
            elif alone is not None:
                self._remember(number, alone)
            ask.future.set_result(decision)
        polls, self._polls = self._polls, {}
        for poll in polls.values():
            poll.answer(self._local.usage(poll.most) if poll.most else [])
        self._questions = [Question(0, 1)]  # its answer says that the supervisor is back
        self._wake()

    def _return(self) -> None:
        """Tell the supervisor what was admitted without it."""
        self.unavailable = False
        _log.info("the supervisor answers: limits are shared again")
        self._adoptions += [_adoption(number, alone) for number, alone in self._alone.items()]
        self._alone.clear()
        self._wake()


def _adoption(number: int, alone: _Alone) -> Adoption:
    number = 0 if alone.ended else number
    return Adoption(number, alone.limits, alone.reserve, alone.charged)
