"""A request that waits for a decision, what it needs, and what it holds once it is admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from limits.limit import NOTHING, Amounts, Decision, Limit
from storage.admission.kinds.account import Account


class Need(NamedTuple):
    """What a request needs of one account."""

    account: Account
    limit: Limit
    amount: int


@dataclass(slots=True)
class Ticket:
    """What a request in progress holds, and what is reserved and charged for it."""

    needs: Sequence[Need]
    reserved: Amounts
    charged: Amounts = NOTHING


class Waiting:
    """A request that waits for a round.

    Attributes:
        decision: The decision; None until there is one.
        gone: Set when the client does not wait any more.
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
        """The needs for which it is refused: those that block it, without shadow limits."""
        return [need for need in self.blocked if not need.limit.shadow]

    @property
    def acquiring(self) -> list[Need]:
        """What it acquires at its start: of each account once, by a limit with room for it, one that reserves first."""
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
