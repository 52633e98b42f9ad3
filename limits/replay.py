"""What a proposed policy would have done to calls that were, on a clock of the past. Pure.

Rules and counters are those of requests. Calls are given in the order of their starts. A call that is refused counts
nowhere, so rules are asked before limits. What a call used is charged when it ended, as nobody knows when its provider
told it; nothing is reserved, as nobody knows what it asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from heapq import heappop, heappush
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from limits.limit import NEVER_NS, Amounts, Limit, Of
from limits.limiter import Limiter
from limits.past_calls import (
    MAX_NAMED,
    LimitName,
    PastCall,
    RefusalTotals,
    RefusedCall,
    ReplayOutcome,
    RequestedModel,
)
from limits.policies.compiled import CompiledPolicy, Level, PolicyHolder
from limits.policies.effective import Effective
from limits.policies.policy import SharedPolicy

MAX_KNOWN: Final = 4096
"""The models and payers of which it is remembered whether a rule refuses them. Clients choose the names of models."""

STEP: Final = 100
"""After so many calls and ends others have their turn: within a millisecond or two."""

_MILLISECOND_NS: Final = 1_000_000
_MODELS: Final = LimitName("", "models")
_BYOK: Final = LimitName("", "byok")


class Replay:
    """Decides on past calls.

    Args:
        policy: What is proposed, as the policy of everyone. What its limits say of `shadow` is left out: they refuse.
        zone: The time zone in which budget periods begin.
        has_price: Whether a model has a known price; only asked where the policy denies others.

    Attributes:
        outcome: What came of the calls that there were so far.
    """

    def __init__(
        self,
        policy: SharedPolicy,
        zone: str = "UTC",
        has_price: Callable[[RequestedModel], bool] = lambda _: True,
    ) -> None:
        self._policy = CompiledPolicy(PolicyHolder(Level.EVERYONE), policy, zone)
        self._rules = Effective([self._policy], "")
        self._has_price = has_price
        self._find_broken = lru_cache(MAX_KNOWN)(self._broken_rule)
        self._at = 0
        self._limiter = Limiter(lambda: self._at, lambda: self._at)
        self._limits: dict[tuple[bytes, bool], list[Limit]] = {}
        self._users: dict[bytes, UUID] = {}
        self._ends: list[tuple[int, int, Amounts]] = []  # by their times, then by their tickets
        self.outcome = ReplayOutcome()

    @property
    def calls(self) -> int:
        """How many there were so far."""
        return self.outcome.calls.total()

    def decide(self, calls: Iterable[tuple[PastCall, RequestedModel | None]]) -> Iterator[None]:
        """Decide on calls by the limits, and by the rules about models and keys where they say what they asked for.

        None that started before them may follow. Others have their turn at each step.
        """
        for done, (call, model) in enumerate(calls, 1):
            started = call[0] * _MILLISECOND_NS
            if self._ends and self._ends[0][0] <= started:
                yield from self._end_until(started)
            self._at = max(started, self._at)
            self.outcome.calls[self._user(call)] += 1
            if model is None or not self._breaks_a_rule(call, model):
                self._start(call)
            if not done % STEP:
                yield

    def _end_until(self, at: int) -> Iterator[None]:
        """End the calls that ended until then."""
        done = 0
        while self._ends and self._ends[0][0] <= at:
            self._at, ticket, used = heappop(self._ends)
            self._limiter.charge(ticket, used)
            self._limiter.end(ticket)
            done += 1
            if not done % STEP:
                yield

    def _breaks_a_rule(self, call: PastCall, model: RequestedModel) -> bool:
        """Whether a call breaks a rule: then it is counted as refused."""
        user = self._user(call)
        broken = self._find_broken(model, call[6])
        if broken is None:
            return False
        name, said = broken
        self._totals_of(name, user)
        self._name(RefusedCall(UUID(bytes=call[1]), call[0], user, name, 0, 0, None, said, model.model))
        return True

    def _broken_rule(self, model: RequestedModel, pays: bool) -> tuple[LimitName, str] | None:
        """The rule that such a call breaks, and what it says in words, as in `everyone allows claude-*`; None if none."""
        rules = self._rules
        if pays and rules.denies_own_key is not None:
            return _BYOK, f"{rules.denies_own_key} denies byok"
        refused = None
        if model.is_unread:
            refused = rules.refuse_unread(model.provider)
        elif model.model:
            is_free = pays or not model.is_billed
            refused = rules.refuse_model(model.provider, model.model, lambda: is_free or self._has_price(model))
        return None if refused is None else (_MODELS, refused.rule)

    def _start(self, call: PastCall) -> None:
        started, _, user_id, ended, tokens, micro_dollars, pays = call
        decision = self._limiter.start(self._limits.get((user_id, pays)) or self._limits_of(call))
        if decision.ticket is not None:
            end, used = self._at + max(0, ended - started) * _MILLISECOND_NS, Amounts(tokens, micro_dollars)
            heappush(self._ends, (end, decision.ticket, used))
        if decision.refused_by is None:
            return
        limit, user, wait_ns = decision.refused_by.limit, self._user(call), decision.retry_after_ns
        name = LimitName("each_member" if limit.of is Of.USER else "together", limit.kind.value)
        totals, helps = self._totals_of(name, user), wait_ns != NEVER_NS
        use = limit.maximum, decision.refused_by.used, wait_ns if helps else None
        self._name(RefusedCall(UUID(bytes=call[1]), call[0], user, name, *use))
        if helps:
            totals.longest_ns = max(totals.longest_ns, wait_ns)

    def _totals_of(self, name: LimitName, user: UUID) -> RefusalTotals:
        """Count a call that is refused."""
        totals = self.outcome.totals.setdefault((name, user), RefusalTotals())
        totals.refused += 1
        return totals

    def _name(self, refused: RefusedCall) -> None:
        if len(self.outcome.first) < MAX_NAMED:
            self.outcome.first.append(refused)

    def _user(self, call: PastCall) -> UUID:
        user = self._users.get(call[2])
        if user is None:
            user = self._users[call[2]] = UUID(bytes=call[2])
        return user

    def _limits_of(self, call: PastCall) -> list[Limit]:
        pays = call[6]
        effective = Effective([self._policy], str(self._user(call)))
        found = effective.before_body(pays=pays) + effective.after_body(pays=pays)
        limits = self._limits[call[2], pays] = [replace(limit, shadow=False, reserve=False) for limit in found]
        return limits
