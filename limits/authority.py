"""Who decides about limits: this process alone, or somebody who counts for several processes or servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from limits.limit import NOTHING, Amounts, Decision, Limit, LimitState
from limits.limiter import Limiter


class AuthorityUnavailableError(Exception):
    """Who counts for several processes or servers does not answer, and this process does not decide alone."""


class Authority(Protocol):
    """Decides, counts, and answers in bounded time, whatever it has to reach for that."""

    @property
    def unavailable(self) -> bool:
        """Whether those who count for all cannot be reached, so that this process decides alone."""

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, and count it for all its limits if they all admit it; see `Limiter.start`.

        If it is cancelled, nothing remains counted that has to be given back.

        Raises:
            AuthorityUnavailableError: Nobody decides at the moment.
        """

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start; see `Limiter.charge`."""

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request. Again is harmless."""

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Have at least this much of a budget used in a period, in micro-dollars; see `Limiter.restore`."""

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys that have least left: for each rule the `most` first; see `Limiter.usage`."""


class LocalAuthority:
    """Decides for this process alone, at once.

    Attributes:
        charge, end, restore: Those of the limiter.
    """

    unavailable = False

    def __init__(self, limiter: Limiter | None = None) -> None:
        self.limiter = limiter = Limiter() if limiter is None else limiter
        self.charge = limiter.charge
        self.end = limiter.end
        self.restore = limiter.restore

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, without waiting."""
        return self.limiter.start(limits, reserve)

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys that have least left."""
        return self.limiter.usage(most)


@dataclass(slots=True, eq=False)
class Held:
    """What one step of admission counted. Giving it back twice gives it back once.

    Attributes:
        authority: Who counted.
        ticket: Of the request; None if nothing has to be given back.
        states: The states of the limits, with the request counted.
        charged: Whether tokens or money can be charged to it.
        shadow: The states of limits that only count, and would have refused the request.
        on_release: Called when it is given back.
    """

    authority: Authority
    ticket: int | None = None
    states: tuple[LimitState, ...] = ()
    charged: bool = False
    shadow: tuple[LimitState, ...] = ()
    on_release: Callable[[], None] | None = None

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge all that the request has used since its start; see `limits.limiter.Limiter.charge`."""
        if self.ticket is not None and self.charged:
            self.authority.charge(self.ticket, amounts, reserve)

    def release(self) -> None:
        """Give slots and reservations back."""
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            self.authority.end(ticket)
        on_release, self.on_release = self.on_release, None
        if on_release is not None:
            on_release()
