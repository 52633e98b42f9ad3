"""Who decides about limits: this process alone, or somebody who counts for several processes or servers."""

from __future__ import annotations

from collections.abc import Sequence
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


class HostedAuthority(Authority, Protocol):
    """Decides in a supervisor, for all workers of a server."""

    def start_now(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision | None:
        """Decide as `start` does, if that needs no waiting; else None, and nothing is counted."""


class LocalAuthority:
    """Decides for this process alone, at once.

    Attributes:
        start_now, charge, end, restore: Those of the limiter.
    """

    unavailable = False

    def __init__(self, limiter: Limiter | None = None) -> None:
        self.limiter = limiter = Limiter() if limiter is None else limiter
        self.start_now = limiter.start
        self.charge = limiter.charge
        self.end = limiter.end
        self.restore = limiter.restore

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, without waiting."""
        return self.limiter.start(limits, reserve)

    async def usage(self, most: int) -> Sequence[LimitState]:
        """The states of the keys that have least left."""
        return self.limiter.usage(most)
