"""What a worker needs to decide alone: what the supervisor has admitted for it, and a limiter of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from msgspec import Struct, structs

from limits.limit import NOTHING, Amounts, Decision, Kind, Limit
from limits.limiter import Limiter
from runtime.authority.messages import Adoption

MAX_RECENT = 5_000
"""Admissions that are remembered for the case that the supervisor does not answer; the oldest is forgotten first."""

NEAR = 5
"""A limit with less than this share left is near: what is given back is reported at once."""

_CHARGED = (Kind.TOKENS, Kind.BUDGET)
_HELD = (Kind.CONCURRENCY, Kind.TOKENS, Kind.BUDGET)


class Request(Struct, eq=False):
    """A request of a worker, from its question to its end.

    `tickets` are those of the worker's own limiter, `charging` the one of them that is charged. `near` says that one of its
    limits has little left, so that others may wait for its end.
    """

    limits: tuple[Limit, ...]
    reserve: Amounts
    tick: int
    at_ns: int
    future: asyncio.Future[Decision] | None = None
    near: bool = False
    charged: Amounts = NOTHING
    charging: int | None = None
    tickets: tuple[int, ...] = ()
    recalled: bool = False
    ended: bool = False


class Alone:
    """Decides in a worker while its supervisor does not answer. Until then it only remembers, which costs little.

    Args:
        local: Decides.
        now_ns: A monotonic clock, in nanoseconds.

    Attributes:
        restore, usage: Those of `local`.
    """

    def __init__(self, local: Limiter, now_ns: Callable[[], int]) -> None:
        self._local = local
        self._now_ns = now_ns
        self._recent: deque[tuple[int, tuple[Limit, ...]]] = deque(maxlen=MAX_RECENT)
        self.restore = local.restore
        self.usage = local.usage

    def remember(self, request: Request) -> None:
        """The supervisor has admitted a request."""
        self._recent.append((request.at_ns, request.limits))

    def charge(self, request: Request, amounts: Amounts, reserve: Amounts | None) -> None:
        """Charge what a request has used since its start."""
        request.charged = amounts
        if reserve is not None:
            request.reserve = reserve
        if request.charging is None:
            charged = [limit for limit in request.limits if limit.kind in _CHARGED]
            request.charging = self._local.count(charged, request.reserve)
            request.tickets += (request.charging,)
        self._local.charge(request.charging, amounts, reserve)

    def end(self, request: Request) -> None:
        """A request is over."""
        request.ended = True
        for ticket in request.tickets:
            self._local.end(ticket)

    def decide(self, request: Request, shares: int) -> Decision:
        """Decide on a request, within one of so many shares; the ticket is one of the worker's own limiter."""
        decision = self._local.start([share_of(limit, shares) for limit in request.limits], request.reserve)
        if decision.ticket is not None:
            request.charging, request.tickets, request.recalled = decision.ticket, (decision.ticket,), True
        return decision

    def recall(self, running: Iterable[Request]) -> None:
        """Count what the supervisor has admitted: running requests, and those in a window."""
        for request in running:
            if not request.recalled:
                request.recalled = True
                kinds = _HELD if request.charging is None else (Kind.CONCURRENCY,)
                held = [limit for limit in request.limits if limit.kind in kinds]
                ticket = self._local.count(held, request.reserve)
                request.tickets += (ticket,)
                request.charging = ticket if request.charging is None else request.charging
        now = self._now_ns()
        for at_ns, limits in self._recent:
            rates = [limit for limit in limits if limit.kind is Kind.RATE and now - at_ns < limit.window_ns]
            if rates:
                self._local.end(self._local.count(rates))
        self._recent.clear()


def share_of(limit: Limit, shares: int) -> Limit:
    """The share of a limit for one of several, at least one. Limits on charges are not divided."""
    if limit.kind in _CHARGED or limit.maximum < 1:
        return limit
    return structs.replace(limit, maximum=max(1, limit.maximum // shares))


def adoption_of(number: int, request: Request) -> Adoption:
    """The message to the supervisor about a request that was admitted without it."""
    return Adoption(0 if request.ended else number, request.limits, request.reserve, request.charged)


def is_near(decision: Decision) -> bool:
    """Whether less than a share of the slots is left."""
    return any(
        state.limit.kind is Kind.CONCURRENCY and NEAR * state.remaining < state.limit.maximum
        for state in decision.states
    )
