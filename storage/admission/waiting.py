"""A request that waits for a decision, what it needs, and what it holds when it was admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from limits.limit import NOTHING, Amounts, Decision, Limit
from storage.admission.kinds.account import Account


class Need(NamedTuple):
    """What a request needs of one account."""

    account: Account
    limit: Limit
    amount: int


class Ticket:
    """What a request under way holds, and what is reserved and charged for it."""

    __slots__ = ("charged", "needs", "reserved")

    def __init__(self, needs: Sequence[Need], reserved: Amounts) -> None:
        self.needs = needs
        self.reserved = reserved
        self.charged = NOTHING


class Waiting:
    """A request that waits for a round.

    Attributes:
        decision: What was decided, as soon as it is.
        gone: Set when nobody waits any more.
        done: Called with the decision.
        blocked: The needs that the limits have no room for.
    """

    def __init__(self, needs: Sequence[Need], reserve: Amounts) -> None:
        self.needs = needs
        self.reserve = reserve
        self.decision: Decision | None = None
        self.gone = False
        self.done: Callable[[Decision], None] = lambda _decision: None
        self.blocked: list[Need] = []

    @property
    def refusing(self) -> list[Need]:
        """What it is refused for: what blocks it, and does not only note that it would."""
        return [need for need in self.blocked if not need.limit.shadow]

    @property
    def acquiring(self) -> list[Need]:
        """What it takes as it starts: of each account once, by a limit that has room for it, and reserves if one does."""
        fitting = [need for need in self.needs if need not in self.blocked] if self.blocked else self.needs
        acquiring: dict[str, Need] = {}
        for need in fitting:
            if need.account.name not in acquiring or need.limit.reserve:
                acquiring[need.account.name] = need
        return list(acquiring.values())

    def decide(self, decision: Decision) -> None:
        """Note the decision, and pass it on."""
        self.decision = decision
        self.done(decision)
