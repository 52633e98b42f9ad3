"""What a proposed policy would have done to calls that were, on a clock of the past. Pure.

Rules and counters are those of requests. Calls are given in the order of their starts. A call that is refused counts
nowhere, so rules are asked before limits. What a call used is charged when it ended, as nobody knows when its provider
told it; nothing is reserved, as nobody knows what it asked for.

It says what `limits.limiter.Limiter` would say, in a part of the time: the counters of a user's limits are looked up once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from limits.counters import CONCURRENCY, RATE, TOKENS, Counter, Counters, once, reported_of
from limits.limit import NEVER_NS, Limit, LimitState, Of
from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Effective
from limits.policies.policy import SharedPolicy
from limits.policies.sources import Level, Source
from limits.what_if.past_calls import (
    MAX_NAMED,
    LimitName,
    Outcome,
    PastCall,
    RefusalTotals,
    RefusedCall,
    RequestedModel,
)
from limits.what_if.proposed_rules import ProposedRules

MAX_WAITING: Final = 100_000
"""How many calls may wait to be tried again. One more is given up."""

MAX_TRIES: Final = 10
"""How often a call is tried in all; then it is given up, as clients do."""

STEP: Final = 250
"""After so many calls, ends and tries others have their turn: within two milliseconds."""

_MILLISECOND_NS: Final = 1_000_000
_STARTS: Final = (CONCURRENCY, RATE)


class _Plan:
    """A user's limits, and how many calls there were.

    Attributes:
        limits: The limits, with the counter of each.
        starts: Those that count a start. Where nothing is reserved, tokens and budgets have nothing to count then.
        ends: Those that count the end of a call, and what it used.
    """

    __slots__ = ("calls", "ends", "limits", "starts", "user")

    def __init__(self, user: UUID, limits: list[tuple[Counter, Limit]]) -> None:
        counted = once(limits)
        self.user = user
        self.calls = 0
        self.limits = limits
        self.starts = [(counter, limit) for counter, limit in counted if limit.kind in _STARTS]
        self.ends = [(counter, limit) for counter, limit in counted if limit.kind is not RATE]


class _Waiting(Struct):
    """A call that was refused and is tried again."""

    call: PastCall
    plan: _Plan
    totals: RefusalTotals
    tries: int = 1


class Replay:
    """Decides on past calls.

    Args:
        policy: What is proposed, as the policy of everyone. What its limits say of `shadow` is left out: they refuse.
        zone: The time zone in which budget periods begin.
        retry: Whether a refused call is tried again after the wait that it was told.
        has_price: Whether a model has a known price; only asked where the policy denies others.
    """

    def __init__(
        self,
        policy: SharedPolicy,
        zone: str = "UTC",
        *,
        retry: bool = False,
        has_price: Callable[[RequestedModel], bool] = lambda _: True,
    ) -> None:
        self._policy = CompiledPolicy(Source(Level.EVERYONE), policy, zone)
        self._rules = ProposedRules(self._policy, has_price)
        self._retry = retry
        self._at = 0
        self._counters = Counters(lambda: self._at)
        self._plans: dict[tuple[bytes, bool], _Plan] = {}
        self._totals: dict[tuple[LimitName, UUID], RefusalTotals] = {}
        self._first: list[RefusedCall] = []
        # By their times: the ends of calls, with what they used, and calls to try again.
        self._ends: list[tuple[int, int, _Plan, int, int]] = []
        self._tries: list[tuple[int, int, _Waiting]] = []
        self._order = 0

    @property
    def calls(self) -> int:
        """How many there were so far."""
        return sum(plan.calls for plan in self._plans.values())

    @property
    def outcome(self) -> Outcome:
        """What came of those that there were so far."""
        outcome = Outcome(totals=self._totals, first=self._first)
        for plan in self._plans.values():
            outcome.calls[plan.user] += plan.calls
        return outcome

    def decide_named(self, calls: Iterable[tuple[PastCall, RequestedModel]]) -> Iterator[None]:
        """Decide on calls also by the rules about models and keys, in such steps as `decide`."""
        rest = iter(calls)
        while some := list(islice(rest, STEP)):
            yield from self.decide(filter(None, map(self._admitted, some)))
            yield

    def decide(self, calls: Iterable[PastCall]) -> Iterator[None]:
        """Decide on calls by the limits, in steps of a millisecond or two. None that started before them may follow."""
        return islice(self._decide(calls), STEP - 1, None, STEP)

    def finish(self, at_ms: int) -> Iterator[None]:
        """Try what waits until then, in such steps; no more calls follow."""
        return islice(self._pass_until(at_ms * _MILLISECOND_NS), STEP - 1, None, STEP)

    def _decide(self, calls: Iterable[PastCall]) -> Iterator[None]:
        ends, tries = self._ends, self._tries
        for call in calls:
            started, _, user, ended, tokens, micro_dollars, pays = call
            now = started * _MILLISECOND_NS
            if (ends and ends[0][0] <= now) or (tries and tries[0][0] <= now):
                yield from self._pass_until(now)
            self._at = now = max(now, self._at)
            plan = self._plans.get((user, pays)) or self._plan(user, pays=pays)
            plan.calls += 1
            for counter, limit in plan.limits:
                if counter.state(limit, 0, now).retry_after_ns:
                    self._refuse(call, plan)
                    break
            else:
                self._start(plan, ended - started, tokens, micro_dollars)
            yield

    def _pass_until(self, at: int) -> Iterator[None]:
        """Have happen what is due until then."""
        while (self._ends and self._ends[0][0] <= at) or (self._tries and self._tries[0][0] <= at):
            self._happen()
            yield

    def _admitted(self, named: tuple[PastCall, RequestedModel]) -> PastCall | None:
        """The call, or None if it breaks a rule: then it is counted as refused."""
        call, model = named
        user, pays = call[2], call[6]
        broken = self._rules.find_broken(model, pays)
        if broken is None:
            return call
        plan = self._plans.get((user, pays)) or self._plan(user, pays=pays)
        plan.calls += 1
        self._totals_of(broken.name, plan.user)
        if len(self._first) < MAX_NAMED:
            who = UUID(bytes=bytes(call[1])), call[0], plan.user
            self._first.append(RefusedCall(*who, broken.name, 0, 0, None, broken.rule, model.model))
        return None

    def _happen(self) -> None:
        """Have happen what is due next: at the same time ends before tries."""
        ends, tries = self._ends, self._tries
        if not ends or (tries and tries[0][0] < ends[0][0]):
            self._at, _, waiting = heappop(tries)
            self._try_again(waiting)
            return
        self._at, _, plan, tokens, micro_dollars = heappop(ends)
        for counter, limit in plan.ends:
            if limit.kind is CONCURRENCY:
                counter.end(limit, 0)
            elif used := tokens if limit.kind is TOKENS else micro_dollars:
                counter.charge(limit, used, self._at)

    def _start(self, plan: _Plan, took_ms: int, tokens: int, micro_dollars: int) -> None:
        """Have a call start now."""
        for counter, limit in plan.starts:
            counter.start(limit, 0, self._at)
        if plan.ends:
            self._order += 1
            end = self._at + max(0, took_ms) * _MILLISECOND_NS
            heappush(self._ends, (end, self._order, plan, tokens, micro_dollars))

    def _totals_of(self, name: LimitName, user: UUID) -> RefusalTotals:
        """Count a call that is refused."""
        totals = self._totals.setdefault((name, user), RefusalTotals())
        totals.refused += 1
        totals.never += 1
        return totals

    def _refuse(self, call: PastCall, plan: _Plan) -> None:
        refused_by, wait_ns = self._refused_by(plan)
        limit = refused_by.limit
        name = LimitName("each_member" if limit.of is Of.USER else "together", limit.kind.value)
        totals = self._totals_of(name, plan.user)
        helps = wait_ns != NEVER_NS
        if len(self._first) < MAX_NAMED:
            use = limit.maximum, refused_by.used, wait_ns if helps else None
            self._first.append(RefusedCall(UUID(bytes=bytes(call[1])), call[0], plan.user, name, *use))
        if not helps:
            return
        if not self._retry:
            totals.longest_ns = max(totals.longest_ns, wait_ns)
        elif len(self._tries) < MAX_WAITING:
            self._try_later(self._at + wait_ns, _Waiting(PastCall(*call), plan, totals))

    def _try_again(self, waiting: _Waiting) -> None:
        waiting.tries += 1
        plan, call, now = waiting.plan, waiting.call, self._at
        if any(counter.state(limit, 0, now).retry_after_ns for counter, limit in plan.limits):
            _, wait_ns = self._refused_by(plan)
            if wait_ns != NEVER_NS and waiting.tries < MAX_TRIES:
                self._try_later(now + wait_ns, waiting)
            return
        self._start(plan, call.ended_ms - call.started_ms, call.tokens, call.micro_dollars)
        waiting.totals.never -= 1
        waiting.totals.longest_ns = max(waiting.totals.longest_ns, now - call.started_ms * _MILLISECOND_NS)

    def _try_later(self, at: int, waiting: _Waiting) -> None:
        self._order += 1
        heappush(self._tries, (at, self._order, waiting))

    def _refused_by(self, plan: _Plan) -> tuple[LimitState, int]:
        """What refuses a call now, and the wait after which all limits would admit it."""
        states = [counter.state(limit, 0, self._at) for counter, limit in plan.limits]
        refusing = [state for state in states if state.retry_after_ns]
        return reported_of(refusing), max(state.retry_after_ns for state in refusing)

    def _plan(self, user: bytes, *, pays: bool) -> _Plan:
        id_ = UUID(bytes=user)
        effective = Effective([self._policy], str(id_))
        limits = effective.before_body(pays=pays) + effective.after_body(pays=pays)
        plain = [replace(limit, shadow=False, reserve=False) for limit in limits]
        plan = _Plan(id_, [(self._counters.of(limit), limit) for limit in plain])
        self._plans[user, pays] = plan
        return plan
