"""What proposed limits would have done to calls that were: the same decisions, on a clock of the past. Pure.

Calls are given in the order of their starts. A call that is refused counts nowhere. What a call used is charged when it ended,
as nobody knows when its provider told it; nothing is reserved, as nobody knows what it asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from limits.limit import NEVER_NS, Limit, LimitState, Of
from limits.limiter import Limiter
from limits.past_calls import MAX_NAMED, LimitName, Outcome, PastCall, RefusedCall, Tally
from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Effective
from limits.policies.policy import SharedLimits, SharedPolicy
from limits.policies.sources import Level, Source

MAX_WAITING: Final = 100_000
"""How many calls may wait to be tried again. One more is given up."""

MAX_TRIES: Final = 10
"""How often a call is tried in all; then it is given up, as clients do."""

EVENTS_AT_ONCE: Final = 100
"""After so many ends and tries others have their turn."""


@dataclass
class _Waiting:
    """A call that was refused and is tried again."""

    call: PastCall
    tally: Tally
    tries: int = 1


class Replay:
    """Decides on past calls.

    Args:
        limits: The proposed limits, as a policy of everyone. What they say of `shadow` is left out: they refuse.
        zone: The time zone in which budget periods begin.
        retry: Whether a refused call is tried again after the wait that it was told.

    Attributes:
        outcome: What came of those that were added.
    """

    def __init__(self, limits: SharedLimits, zone: str = "UTC", *, retry: bool = False) -> None:
        self.outcome = Outcome()
        self._policy = CompiledPolicy(Source(Level.EVERYONE), SharedPolicy(limits=limits), zone)
        self._retry = retry
        self._at = 0
        self._limiter = Limiter(self._clock, self._clock)
        self._limits: dict[tuple[UUID, bool], tuple[Limit, ...]] = {}
        # What is to come, by its time, ends before starts: a ticket to charge and end, or a call to try again.
        self._events: list[tuple[int, int, int, int, PastCall | _Waiting]] = []
        self._order = 0
        self._waiting = 0

    def add(self, call: PastCall) -> Iterator[None]:
        """Decide on a call, in steps of a millisecond or two. None that started before it may follow."""
        yield from self._run_until(call.started_ns)
        self._at = max(self._at, call.started_ns)
        self.outcome.calls[call.user] += 1
        refused_by = self._admit(call)
        if refused_by is None:
            return
        state, wait_ns = refused_by
        name = _name(state.limit)
        tally = self.outcome.tallies.setdefault((name, call.user), Tally())
        tally.refused += 1
        tally.never += 1
        helps = wait_ns != NEVER_NS
        if len(self.outcome.first) < MAX_NAMED:
            self.outcome.first.append(
                RefusedCall(call, name, state.limit.maximum, state.used, wait_ns if helps else None)
            )
        if helps and not self._retry:
            tally.longest_ns = max(tally.longest_ns, wait_ns)
        if helps and self._retry and self._waiting < MAX_WAITING:
            self._waiting += 1
            self._later(self._at + wait_ns, _Waiting(call, tally))

    def finish(self, at_ns: int) -> Iterator[None]:
        """Try what waits until then, in such steps; no more calls follow."""
        yield from self._run_until(at_ns)

    def _clock(self) -> int:
        return self._at

    def _run_until(self, at_ns: int) -> Iterator[None]:
        events = self._events
        done = 0
        while events and events[0][0] <= at_ns:
            done += 1
            if done % EVENTS_AT_ONCE == 0:
                yield
            self._at, _, _, ticket, one = heappop(events)
            if isinstance(one, _Waiting):
                self._try_again(one)
            else:
                self._limiter.charge(ticket, one.used)
                self._limiter.end(ticket)

    def _try_again(self, waiting: _Waiting) -> None:
        refused_by = self._admit(waiting.call)
        waiting.tries += 1
        if refused_by is not None and refused_by[1] != NEVER_NS and waiting.tries < MAX_TRIES:
            self._later(self._at + refused_by[1], waiting)
            return
        self._waiting -= 1
        if refused_by is None:
            tally = waiting.tally
            tally.never -= 1
            tally.longest_ns = max(tally.longest_ns, self._at - waiting.call.started_ns)

    def _admit(self, call: PastCall) -> tuple[LimitState, int] | None:
        """Count a call; or return what refuses it, and the wait."""
        decision = self._limiter.start(self._limits_of(call.user, pays=call.pays))
        if decision.ticket is None:
            assert decision.refused_by is not None  # noqa: S101 - it has no ticket
            return decision.refused_by, decision.retry_after_ns
        self._later(self._at + call.ended_ns - call.started_ns, call, decision.ticket)
        return None

    def _later(self, at_ns: int, one: PastCall | _Waiting, ticket: int = 0) -> None:
        self._order += 1
        heappush(self._events, (at_ns, isinstance(one, _Waiting), self._order, ticket, one))

    def _limits_of(self, user: UUID, *, pays: bool) -> tuple[Limit, ...]:
        found = self._limits.get((user, pays))
        if found is None:
            effective = Effective([self._policy], str(user))
            limits = effective.before_body(pays=pays) + effective.after_body(pays=pays)
            found = tuple(replace(limit, shadow=False, reserve=False) for limit in limits)
            self._limits[user, pays] = found
        return found


def _name(limit: Limit) -> LimitName:
    return LimitName("each_member" if limit.of is Of.USER else "together", limit.kind.value)
