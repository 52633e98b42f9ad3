"""Limits that all processes on one database decide together, by `Admissions`, and the others that each decides alone.

What the database admits is counted here too, so that this process knows what it admitted when it has to decide alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from intercept.refusals import Rule
from limits.limit import NOTHING, SLOT_RETRY_NS, Amounts, Decision, Kind, Limit, LimitState
from limits.limiter import Limiter
from storage.admission.admissions import Admissions
from storage.admission.ledger import Rate
from storage.admission.shared_ledger import Slot, Verdict

_SHARED = frozenset({Rule.CONCURRENCY, Rule.USER_CONCURRENCY, Rule.RATE, Rule.USER_RATE})


class SharedAuthority:
    """Asks the database about slots and rates."""

    def __init__(self, admissions: Admissions, limiter: Limiter | None = None) -> None:
        self.limiter = Limiter() if limiter is None else limiter
        self._admissions = admissions
        self._shared: dict[int, tuple[int | None, Slot | None]] = {}

    @property
    def unavailable(self) -> bool:
        """Whether the database does not decide."""
        return self._admissions.away

    async def start(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        """Decide on a request: the database first, then this process about what the database does not know."""
        shared = [limit for limit in limits if limit.rule in _SHARED]
        if not shared or self._is_full(shared):
            return self.limiter.start(limits, reserve)
        verdict = await self._ask(shared)
        rates = [limit for limit in shared if limit.kind is Kind.RATE] if verdict.rates else []
        told = {limit: _state(limit, rate) for limit, rate in zip(rates, verdict.rates, strict=True)}
        if verdict.refused_by is not None:
            return self._refused(limits, told, Rule(verdict.refused_by))
        decision = self.limiter.start([limit for limit in limits if limit not in told], reserve)
        here = iter(decision.states)
        states = tuple([told[limit] if limit in told else next(here) for limit in limits])
        if decision.ticket is None:
            if verdict.slot is not None:
                verdict.slot.release()
            return Decision(None, states, decision.refused_by, decision.retry_after_ns, decision.shadow)
        counted = self.limiter.count(rates) if rates else None
        self._shared[decision.ticket] = counted, verdict.slot
        return Decision(decision.ticket, states, shadow=decision.shadow)

    def charge(self, ticket: int, amounts: Amounts, reserve: Amounts | None = None) -> None:
        """Charge what a request has used since its start, in this process."""
        self.limiter.charge(ticket, amounts, reserve)

    def end(self, ticket: int) -> None:
        """Give back the slots and reservations of a request."""
        self.limiter.end(ticket)
        counted, slot = self._shared.pop(ticket, (None, None))
        if counted is not None:
            self.limiter.end(counted)
        if slot is not None:
            slot.release()

    async def usage(self, most: int) -> Sequence[LimitState]:
        """What this process uses."""
        return self.limiter.usage(most)

    def _is_full(self, limits: Sequence[Limit]) -> bool:
        """Whether this process has all slots of the server itself."""
        slots = [limit for limit in limits if limit.rule is Rule.CONCURRENCY]
        return any(state.retry_after_ns for state in self.limiter.states(slots))

    async def _ask(self, limits: Sequence[Limit]) -> Verdict:
        of = {limit.rule: limit.key for limit in limits}
        if Rule.CONCURRENCY in of:
            return await self._admissions.take_slot()
        user = of.get(Rule.USER_CONCURRENCY, of.get(Rule.USER_RATE))
        key = of.get(Rule.RATE, "").partition(":")[2]
        return await self._admissions.count_request(key, None if user is None else user.partition(":")[2])

    def _refused(self, limits: Sequence[Limit], told: dict[Limit, LimitState], rule: Rule) -> Decision:
        refused_by = next(limit for limit in limits if limit.rule is rule)
        if refused_by not in told:
            told = told | {refused_by: LimitState(refused_by, refused_by.maximum, 0, SLOT_RETRY_NS, 0)}
        states = tuple([told.get(limit) or self.limiter.states([limit])[0] for limit in limits])
        wait = max(state.retry_after_ns for state in told.values())
        return Decision(None, states, told[refused_by], wait)


def _state(limit: Limit, rate: Rate) -> LimitState:
    return LimitState(limit, limit.maximum - rate.remaining, rate.remaining, rate.retry_after_ns, rate.reset_ns)
