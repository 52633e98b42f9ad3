"""Overload protection: what a request needs before it may cost anything, and how it is refused.

There are three steps. Concurrency of the server comes first, for it can be refused before anybody is identified. The
limits of the client come second, and those that need the body third. The limits of a step are decided together: all admit
the request, or none counts it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from intercept.refusals import Problem, Rule
from limits.authority import Authority, AuthorityUnavailableError, Held, LocalAuthority
from limits.headers import dollars, explain, limit_headers, retry_headers
from limits.limit import NOTHING, SLOT_RETRY_NS, Amounts, Decision, Limit, LimitKind, LimitState, Of
from limits.limiter import Limiter
from limits.policies.effective import Effective
from limits.request_limits import Client, LimitSettings, RequestLimits, Usage
from limits.throttle import Throttle

AT_CAPACITY = "AI Bridge is currently at capacity. Please try again later."
RATE_LIMITED = "You've been rate limited. Please try again later."
USER_RATE_LIMITED = "All your tokens together have reached the rate limit of your user. Please try again later."
USER_AT_CAPACITY = "You have too many requests in progress. Please try again when one of them has ended."
OUT_OF_TOKENS = "Your calls have used all tokens of your user for now. Please try again later."
POLICY_REACHED = "A limit of the policy of {} is reached."
BUDGET_EXCEEDED = "AI budget of US${} exceeded. Please contact an administrator for more details."

_MESSAGES = {
    Rule.RATE: RATE_LIMITED,
    Rule.USER_RATE: USER_RATE_LIMITED,
    Rule.USER_CONCURRENCY: USER_AT_CAPACITY,
    Rule.USER_TOKENS: OUT_OF_TOKENS,
}
_USED = (LimitKind.TOKENS, LimitKind.BUDGET)
_NOBODY: Final = Limit(LimitKind.RATE, Rule.RATE, Of.SERVER, "nobody", 0, window_ns=1)
"""Admits nothing. Decided together with it, limits give their states and count nothing."""


_UNLIMITED: Final = Decision(None)
_log = logging.getLogger(__name__)


class OverloadedError(Problem):
    """A limit refuses a request: the headers say when to retry. `states` are those of all limits that were decided together."""

    def __init__(
        self,
        rule: Rule,
        status: int,
        message: str,
        headers: dict[str, str],
        states: Sequence[LimitState] = (),
        *,
        policy: str | None = None,
    ) -> None:
        super().__init__(status, message, headers, rule=rule, policy=policy)
        self.states = states


def at_capacity() -> OverloadedError:
    """The error of a request for which there is no slot."""
    return OverloadedError(Rule.CONCURRENCY, 503, AT_CAPACITY, retry_headers(SLOT_RETRY_NS))


class OverloadProtection:
    """Presents the limits of a request to the authority that decides, step by step.

    Args:
        authority: What decides; by default this process alone.
        on_refusal: Called for every refusal, with the name of its rule.

    Attributes:
        holding: How many requests have passed the first step and have not ended.
    """

    def __init__(
        self,
        settings: LimitSettings | None = None,
        *,
        authority: Authority | None = None,
        on_refusal: Callable[[str], None] = lambda _: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.settings = settings or LimitSettings()
        self.limits = RequestLimits(self.settings)
        self.authority = authority or LocalAuthority(Limiter(now_ns))
        self._on_refusal = on_refusal
        self._throttle = Throttle(now_ns)
        self.holding = 0

    async def acquire_slot(self) -> Held:
        """Take one of the server's slots.

        Raises:
            OverloadedError: 503, all are taken.
        """
        decision = await self._start(self.limits.of_server())
        self.holding += 1
        return Held(self.authority, decision.ticket, decision.states, on_release=self._let_go)

    async def count_request(self, client: Client, *, slots: bool | None = None) -> Held:
        """Count a request for all limits of its client that can be decided before its body is read.

        Args:
            client: Whose it is.
            slots: Whether for those of concurrency alone; false is for the others alone.

        Raises:
            OverloadedError: 429, or 403 where the budget is used up.
        """
        limits = [
            one
            for one in self.limits.of_client(client)
            if slots is None or (one.kind is LimitKind.CONCURRENCY) is slots
        ]
        return await self._count(client, await self._holding(client, limits))

    async def count_call(self, client: Client, reserve: Callable[[], Amounts]) -> Held:
        """Count a request for the limits that need its body. What to reserve is worked out only if a limit reserves.

        Raises:
            OverloadedError: 429, or 403 where the budget is used up.
        """
        limits = await self._holding(client, self.limits.of_call(client))
        return await self._count(client, limits, reserve() if any(limit.reserve for limit in limits) else NOTHING)

    async def _holding(self, client: Client, limits: list[Limit]) -> list[Limit]:
        """The limits of these that hold for a client: not what is used up, if its request uses nothing."""
        if not client.is_free or not any(limit.kind in _USED for limit in limits):
            return limits
        states = await self.states(limits)
        return [one.limit for one in states if one.limit.kind not in _USED or not one.retry_after_ns]

    async def states(self, limits: Sequence[Limit]) -> Sequence[LimitState]:
        """The states of limits as they are, in the order in which they are given. Nothing is counted."""
        return (await self._decide([*limits, _NOBODY])).states[:-1]

    async def usage(self, most: int) -> Usage:
        """How much is used, as far as the authority knows; only the `most` users and keys with the least left."""
        by_rule: dict[Rule, dict[str, LimitState]] = {}
        for state in await self.authority.usage(most):
            by_rule.setdefault(state.limit.rule, {})[state.limit.key.partition(":")[2]] = state
        slots = by_rule.get(Rule.CONCURRENCY, {}).get("")
        rules = (Rule.USER_CONCURRENCY, Rule.RATE, Rule.USER_RATE, Rule.USER_TOKENS, Rule.USER_BUDGET)
        of_server = (0 if slots is None else slots.used) if self.settings.max_concurrency else self.holding
        return Usage(of_server, *(by_rule.get(rule, {}) for rule in rules))

    def note_refusal(self, limit: str) -> None:
        """Count a refusal by a limit, and log it: the first at once, those that followed with the next line."""
        self._on_refusal(limit)
        if due := self._throttle.count(limit):
            _log.info("requests refused: limit=%s new=%d total=%d", limit, due.new, due.total)

    async def _start(
        self, limits: Sequence[Limit], reserve: Amounts = NOTHING, policy: Effective | None = None
    ) -> Decision:
        if not limits:
            return _UNLIMITED
        decision = await self._decide(limits, reserve)
        if decision.refused_by is not None:
            self.note_refusal(decision.refused_by.limit.rule)
            raise refusal(decision.refused_by, decision, policy)
        return decision

    async def _decide(self, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Decision:
        try:
            return await self.authority.start(limits, reserve)
        except AuthorityUnavailableError:
            self.note_refusal(Rule.CONCURRENCY)
            raise at_capacity() from None

    async def _count(self, client: Client, limits: Sequence[Limit], reserve: Amounts = NOTHING) -> Held:
        decision = await self._start(limits, reserve, client.policy)
        charged = any(limit.kind in _USED for limit in limits)
        return Held(self.authority, decision.ticket, decision.states, charged=charged, shadow=decision.shadow)

    def _let_go(self) -> None:
        self.holding -= 1


def refusal(refused_by: LimitState, decision: Decision, policy: Effective | None = None) -> OverloadedError:
    """The error of a request that a limit refuses."""
    rule, wait_ns = refused_by.limit.rule, decision.retry_after_ns
    found = None if policy is None else policy.source_of(refused_by.limit)
    source = None if found is None else str(found)
    if rule is Rule.CONCURRENCY:
        return at_capacity()
    if refused_by.limit.kind is LimitKind.BUDGET:
        message = BUDGET_EXCEEDED.format(dollars(refused_by.limit.maximum))
        headers = limit_headers(decision.states) | {"x-should-retry": "false"}
        return OverloadedError(rule, 403, message, headers, decision.states, policy=source)
    said = POLICY_REACHED.format(source) if source else _MESSAGES[rule]
    message = f"{said} {explain(refused_by, refused_by.retry_after_ns)}"
    headers = limit_headers(decision.states) | retry_headers(wait_ns)
    return OverloadedError(rule, 429, message, headers, decision.states, policy=source)
