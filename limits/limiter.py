"""One decision for any number of limits: all of them admit a request, or none counts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from heapq import nsmallest
from itertools import chain, islice

from msgspec import Struct

from limits.budgets import Budgets
from limits.counters import BUDGET, TOKENS, Counter, make_counter, once, reported_of
from limits.limit import NOTHING, Amounts, BudgetPeriod, Decision, Limit, LimitKind, LimitState

KEYS_LOOKED_AT = 1000
"""Keys of a kind and window among which the busiest are searched. Bounded, so that the search delays no request."""

SWEEP_NS = 1_000_000_000
"""Time between two searches for unused windows."""


class _Ticket(Struct):
    """What a request under way holds: limits with a counter each, and what is reserved and charged."""

    limits: Sequence[Limit]
    reserved: Amounts
    charged: Amounts = NOTHING


class Limiter:
    """Decides and counts, in memory. A clock that goes back counts as one that stands still.

    Args:
        now_ns: A monotonic clock in nanoseconds, for windows.
        wall_ns: Nanoseconds since 1970, for calendar periods.
    """

    def __init__(
        self, now_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._now_ns = now_ns
        self._latest = now_ns()
        self._sweep_at = self._latest + SWEEP_NS
        self._wall_ns = wall_ns
        self._counters: dict[tuple[LimitKind, int, BudgetPeriod, str], Counter] = {}
        self._tickets: dict[int, _Ticket] = {}
        self._last_ticket = 0

    def __len__(self) -> int:
        """How many requests are under way."""
        return len(self._tickets)

    def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request, and count it for all its limits if they all admit it.

        Args:
            limits: Its limits, in any number and order.
            reserve: The most that it may use itself, for limits that reserve.
        """
        now = self._now()
        counters = [self._counter_of(limit) for limit in limits]
        states = [
            counter.state(limit, _amount(limit, reserve) if limit.reserve else 0, now)
            for counter, limit in zip(counters, limits, strict=True)
        ]
        admitted = list(zip(counters, limits, strict=True))
        shadow: tuple[LimitState, ...] = ()
        if refusing := [state for state in states if state.retry_after_ns]:
            shadow = tuple([state for state in refusing if state.limit.shadow])
            if len(shadow) < len(refusing):
                refusing = [state for state in refusing if not state.limit.shadow]
                refused_by = reported_of(refusing)
                longest = max(state.retry_after_ns for state in refusing)
                return Decision(None, tuple(states), refused_by, longest, shadow)
            # A shadow limit counts what it would admit.
            admitted = [(c, s.limit) for c, s in zip(counters, states, strict=True) if not s.retry_after_ns]
        ticket = self._count(admitted, reserve, now)
        counted = [counter.state(limit, 0, now) for counter, limit in zip(counters, limits, strict=True)]
        return Decision(ticket, tuple(counted), None, 0, shadow)

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used so far. Less than before, or of a request that is over, is harmless.

        Args:
            ticket: Of the request.
            amounts: All that it has used since its start, not only what is new.
            reserve: What it may still use, and is reserved from now on; None leaves the reservation as it is.
        """
        held = self._tickets.get(ticket)
        if held is None:
            return
        before, reserved = held.charged, held.reserved
        held.charged = Amounts(max(amounts.tokens, before.tokens), max(amounts.micro_dollars, before.micro_dollars))
        if reserve is not None:
            held.reserved = reserve
        now = self._now()
        for limit in held.limits:
            if limit.kind is TOKENS or limit.kind is BUDGET:
                counter = self._counter_of(limit)
                if more := _amount(limit, held.charged) - _amount(limit, before):
                    counter.charge(limit, more, now)
                if limit.reserve:
                    counter.reserve(limit, _amount(limit, held.reserved) - _amount(limit, reserved))

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request. Again, or of one that never was, is harmless."""
        held = self._tickets.pop(ticket, None)
        if held is not None:
            for limit in held.limits:
                self._counter_of(limit).end(limit, _amount(limit, held.reserved) if limit.reserve else 0)

    def restore(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Raise the usage of a budget in a period to at least this, for instance after a restart.

        Args:
            limit: The budget. With `UNLIMITED` only its key and period matter, and it is not told of.
            used: What was spent, in micro-dollars.
            begin_ns: When the period began, since 1970. If the current period began at another time, nothing happens.
        """
        counter = self._counter_of(limit)
        if isinstance(counter, Budgets):
            counter.at_least(limit, used, begin_ns)

    def states(self, limits: Sequence[Limit]) -> tuple[LimitState, ...]:
        """The states of limits as they are, without a request."""
        now = self._now()
        return tuple([self._counter_of(limit).state(limit, 0, now) for limit in limits])

    def usage(self, most: int) -> tuple[LimitState, ...]:
        """The states of the keys with the least left, with the limits they last had: the first `most` of each rule.

        Only the `KEYS_LOOKED_AT` last used keys of each kind and window are searched.
        """
        now = self._now()
        by_rule: dict[str, list[LimitState]] = {}
        for counter in self._counters.values():
            for state in islice(counter.states(now), KEYS_LOOKED_AT):
                by_rule.setdefault(state.limit.rule, []).append(state)
        return tuple(
            chain.from_iterable(
                nsmallest(most, states, key=lambda state: state.remaining) for states in by_rule.values()
            )
        )

    def _now(self) -> int:
        now = self._now_ns()
        if now > self._latest:
            self._latest = now
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_NS
                for name, counter in list(self._counters.items()):
                    counter.forget(now)
                    if not counter:
                        del self._counters[name]
        return self._latest

    def _counter_of(self, limit: Limit) -> Counter:
        """What counts a limit: the same for as long as a key is kept in it."""
        name = limit.kind, limit.window_ns, limit.period, limit.zone
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = make_counter(limit, self._wall_ns)
        return counter

    def _count(self, admitted: Sequence[tuple[Counter, Limit]], reserve: Amounts, now: int) -> int:
        """Count a request once in each counter, and reserve there if one of its limits reserves."""
        counted = admitted if len(admitted) < 2 else once(admitted)  # noqa: PLR2004 - nothing twice in it
        for counter, limit in counted:
            counter.start(limit, _amount(limit, reserve) if limit.reserve else 0, now)
        self._last_ticket += 1
        self._tickets[self._last_ticket] = _Ticket([limit for _, limit in counted], reserve)
        return self._last_ticket


def _amount(limit: Limit, amounts: Amounts) -> int:
    """What a limit counts of amounts."""
    return amounts.tokens if limit.kind is TOKENS else amounts.micro_dollars
