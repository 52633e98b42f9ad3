"""The state of a limit, from its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Kind, Limit, LimitState
from storage.admission.kinds.parameters import MS, span_of
from storage.admission.ledger import Ledger


def state_of(limit: Limit, ledger: Ledger, now: int) -> LimitState:
    """The state of a limit, from its ledger, at a time in milliseconds. Prefetched permits count as used."""
    span = span_of(limit, now)
    held = ledger.held()
    if limit.kind is Kind.CONCURRENCY:
        remaining = max(0, limit.maximum - held)
        return LimitState(limit, held, remaining, 0 if remaining else SLOT_RETRY_NS, 0)
    used = ledger.used
    remaining = max(0, limit.maximum - used - held)
    wait = 0
    if not remaining:
        at = ledger.next_at(used + held - limit.maximum + 1)
        wait = SLOT_RETRY_NS if at is None else span.leaves_in(at) * MS
        wait = NEVER_NS if limit.maximum < 1 else wait
    reset = span.leaves_in(ledger.entries[-1][0]) * MS if ledger.entries else 0
    return LimitState(limit, used, remaining, wait, reset, held)


def busiest(states: Sequence[LimitState], most: int) -> list[LimitState]:
    """For each rule, the states with the least left, `most` at most."""
    by_rule: dict[str, list[LimitState]] = {}
    for state in states:
        if state.used or state.reserved:
            by_rule.setdefault(state.limit.rule, []).append(state)
    return [state for of_rule in by_rule.values() for state in nsmallest(most, of_rule, key=lambda one: one.remaining)]
