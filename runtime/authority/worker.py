"""The authority in a worker: asks the supervisor, which decides for all workers of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal

from msgspec import structs

from limits.authority import AuthorityUnavailableError
from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from runtime.authority.messages import (
    MAX_ITEMS,
    Charge,
    FromWorker,
    Restoration,
    Start,
    ToWorker,
    UsageRequest,
)

TICK_SECONDS = 0.25
"""Time between two checks for an answer. A pause of this process counts as one tick, however long it is."""

ANSWER_TICKS = 4
"""Ticks after a ping in which nothing came of the supervisor, so that it counts as unavailable."""

MAX_WAITING = 10_000
"""Requests that wait for the supervisor; one more is refused."""

_log = logging.getLogger(__name__)


class WorkerAuthority:
    """The supervisor's decisions in a worker, on one event loop. It does no I/O; a link carries its messages.

    Args:
        wake: Called when there is a message to send.

    Attributes:
        unavailable: Whether the supervisor does not answer, so that nothing is admitted.
        database_unavailable: Whether the supervisor decides alone, without the database of a cluster.
        scope: Whose requests the supervisor counts together: those of this `server`, or of a `cluster`.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.unavailable = False
        self.database_unavailable = False
        self.scope: Literal["server", "cluster"] = "server"
        self._number = 0
        self._unheard: int | None = None
        self._undecided: dict[int, asyncio.Future[Decision]] = {}
        self._running: set[int] = set()
        self._usages: dict[int, asyncio.Future[Sequence[LimitState]]] = {}
        # What waits to be sent. Of several charges of a request the last one counts.
        self._starts: dict[int, Start] = {}
        self._charges: dict[int, Charge] = {}
        self._ends: list[int] = []
        self._usage_requests: list[UsageRequest] = []
        self._restorations: list[Restoration] = []
        self._is_ping = False

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
        self._starts[number] = Start(number, tuple(limits), reserve)
        self._wake()
        try:
            return await waiting
        except asyncio.CancelledError:
            self.end(number)
            raise

    def charge(self, number: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start; see `limits.authority.Authority`."""
        if number not in self._running:
            return
        if reserve is None and (before := self._charges.get(number)) is not None:
            reserve = before.reserve
        self._charges[number] = Charge(number, amounts, reserve)
        self._wake()

    def end(self, number: int) -> None:
        """A request is over, decided or not. Again is harmless."""
        known = self._undecided.pop(number, None) is not None or number in self._running
        self._running.discard(number)
        if self._starts.pop(number, None) is None and known:  # else the supervisor does not know it
            self._ends.append(number)
            self._wake()

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Have at least this much of a budget used in a period; see `limits.authority.Authority`."""
        self._restorations.append(Restoration(limit, used, begin_ns))
        self._wake()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """How much of the limits all workers use; nothing is known while the supervisor does not answer."""
        if self.unavailable:
            return ()
        self._number += 1
        number = self._number
        self._usages[number] = asyncio.get_running_loop().create_future()
        self._usage_requests.append(UsageRequest(number, most))
        self._wake()
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
            self._is_ping = True
            self._unheard = self._unheard or 0
            self._wake()

    def take_outgoing(self) -> FromWorker | None:
        """Return the next message; None if there is none.

        Nothing about a request is sent before the supervisor knows the request.
        """
        waiting = self._starts, self._charges, self._ends, self._usage_requests, self._restorations, self._is_ping
        if not any(waiting):
            return None
        message = FromWorker(
            charges=[self._charges.popitem()[1] for _ in range(min(len(self._charges), MAX_ITEMS))],
            starts=list(islice(self._starts.values(), MAX_ITEMS)),
            usage_requests=self._usage_requests,
            restorations=self._restorations,
            is_ping=self._is_ping,
        )
        if not self._charges:  # a request's last charge goes before its end
            message.ends, self._ends = self._ends, []
        for start in message.starts:
            del self._starts[start.number]
        self._usage_requests, self._restorations, self._is_ping = [], [], False
        return message

    def received(self, message: ToWorker) -> None:
        """Handle a message of the supervisor."""
        self._unheard = None
        if self.unavailable:
            self.unavailable = False
            _log.info("the supervisor answers: requests are admitted again")
        if message.database_unavailable is not None:
            self.database_unavailable = message.database_unavailable
        for reply in message.decisions:
            waiting = self._undecided.pop(reply.number, None)
            if waiting is None:  # its end is on the way
                continue
            decision = reply.decision
            if decision.ticket is not None:
                self._running.add(reply.number)
                decision = structs.replace(decision, ticket=reply.number)
            if not waiting.done():
                waiting.set_result(decision)
        for usage in message.usages:
            if (asked := self._usages.pop(usage.number, None)) is not None and not asked.done():
                asked.set_result(usage.states)

    def _give_up(self) -> None:
        """Refuse all that waits. What the supervisor admits of it later is given back."""
        self.unavailable = True
        _log.warning("the supervisor does not answer: requests are refused")
        undecided, self._undecided = self._undecided, {}
        for number, waiting in undecided.items():
            if self._starts.pop(number, None) is None:
                self._ends.append(number)
            if not waiting.done():
                waiting.set_exception(AuthorityUnavailableError())
        usages, self._usages = self._usages, {}
        for asked in usages.values():
            if not asked.done():
                asked.set_result(())
        self._usage_requests = []
        self._wake()
