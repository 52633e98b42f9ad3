"""The decision on a request: the states of its limits, and which of them refuse it. Pure."""

from __future__ import annotations

from msgspec import structs

from limits.limit import Decision, Kind, LimitState
from storage.admission.presence.shares import Alone
from storage.admission.waiting import Need, Waiting


def admission_of(waiting: Waiting, ticket: int) -> Decision:
    """The decision on an admitted request, with the shadow limits that would refuse it."""
    shadow = tuple([need.account.state(need.limit, need.amount) for need in waiting.blocked])
    states = tuple([need.account.state(need.limit, 0) for need in waiting.needs])
    return Decision(ticket, states, None, 0, shadow)


def refusal_of(waiting: Waiting, alone: Alone | None) -> Decision:
    """The decision on a refused request, of which some needs are blocked; `alone` is None if the ledgers are used."""
    pairs = [(need, _state(need, waiting, alone)) for need in waiting.needs]
    against = [state for need, state in pairs if need in waiting.refusing]
    refused_by = max(against, key=lambda state: (state.limit.kind is Kind.CONCURRENCY, state.retry_after_ns))
    longest = max(state.retry_after_ns for state in against)
    shadow = tuple([state for need, state in pairs if need in waiting.blocked and need.limit.shadow])
    return Decision(None, tuple([state for _, state in pairs]), refused_by, longest, shadow)


def _state(need: Need, waiting: Waiting, alone: Alone | None) -> LimitState:
    state = need.account.state(need.limit, need.amount)
    if alone is None or need not in waiting.blocked or state.retry_after_ns:
        return state
    return structs.replace(state, remaining=0, retry_after_ns=need.account.wait_alone(need.limit, alone))
